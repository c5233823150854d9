//! The program runs, and prints what it should.

use std::process::Command;

#[test]
fn sessions_and_entities_share_a_pool_a_transaction_and_a_join() {
    let output = Command::new(env!("CARGO_BIN_EXE_seaorm")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, "robin: a phone, a laptop\nkim: a laptop\n2 sessions of robin end\n");
}

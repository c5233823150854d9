//! The examples do what they say. `cargo test` builds them beside the tests.

use std::process::Command;

#[test]
fn the_devices_example_lists_both_devices_and_signs_out_of_both() {
    let test = std::env::current_exe().expect("a test knows its own file");
    let target = test.parent().and_then(|deps| deps.parent()).expect("a test lies in target/…/deps");
    let output = Command::new(target.join("examples/devices")).output().expect("the example was built");
    let said = String::from_utf8(output.stdout).expect("the example prints text");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for expected in ["a laptop", "a phone", "(here)", "signed out of 2 sessions"] {
        assert!(said.contains(expected), "{expected:?} is missing in:\n{said}");
    }
}

//! The examples do what they say. Each is compiled as a part of these tests, so that no build of an older one is run.

use std::process::Command;

/// Set for the process that is to run an example.
const RUNS: &str = "CLOAKROOM_TEST_RUNS_EXAMPLE";

mod devices {
    include!("../examples/devices.rs");

    /// Not a case of its own: the process that the test below reads.
    #[test]
    fn runs_if_it_is_asked_to() {
        if std::env::var_os(super::RUNS).is_some() {
            main().unwrap();
        }
    }
}

#[test]
fn the_devices_example_lists_both_devices_and_signs_out_of_both() {
    let test = std::env::current_exe().expect("a test knows its own file");
    let arguments = ["--exact", "devices::runs_if_it_is_asked_to", "--nocapture"];
    let output = Command::new(test).args(arguments).env(RUNS, "1").output().expect("a test can run itself");
    let said = String::from_utf8(output.stdout).expect("the example prints text");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for expected in ["a laptop", "a phone", "(here)", "signed out of 2 sessions"] {
        assert!(said.contains(expected), "{expected:?} is missing in:\n{said}");
    }
}

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

mod refresh_tokens {
    include!("../examples/refresh_tokens.rs");

    /// Not a case of its own: the process that the test below reads.
    #[test]
    fn runs_if_it_is_asked_to() {
        if std::env::var_os(super::RUNS).is_some() {
            main().unwrap();
        }
    }
}

/// What an example prints in a process of its own.
fn said_by(example: &str) -> String {
    let test = std::env::current_exe().expect("a test knows its own file");
    let case = format!("{example}::runs_if_it_is_asked_to");
    let arguments = ["--exact", &case, "--nocapture"];
    let output = Command::new(test).args(arguments).env(RUNS, "1").output().expect("a test can run itself");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the example prints text")
}

#[test]
fn the_example_of_refresh_tokens_repeats_an_answer_and_notices_a_thief() {
    let said = said_by("refresh_tokens");
    let lines: Vec<_> =
        said.lines().filter(|line| !line.contains("test")).filter(|it| !it.is_empty()).collect();
    let new = "user 1234: a new refresh token";
    let reused = "user 1234: signed out, the token was used by two";
    assert_eq!(lines[lines.len() - 5..], [new, new, new, reused, "not signed in"], "{said}");
}

#[test]
fn the_devices_example_lists_both_devices_and_signs_out_of_both() {
    let said = said_by("devices");
    for expected in ["a laptop", "a phone", "(here)", "signed out of 2 sessions"] {
        assert!(said.contains(expected), "{expected:?} is missing in:\n{said}");
    }
}

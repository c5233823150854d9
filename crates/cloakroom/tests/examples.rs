//! The examples do what they say. Each is compiled as a part of these tests, so that no build of an older one is run.

use std::process::Command;

/// Set for the process that is to run an example.
const RUNS: &str = "CLOAKROOM_TEST_RUNS_EXAMPLE";

/// Compiles these examples, each as a module.
macro_rules! examples {
    ($($example:ident: $file:literal;)*) => {
        $(mod $example {
            include!($file);

            /// Not a case of its own: the process that a test below reads.
            #[test]
            fn runs_if_it_is_asked_to() {
                if std::env::var_os(super::RUNS).is_some() {
                    main().unwrap();
                }
            }
        })*
    };
}

examples! {
    api_keys: "../examples/api_keys.rs";
    devices: "../examples/devices.rs";
    refresh_tokens: "../examples/refresh_tokens.rs";
    remember_me: "../examples/remember_me.rs";
    step_up: "../examples/step_up.rs";
}

#[cfg(feature = "metrics")]
examples! {
    metrics: "../examples/metrics.rs";
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

/// The lines that an example prints, without those of the test that runs it.
fn lines_of(example: &str, number: usize) -> Vec<String> {
    let said = said_by(example);
    let lines = said.lines().filter(|line| !line.contains("test") && !line.is_empty());
    let lines: Vec<_> = lines.map(str::to_owned).collect();
    assert!(lines.len() >= number, "{said}");
    lines[lines.len() - number..].to_vec()
}

#[test]
fn the_example_of_api_keys_has_a_prefix_scopes_a_cap_a_grace_and_a_last_use() {
    let lines = lines_of("api_keys", 5);
    assert!(lines[0].starts_with("made acme_live_") && lines[0].ends_with("may write: false"), "{lines:?}");
    assert!(lines[1].ends_with("as many valid sessions as the limit allows"), "{lines:?}");
    let rest =
        ["the old key is good for a day: true", "the new key is its session's: true", "last used: true"];
    assert_eq!(lines[2..], rest);
}

#[cfg(feature = "metrics")]
#[test]
fn the_example_of_metrics_shows_events_entries_and_counts() {
    let mut lines = lines_of("metrics", 10);
    lines.sort_unstable();
    let ended =
        |reason| format!("cloakroom_sessions_ended_total{{table=\"sessions\",reason=\"{reason}\"}} 1");
    let expected = [
        &ended("evicted"),
        &ended("other"),
        "created of user 7",
        "created of user 7",
        "created of user 7",
        "created of user 8",
        "ended of user 8",
        "evicted of user 7",
        "in the log: created ",
        "in the log: ended password_changed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_example_of_a_step_up_asks_for_the_password_once_it_was_long_ago() {
    assert_eq!(lines_of("step_up", 3), ["paid", "please enter your password", "paid"]);
}

#[test]
fn the_example_of_remember_me_remembers_until_the_absolute_lifetime() {
    let later = |days, remembered| format!("{days} days later: remembered {remembered}, other false");
    let expected = [(2, true), (28, true), (29, true), (29, true), (1, true), (2, false)]
        .map(|(days, is_in)| later(days, is_in));
    assert_eq!(lines_of("remember_me", 6), expected);
}

#[test]
fn the_example_of_refresh_tokens_repeats_an_answer_and_notices_a_thief() {
    let new = "user 1234: a new refresh token";
    let reused = "user 1234: signed out, the token was used by two";
    assert_eq!(lines_of("refresh_tokens", 5), [new, new, new, reused, "not signed in"]);
}

#[test]
fn the_devices_example_lists_both_devices_and_signs_out_of_both() {
    let said = said_by("devices");
    for expected in ["a laptop", "a phone", "(here)", "signed out of 2 sessions"] {
        assert!(said.contains(expected), "{expected:?} is missing in:\n{said}");
    }
}

//! What needs no server: help, completions, and the files of an embedded database.

use crate::harness::Cloakroom;

fn files(cloakroom: &Cloakroom) -> Vec<String> {
    let entries = std::fs::read_dir(cloakroom.directory()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_bare_name_and_help_print_the_manual() {
    let cloakroom = Cloakroom::new();
    for arguments in [&[][..], &["--help"], &["help"]] {
        let help = cloakroom.run(arguments).done().stdout;
        assert!(help.contains("authenticate") && help.contains("Examples:"), "{help}");
        assert!(help.contains("Exit codes:"), "{help}");
    }
    for command in ["migrate", "create", "authenticate", "list", "expire", "prune", "token", "stats"] {
        assert!(cloakroom.run(&[command, "--help"]).done().stdout.contains("Usage: cloakroom"), "{command}");
    }
    let version = cloakroom.run(&["--version"]).done().stdout;
    assert_eq!(version, concat!("cloakroom ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn shells_get_their_completions() {
    let cloakroom = Cloakroom::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = cloakroom.run(&["completions", shell]).done().stdout;
        assert!(script.contains("authenticate") && script.contains("token-file"), "{shell}");
    }
    cloakroom.run(&["completions", "dosshell"]).failed(2, "bash");
}

#[test]
fn an_embedded_database_is_made_by_create_alone() {
    let cloakroom = Cloakroom::new();
    for arguments in [
        &["list"][..],
        &["count"],
        &["authenticate"],
        &["stats"],
        &["prune"],
        &["migrate", "status"],
        &["migrate", "down", "--yes"],
    ] {
        cloakroom.run(arguments).failed(3, "there is no database file cloakroom.db");
    }
    cloakroom.run(&["migrate", "sql"]).done();
    cloakroom.run(&["migrate", "up", "--field", "a b:text"]).failed(2, "is no name");
    for arguments in [&["--set", "a b=1"][..], &["--set", "user_id="], &["--set", "id=1"], &["--data", "{"]] {
        let outcome = cloakroom.run(&[&["create"], arguments].concat());
        assert_eq!(outcome.code, 2, "{outcome:?}");
    }
    cloakroom.run(&["create"]).failed(2, "a new table needs a field");
    assert_eq!(files(&cloakroom), [""; 0], "no empty file is left behind");

    let created = cloakroom.run(&["create", "--set", "user_id=1234", "--set", "role=admin"]).done();
    assert!(created.stderr.contains("made the table sessions"), "{created:?}");
    assert_eq!(files(&cloakroom), ["cloakroom.db"], "and it is closed in good order");
    let again = cloakroom.run(&["create", "--set", "user_id=1234", "--set", "role=admin"]).done();
    assert!(!again.stderr.contains("made"), "{again:?}");
    assert_eq!(cloakroom.count_all(), 2);
}

#[test]
fn the_argument_comes_before_the_environment() {
    let cloakroom = Cloakroom::new().with("DATABASE_URL", "sqlite:environment.db");
    cloakroom.run(&["migrate", "up"]).done();
    cloakroom.run(&["--database", "sqlite:argument.db", "migrate", "up"]).done();
    assert_eq!(files(&cloakroom), ["argument.db", "environment.db"]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_trouble() {
    let cloakroom = Cloakroom::new();
    cloakroom.run(&["create", "--set", "user_id=1"]).done();
    for format in ["json", "table"] {
        let mut command = cloakroom.command(&["list", "--format", format]);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = command.stdout(writer).spawn().unwrap();
        // What is written here went into a pipe that nobody reads.
        drop(command);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{output:?}");
    }
}

#[test]
fn only_a_terminal_gets_tables_and_colours() {
    let cloakroom = Cloakroom::new();
    cloakroom.run(&["create", "--set", "user_id=1"]).done();
    for arguments in [&["list", "--format", "table"][..], &["stats"], &["list", "--nonsense"], &["--help"]] {
        let outcome = cloakroom.run(arguments);
        for sign in ['\u{1b}', '│', '┆'] {
            assert!(!outcome.stdout.contains(sign) && !outcome.stderr.contains(sign), "{outcome:?}");
        }
    }
}

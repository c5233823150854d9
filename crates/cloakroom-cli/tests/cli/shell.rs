//! What needs no server: help, completions, and the files of an embedded database.

use std::process::Stdio;

use crate::harness::{Cloakroom, Outcome};

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
        assert!(script.contains("COMPLETE") && script.contains("cloakroom"), "{shell}: {script}");
    }
    cloakroom.run(&["completions", "dosshell"]).failed(2, "bash");
}

/// What a shell is offered in place of the last of these words.
fn offered(cloakroom: &Cloakroom, words: &[&str]) -> Vec<String> {
    let place = words.len().to_string();
    let mut command = cloakroom.command(&[&["--", "cloakroom"], words].concat());
    command.env("COMPLETE", "bash").env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_INDEX", place);
    let outcome = Outcome::of(command.spawn().unwrap()).done();
    assert_eq!(outcome.stderr, "");
    outcome.stdout.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn tables_and_fields_are_completed_from_the_database() {
    let cloakroom = Cloakroom::new().with("DATABASE_URL", "sqlite:app.db");
    assert!(offered(&cloakroom, &["auth"]).contains(&"authenticate".to_owned()));
    assert_eq!(
        offered(&cloakroom, &["list", "--table", "s"]),
        [""; 0],
        "there is no database, and none is made"
    );
    assert_eq!(files(&cloakroom), [""; 0]);

    cloakroom.run(&["create", "--set", "user_id=1", "--set", "role=admin"]).done();
    cloakroom.run(&["--table", "api_keys", "migrate", "up", "--field", "owner:integer:index"]).done();
    assert_eq!(offered(&cloakroom, &["list", "--table", "a"]), ["api_keys"]);
    assert_eq!(offered(&cloakroom, &["create", "--set", "ro"]), ["role="]);
    assert_eq!(offered(&cloakroom, &["--table", "api_keys", "create", "--set", ""]), ["owner="]);
    assert_eq!(offered(&cloakroom, &["list", "--columns", "id,us"]), ["id,user_id"]);
    assert_eq!(offered(&cloakroom, &["list", "--where", "use"]), ["user_id="]);
    assert_eq!(offered(&cloakroom, &["stats", "--by", "r"]), ["role"]);
    assert_eq!(
        offered(&cloakroom, &["--database", "sqlite:other.db", "list", "--table", "a"]),
        [""; 0],
        "the line comes before the environment"
    );
    let unreachable = Cloakroom::new().with("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/x");
    assert_eq!(offered(&unreachable, &["list", "--table", "s"]), [""; 0]);
}

/// What bash has to choose from, with the cursor at the end of this line.
const IN_BASH: &str = r#"
    source <("$CLOAKROOM" completions bash)
    function cloakroom { "$CLOAKROOM" "$@"; }
    COMP_LINE=$1 COMP_POINT=${#1}
    # As bash parts it.
    read -ra COMP_WORDS <<< "$(printf %s "$1" | sed 's/\([:=]\)/ \1 /g')"
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _cloakroom cloakroom "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" 2> /dev/null
    printf '%s\n' "${COMPREPLY[@]}"
"#;

#[cfg(unix)]
#[test]
fn bash_completes_behind_the_url_of_a_database() {
    let cloakroom = Cloakroom::new();
    cloakroom.run(&["create", "--set", "user_id=1", "--set", "role=admin"]).done();
    for (line, expected) in [
        ("cloakroom --database sqlite:cloakroom.db auth", "authenticate\n"),
        ("cloakroom --database sqlite:cloakroom.db list --where ro", "role=\n"),
        ("cloakroom --database=sqlite:cloakroom.db list --where=ro", "role=\n"),
        ("cloakroom --database sqlite:cloakroom.db list --columns id,ro", "id,role\n"),
        ("cloakroom --database sqlite:none.db list --where ro", "\n"),
        ("cloakroom create --set user_id=7 --set ro", "role=\n"),
    ] {
        let mut bash = std::process::Command::new("bash");
        bash.args(["--norc", "-c", IN_BASH, "bash", line])
            .env("CLOAKROOM", env!("CARGO_BIN_EXE_cloakroom"))
            .env_remove("DATABASE_URL")
            .current_dir(cloakroom.directory())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let outcome = Outcome::of(bash.spawn().unwrap()).done();
        assert_eq!(outcome.stdout, expected, "{line}: {outcome:?}");
    }
}

#[test]
fn there_is_a_page_of_the_manual_for_each_command() {
    let cloakroom = Cloakroom::new().with("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/x");
    for (words, expected) in [
        (&["man"][..], "Exit codes"),
        (&["man", "list"], "\\-\\-columns"),
        (&["man", "migrate", "up"], "cloakroom\\-migrate\\-up"),
        (&["man", "import"], "\\-\\-digests"),
    ] {
        let page = cloakroom.run(words).done().stdout;
        assert!(page.contains(".TH") && page.contains(expected), "{words:?}: {page}");
        assert!(!page.contains("hunter2"), "{page}");
    }
    cloakroom.run(&["man", "sing"]).failed(2, "there is no command cloakroom sing");
}

#[cfg(unix)]
#[test]
fn files_that_the_command_makes_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let cloakroom = Cloakroom::new();
    cloakroom.run(&["create", "--set", "user_id=1"]).done();
    cloakroom.file("new.csv", "user_id\n1\n");
    cloakroom.run(&["import", "new.csv", "--tokens", "tokens.csv"]).done();
    for file in ["cloakroom.db", "tokens.csv"] {
        let mode = std::fs::metadata(cloakroom.directory().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[cfg(unix)]
#[test]
fn nothing_that_is_stored_commands_a_terminal() {
    let cloakroom = Cloakroom::new();
    let evil = "\u{9b}2J\u{202e}evil\u{200f}\u{7f}";
    let data = format!("{{\"{evil}\":\"{evil}\"}}");
    let created = cloakroom.create(&["--set", &format!("user_id={evil}"), "--data", &data]).1;
    let id = created["id"].as_str().unwrap();
    let not_there = format!("user_id={evil}!");
    for arguments in [
        &["list"][..],
        &["list", "--format", "json"],
        &["list", "--format", "jsonl"],
        &["list", "--format", "csv"],
        &["list", "--columns", "data.a,data,user_id"],
        &["show", "--id", id],
        &["show", "--id", id, "--format", "json"],
        &["stats"],
        &["stats", "--format", "json"],
        &["stats", "--by", "user_id"],
        &["rotate", "--id", id],
        &["list", "--columns", evil],
        &["update", "--id", id, "--set", &not_there],
        &["list", "--limit", evil],
    ] {
        let (_, shown) = cloakroom.on_terminal(arguments, "");
        for sign in ['\u{9b}', '\u{202e}', '\u{200f}', '\u{7f}'] {
            assert!(!shown.contains(sign), "{arguments:?}: {shown:?}");
        }
        assert!(shown.contains("evil") || shown.contains("202e"), "{arguments:?}: {shown:?}");
    }
    // A pipe has it to the letter, and the JSON is the same.
    assert_eq!(cloakroom.json(&["show", "--id", id])["fields"]["user_id"], format!("{evil}!"));
    assert!(cloakroom.run(&["list", "--format", "csv"]).done().stdout.contains(evil));
}

#[test]
fn hints_repeat_the_options_and_name_the_tables_that_there_are() {
    let cloakroom = Cloakroom::new();
    let options = ["--database", "sqlite:my app.db", "--config", "app.toml", "--table", "keys"];
    cloakroom.file("app.toml", "");
    let run = |command: &[&str]| cloakroom.run(&[&options[..], command].concat());
    let make = "cloakroom --database 'sqlite:my app.db' --table keys --config app.toml migrate up";
    run(&["list"]).failed(3, &format!("make it with: {make} --field user_id:text:index"));
    run(&["create"]).failed(2, make);
    cloakroom.run(&["--database", "sqlite:my app.db", "migrate", "up"]).done();
    run(&["list"]).failed(3, "session tables that there are: --table sessions");
    let with_password = ["--database", "postgres://u:hunter2@127.0.0.1:1/x", "list"];
    assert!(!cloakroom.run(&with_password).stderr.contains("hunter2"));
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
    cloakroom.run(&["migrate", "up", "--field", "a\tb:text"]).failed(2, "is no name");
    for arguments in [&["--set", "a\tb=1"][..], &["--set", "user_id="], &["--set", "id=1"], &["--data", "{"]]
    {
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

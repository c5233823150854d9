use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cloakroom_testing::TestDatabase;
use serde_json::Value;
use tempfile::TempDir;

/// The command in a directory of its own, with a database chosen by the environment.
pub(crate) struct Cloakroom {
    directory: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Cloakroom {
    /// Without a word about the database.
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    pub(crate) fn on(db: &TestDatabase) -> Self {
        Self::new().with("DATABASE_URL", db.url())
    }

    /// With a table of the default shape.
    pub(crate) fn with_table(db: &TestDatabase) -> Self {
        let cloakroom = Self::on(db);
        cloakroom.run(&["migrate", "up"]).done();
        cloakroom
    }

    pub(crate) fn with(mut self, variable: &'static str, value: &str) -> Self {
        self.variables.push((variable, value.to_owned()));
        self
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file that arguments may name.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.directory.path().join(name), content).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
        for variable in
            ["DATABASE_URL", "CLOAKROOM_SECRET_SALT", "CLOAKROOM_KEYS", "NO_COLOR", "CLICOLOR_FORCE"]
        {
            command.env_remove(variable);
        }
        command
            .args(arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with_input(arguments, b"")
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut child = self.command(arguments).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // The command may well stop reading before the end.
            scope.spawn(move || drop(stdin.write_all(input)));
            Outcome::of(child)
        })
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[&["--format", "json"], arguments].concat()).done().json()
    }

    /// A new session's token and the session as JSON.
    pub(crate) fn create(&self, arguments: &[&str]) -> (String, Value) {
        let mut created = self.json(&[&["create"], arguments].concat());
        (created["token"].as_str().unwrap().to_owned(), created["session"].take())
    }

    pub(crate) fn authenticate(&self, token: &str) -> Outcome {
        self.run_with_input(&["authenticate", "--format", "json"], token.as_bytes())
    }

    pub(crate) fn count_all(&self) -> u64 {
        self.json(&["count", "--status", "all"])["count"].as_u64().unwrap()
    }
}

impl Outcome {
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code().expect("the command ends by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// This outcome, which must be a success.
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Asserts that the command failed with this code, answered nothing, and said `expected` in plain words.
    pub(crate) fn failed(&self, code: i32, expected: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.contains("error: "), "{self:?}");
        assert!(self.stderr.contains(expected), "no {expected:?} in {self:?}");
        for trace in ["Error {", "Some(", "kind:", "panicked", "\u{1b}"] {
            assert!(!self.stderr.contains(trace), "{trace:?} in {self:?}");
        }
    }

    /// The one JSON value on standard output.
    pub(crate) fn json(&self) -> Value {
        assert!(self.stdout.ends_with('\n'), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// What a terminal showed.
#[cfg(unix)]
impl Cloakroom {
    /// Runs the command on a terminal of its own, on which `typed` is typed at once.
    pub(crate) fn on_terminal(&self, arguments: &[&str], typed: &str) -> (i32, String) {
        use std::io::Read;
        use std::os::fd::OwnedFd;

        use rustix::fs::{Mode, OFlags};
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = rustix::termios::Winsize { ws_row: 50, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&slave, size).unwrap();
        let end = || Stdio::from(OwnedFd::try_clone(&slave).unwrap());
        let mut command = self.command(arguments);
        let mut child =
            command.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        // Once the child has ended, nobody writes any more, and reading ends too.
        drop((command, slave));
        let mut master = std::fs::File::from(master);
        master.write_all(typed.as_bytes()).unwrap();
        let mut shown = Vec::new();
        let mut buffer = [0; 4096];
        // Linux ends it with an error.
        while let Ok(length @ 1..) = master.read(&mut buffer) {
            shown.extend_from_slice(&buffer[..length]);
        }
        (child.wait().unwrap().code().unwrap(), String::from_utf8(shown).unwrap())
    }
}

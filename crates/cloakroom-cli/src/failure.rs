use std::error::Error as StdError;
use std::io;
use std::process::ExitCode;

use cloakroom::{ConfigError, Error, ErrorKind};
use console::style;

use crate::escape::printable;

/// Why a command failed: the message for standard error, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    /// Lines of their own, below the message.
    details: Vec<String>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// The exit codes. They are part of the command's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// The reader of our output has stopped reading, as `head` does. This is no error.
    Done = 0,
    /// There is no such session, or no valid one.
    NotFound = 1,
    /// The request is invalid, or the user did not agree to it.
    Usage = 2,
    /// The database failed, or the machine around it.
    Trouble = 3,
}

impl Failure {
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { exit: Exit::NotFound, message: message.into(), details: Vec::new(), cause: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), details: Vec::new(), cause: None }
    }

    pub(crate) fn trouble(message: impl Into<String>) -> Self {
        Self { exit: Exit::Trouble, message: message.into(), details: Vec::new(), cause: None }
    }

    /// Any error that kept the database from being opened.
    pub(crate) fn unreachable(error: Error) -> Self {
        Self { exit: Exit::Trouble, ..error.into() }
    }

    pub(crate) fn caused_by(self, cause: &dyn StdError) -> Self {
        Self { cause: Some(Cause::of(cause).into()), ..self }
    }

    /// Takes what caused another error for the cause of this one.
    pub(crate) fn caused_by_source_of(self, error: &dyn StdError) -> Self {
        match error.source() {
            Some(source) => self.caused_by(source),
            None => self,
        }
    }

    /// Returns the message and those of its causes, in one line.
    pub(crate) fn in_full(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = self.cause.as_ref().map(|cause| &**cause as &dyn StdError);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }

    /// Returns the same failure, with these lines below its message.
    pub(crate) fn details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }

    /// Returns the same failure, with `context` as its first line.
    pub(crate) fn context(self, context: impl Into<String>) -> Self {
        let Self { exit, message, details, cause } = self;
        let cause = Cause { message, cause };
        Self { exit, message: context.into(), details, cause: Some(Box::new(cause)) }
    }

    /// Tells the user, and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if self.exit != Exit::Done {
            eprintln!("{} {}", style("error:").for_stderr().red().bold(), printable(&self.message));
            for line in &self.details {
                eprintln!("  {}", printable(line));
            }
            let mut cause = self.cause.as_ref().map(|cause| &**cause as &dyn StdError);
            let mut last = self.message.clone();
            while let Some(error) = cause {
                let message = error.to_string();
                // Many libraries repeat in an error the text of its cause.
                if !last.contains(&message) {
                    eprintln!("  caused by: {}", printable(&message));
                }
                last = message;
                cause = error.source();
            }
        }
        ExitCode::from(self.exit as u8)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::NotFound | ErrorKind::Expired => Exit::NotFound,
            ErrorKind::InvalidField
            | ErrorKind::UnknownField
            | ErrorKind::InvalidData
            | ErrorKind::Unsupported => Exit::Usage,
            _ => Exit::Trouble,
        };
        let message = match error.kind() {
            // The library addresses a programmer; this is a shell.
            ErrorKind::MissingTable => "the session table does not exist".to_owned(),
            _ => error.to_string(),
        };
        let cause = error.source().map(|cause| Cause::of(cause).into());
        Self { exit, message, details: Vec::new(), cause }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::BrokenPipe => Exit::Done,
            _ => Exit::Trouble,
        };
        Self {
            exit,
            message: "reading or writing failed".to_owned(),
            details: Vec::new(),
            cause: Some(error.into()),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

/// One line of the chain of causes, copied from a borrowed error.
#[derive(Debug)]
struct Cause {
    message: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Cause {
    fn of(error: &dyn StdError) -> Self {
        let cause = error.source().map(|cause| Self::of(cause).into());
        Self { message: error.to_string(), cause }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

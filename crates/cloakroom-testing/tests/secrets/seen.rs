use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::{Debug, Display, Write};

use cloakroom::{ConfigError, Session, SessionFields, Sessions, Token};

use crate::capture;
use crate::guests::KEY;

/// How much of a secret is enough to give it away: servers shorten what they quote.
const PIECE: usize = 16;

/// Everything that was shown, and the secrets that must not be in it.
#[derive(Default)]
pub(crate) struct Seen {
    text: String,
    types: BTreeSet<String>,
    secrets: Vec<Secret>,
}

struct Secret {
    what: &'static str,
    forms: Vec<String>,
}

impl Seen {
    /// The key of [`KEY`] is a secret, as it is written and as it is.
    pub(crate) fn key(&mut self) {
        self.secret("the key", KEY.as_bytes());
        self.secret("the key", b"for the tests of this house alone!");
    }

    /// From now on this is a secret, in whatever form it may be written.
    pub(crate) fn secret(&mut self, what: &'static str, bytes: &[u8]) {
        let hex: String = bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes everything");
            hex
        });
        let mut texts = vec![hex];
        let mut lists = vec![listed(bytes)];
        if let Ok(text) = std::str::from_utf8(bytes) {
            texts.push(text.to_owned());
            let escaped = format!("{text:?}");
            texts.push(escaped[1..escaped.len() - 1].to_owned());
            if let Some(bytes) = bytes_of_hex(text) {
                lists.push(listed(&bytes));
            }
        }
        // A byte in a list takes up to five characters: a short piece of one is in other lists by chance.
        let texts = texts.iter().flat_map(|form| pieces(&plain(form), PIECE));
        let forms = texts.chain(lists.iter().flat_map(|form| pieces(&plain(form), 5 * PIECE))).collect();
        self.secrets.push(Secret { what, forms });
    }

    /// A token and its digest.
    pub(crate) fn token(&mut self, token: &Token, config: &cloakroom::Config) {
        self.secret("a token", token.expose().as_bytes());
        let digest = config.digest(token).expect("the token can be stored");
        for scheme in config.digests() {
            let digest = scheme.digest(token).expect("the token can be stored");
            // What comes before it is a name, and no secret.
            let secret = digest.expose().rsplit('$').next().unwrap_or_default();
            self.secret("a digest", secret.as_bytes());
        }
        self.show("Token", token);
        self.show("TokenDigest", &digest);
    }

    /// Shows a value of a public type in every way in which `Debug` can.
    pub(crate) fn show(&mut self, name: &str, value: &dyn Debug) {
        self.types.insert(name.to_owned());
        writeln!(self.text, "{name} {value:?} {value:#?}").expect("a string takes everything");
    }

    /// Shows a value by its `Display`.
    pub(crate) fn print(&mut self, value: &dyn Display) {
        writeln!(self.text, "{value} {value:#}").expect("a string takes everything");
    }

    /// Shows an error and everything that caused it.
    pub(crate) fn error(&mut self, error: &(dyn Error + 'static)) {
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.show("Error", &error);
            self.print(&error);
            cause = error.source();
        }
    }

    /// Returns the sessions, or shows why there are none: plaintext is refused for some tables.
    pub(crate) fn made<T>(&mut self, made: Result<Sessions<T>, ConfigError>) -> Option<Sessions<T>> {
        made.inspect_err(|error| {
            self.show("ConfigError", error);
            self.error(error);
        })
        .ok()
    }

    /// Shows the error of an operation that must fail.
    pub(crate) fn failed<R: Debug>(&mut self, result: Result<R, cloakroom::Error>) -> cloakroom::ErrorKind {
        let error = result.expect_err("it fails");
        self.show("ErrorKind", &error.kind());
        self.error(&error);
        error.kind()
    }

    /// Shows a session, and what there is to be had from it.
    pub(crate) fn session<T: SessionFields<Data: Debug> + Debug>(&mut self, session: &Session<T>) {
        self.show("Session", session);
        self.show("Cursor", &session.cursor());
        self.print(&session.cursor());
        self.text.push_str(session.stored_data());
    }

    /// The types of which a value was shown.
    pub(crate) fn types(&self) -> &BTreeSet<String> {
        &self.types
    }

    /// What became public of the secrets, with what stands around it.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let haystack = plain(&format!("{}\n{}", self.text, capture::text()));
        let mut leaks = Vec::new();
        for secret in &self.secrets {
            for form in &secret.forms {
                if let Some(at) = haystack.find(form) {
                    let start = haystack[..at].char_indices().rev().nth(200).map_or(0, |(at, _)| at);
                    leaks.push(format!("{}: {}", secret.what, &haystack[start..at + form.len()]));
                }
            }
        }
        leaks
    }

    pub(crate) fn assert_no_leaks(&self) {
        assert!(self.secrets.len() > 4 && !self.text.is_empty(), "nothing was looked at");
        for reported in ["sqlx::query", "cloakroom::operation", "cloakroom_operations_total"] {
            assert!(capture::text().contains(reported), "{reported} was not captured");
        }
        let leaks = self.leaks();
        assert!(leaks.is_empty(), "{} leaks, the first of them:\n{}", leaks.len(), leaks[0]);
    }
}

/// As `Debug` shows bytes, without the brackets.
fn listed(bytes: &[u8]) -> String {
    let shown = format!("{bytes:?}");
    shown[1..shown.len() - 1].to_owned()
}

/// In one case, with white space of one kind: `{:#?}` puts every byte on a line of its own.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut was_space = false;
    for c in text.chars() {
        let is_space = c.is_whitespace();
        match (is_space, was_space) {
            (true, true) => {}
            (true, false) => plain.push(' '),
            (false, _) => plain.push(c.to_ascii_lowercase()),
        }
        was_space = is_space;
    }
    plain
}

/// The beginning, the middle and the end.
fn pieces(form: &str, length: usize) -> Vec<String> {
    let chars: Vec<char> = form.chars().collect();
    let piece = |start: usize| chars[start..].iter().take(length).collect::<String>();
    let last = chars.len().saturating_sub(length);
    vec![piece(0), piece(last / 2), piece(last)]
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    digits?.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair.get(1)?).ok()).collect()
}

//! The part of a database server's errors that is kept: nothing that they quote.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use super::quotes_a_value;

/// An error message of a database server, without the values that it quotes from the row. The details of PostgreSQL's
/// errors and the values in MariaDB's contain the very digest that was to be stored.
#[derive(Debug)]
pub(crate) struct DatabaseError {
    pub(crate) code: Option<String>,
    pub(crate) message: String,
}

impl DatabaseError {
    pub(crate) fn new(error: &dyn sqlx::error::DatabaseError) -> Self {
        let message = without_values(error.message(), quotes_a_value(error));
        Self { code: error.code().map(Cow::into_owned), message }
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " (code {code})"),
            None => Ok(()),
        }
    }
}

impl StdError for DatabaseError {}

/// Returns a server's message with every value in it blanked.
///
/// Names of tables, columns and keys stay, since they tell the reader what to mend. A message that is known to quote a
/// value, but in words that are not known here, in another language, is left out.
fn without_values(said: &str, quotes_a_value: bool) -> String {
    let said = &without_bytes(said);
    match without_quoted_values(said) {
        Some(blanked) => without_digests(&blanked),
        None if quotes_a_value => "a value was refused, in words that are left out for quoting it".to_owned(),
        None => without_digests(said),
    }
}

/// Blanks the text after the words with which a server introduces a value. Returns `None` if there are no such words.
///
/// `Duplicate entry '…' for key`, `Incorrect string value: '…' for column`, `invalid input syntax for type
/// uuid: "…"`, `Cannot convert string '…' from`, `value "…" is out of range for type integer`.
fn without_quoted_values(said: &str) -> Option<String> {
    const INTRODUCTIONS: [&str; 5] = ["entry '", "value: '", "convert string '", ": \"", "value \""];
    let found = INTRODUCTIONS.iter().filter_map(|words| Some((said.find(words)?, words)));
    let (at, introduction) = found.min()?;
    let start = at + introduction.len();
    let quote = &introduction[introduction.len() - 1..];
    // The value itself may hold any text, so it ends at the last place where it could end.
    let tail = said[start..].rfind("' for ").or_else(|| said[start..].rfind(quote));
    let end = tail.map_or(said.len(), |at| start + at);
    Some(format!("{}…{}", &said[..start], &said[end..]))
}

/// Blanks the bytes of a character that an encoding lacks: `byte sequence 0xf0 0x9f`. The byte of U+0000 stays, since
/// it tells nothing.
fn without_bytes(said: &str) -> String {
    let is_byte = |word: &str| {
        let digits = word.strip_prefix("0x").filter(|digits| digits.len() == 2 && *digits != "00");
        digits.is_some_and(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()))
    };
    let mut words: Vec<&str> = said.split(' ').map(|word| if is_byte(word) { "…" } else { word }).collect();
    words.dedup_by(|word, before| *word == "…" && *before == "…");
    words.join(" ")
}

/// Blanks any text that may be a digest, wherever it stands: a trigger of the application's may say anything.
fn without_digests(said: &str) -> String {
    const SHORTEST: usize = 40;
    let mut kept = String::with_capacity(said.len());
    let mut rest = said;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let digits = rest[start..].find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len() - start);
        let (before, run) = rest[..start + digits].split_at(start);
        kept.push_str(before);
        kept.push_str(if digits < SHORTEST { run } else { "…" });
        rest = &rest[start + digits..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_a_server_quotes_are_blanked_and_names_stay() {
        for (said, kept) in [
            ("Duplicate entry 'c0ffee' for key 'digest'", "Duplicate entry '…' for key 'digest'"),
            (
                "Incorrect string value: '\\xF0' for column `a`.`b`",
                "Incorrect string value: '…' for column `a`.`b`",
            ),
            (
                "Cannot convert string 'c0ffee' from utf8mb4 to ascii",
                "Cannot convert string '…' from utf8mb4 to ascii",
            ),
            ("invalid input syntax for type uuid: \"c0ffee\"", "invalid input syntax for type uuid: \"…\""),
            ("column \"role\" does not exist", "column \"role\" does not exist"),
            ("byte sequence 0xf0 0x9f in encoding \"UTF8\"", "byte sequence … in encoding \"UTF8\""),
            (
                "invalid byte sequence for encoding \"UTF8\": 0x00",
                "invalid byte sequence for encoding \"UTF8\": 0x00",
            ),
            (
                "value \"123\" is out of range for type integer",
                "value \"…\" is out of range for type integer",
            ),
            // A value that tries to end its own quotation.
            ("Duplicate entry 'a' for key 'b', c0ffee' for key 'd'", "Duplicate entry '…' for key 'd'"),
            (
                "invalid input syntax for type json: \"a\" c0ffee\"",
                "invalid input syntax for type json: \"…\"",
            ),
        ] {
            assert_eq!(without_values(said, false), kept);
        }
    }

    #[test]
    fn a_value_quoted_in_another_language_is_left_out_with_its_words() {
        for said in [
            "Doppelter Eintrag 'a-token' für Schlüssel 'digest'",
            "ungültige Eingabesyntax für Typ uuid: »a-token«",
        ] {
            assert!(!without_values(said, true).contains("a-token"), "{said}");
        }
        let harmless = "Feld 'role' unbekannt";
        assert_eq!(without_values(harmless, false), harmless);
    }

    #[test]
    fn what_may_be_a_digest_is_blanked_wherever_it_stands() {
        let digest = "c0ffee00".repeat(8);
        for digest in [digest.to_uppercase(), digest[..40].to_owned(), digest] {
            let said = format!("the trigger says é{digest}, of the row 0a1b2c");
            assert_eq!(without_values(&said, false), "the trigger says é…, of the row 0a1b2c");
        }
    }
}

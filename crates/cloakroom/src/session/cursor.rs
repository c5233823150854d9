use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;
use uuid::Uuid;

/// A place in a listing of sessions: directly after a given session. Made by
/// [`Session::cursor`](crate::Session::cursor), for [`SessionQuery::after`](crate::SessionQuery::after).
///
/// Its text form is safe in a URL and holds no secret: it is the creation in microseconds since 1970, and the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub(crate) inserted_at: OffsetDateTime,
    pub(crate) id: Uuid,
}

impl Cursor {
    pub(crate) fn new(inserted_at: OffsetDateTime, id: Uuid) -> Self {
        Self { inserted_at, id }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.inserted_at.unix_timestamp_nanos() / 1_000;
        write!(f, "{micros}_{}", self.id.simple())
    }
}

/// Reads the form that `Display` writes. Text from outside is safe to parse.
impl FromStr for Cursor {
    type Err = ParseCursorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (micros, id) = text.split_once('_')?;
            let micros: i64 = micros.parse().ok()?;
            let inserted_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()?;
            // The years that every database can compare with.
            ((1..=9999).contains(&inserted_at.year())).then_some(())?;
            Some(Self { inserted_at, id: Uuid::try_parse(id).ok()? })
        };
        parse().ok_or(ParseCursorError(()))
    }
}

/// Text that is not a [`Cursor`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseCursorError(());

impl fmt::Display for ParseCursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a place in a listing of sessions")
    }
}

impl std::error::Error for ParseCursorError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        let cursor = Cursor::new(time::macros::datetime!(2026-11-23 01:48:09.123456 UTC), Uuid::max());
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }

    #[test]
    fn what_is_no_cursor_is_an_error() {
        for garbage in [
            "",
            "_",
            "1_2",
            "x_00000000000000000000000000000000",
            "9223372036854775807_00000000000000000000000000000000",
        ] {
            assert!(garbage.parse::<Cursor>().is_err(), "{garbage}");
        }
    }
}

//! What goes to standard output: one JSON value, or text for people and their pipes.

use std::io::{self, BufWriter, IsTerminal, Write};

use cloakroom::{DynamicFields, DynamicValue, Session, Status};
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
use console::Term;
use futures_util::{Stream, TryStreamExt};
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::args::Format;
use crate::failure::Failure;

/// Always six digits: instants are stored to the microsecond.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// From how many columns on a terminal has room for all that a list can show.
const WIDE: u16 = 110;

/// How much of a timestamp leads up to the second.
const SECONDS: usize = "2026-11-23T01:48:09".len();

/// How much of a session's data a list on a terminal shows.
const DATA_IN_LIST: usize = 60;

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Json,
    /// Tables, for a terminal.
    Table,
    /// Tab-separated, for pipes.
    Plain,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Output(Style);

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self(match format {
            Format::Json => Style::Json,
            Format::Table if io::stdout().is_terminal() => Style::Table,
            Format::Table => Style::Plain,
        })
    }

    pub(crate) fn is_table(self) -> bool {
        self.0 == Style::Table
    }

    pub(crate) fn is_json(self) -> bool {
        self.0 == Style::Json
    }

    /// An answer of one line: `json`, or `text` to read.
    pub(crate) fn answer(self, json: &impl Serialize, text: impl std::fmt::Display) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match self.0 {
            Style::Json => serde_json::to_writer(&mut stdout, json)?,
            Style::Table | Style::Plain => write!(stdout, "{text}")?,
        }
        stdout.write_all(b"\n")?;
        Ok(stdout.flush()?)
    }

    /// An answer of several lines, each with the same columns.
    pub(crate) fn rows<const N: usize>(
        self,
        json: &impl Serialize,
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Result<(), Failure> {
        let mut stdout = BufWriter::new(io::stdout().lock());
        match self.0 {
            Style::Json => {
                serde_json::to_writer(&mut stdout, json)?;
                stdout.write_all(b"\n")?;
            }
            Style::Table => {
                let mut table = table();
                for row in rows {
                    let mut cells = row.iter().map(|text| Cell::new(printable(text)));
                    let name = cells.next().map(|cell| cell.add_attribute(Attribute::Bold));
                    table.add_row(name.into_iter().chain(cells));
                }
                writeln!(stdout, "{table}")?;
            }
            Style::Plain => rows.into_iter().try_for_each(|row| write_line(&mut stdout, &row))?,
        }
        Ok(stdout.flush()?)
    }

    pub(crate) fn session(
        self,
        session: &Session<DynamicFields>,
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        self.rows(&SessionJson::new(session, now), details(session, now))
    }

    /// A list of any length. Only a table is held in memory as a whole, whose columns are as wide as its
    /// widest rows.
    pub(crate) async fn sessions(
        self,
        field_names: &[&str],
        mut sessions: impl Stream<Item = cloakroom::Result<Session<DynamicFields>>> + Unpin,
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        let mut stdout = BufWriter::new(io::stdout().lock());
        match self.0 {
            Style::Json => {
                // Nothing is written before the database has answered, so that its refusal leaves nothing.
                let mut next = sessions.try_next().await?;
                let mut separator = "[";
                while let Some(session) = next {
                    stdout.write_all(separator.as_bytes())?;
                    serde_json::to_writer(&mut stdout, &SessionJson::new(&session, now))?;
                    separator = ",\n";
                    next = sessions.try_next().await?;
                }
                stdout.write_all(if separator == "[" { b"[]\n" } else { b"]\n" })?;
            }
            Style::Table => {
                let is_wide = Term::stdout().size().1 >= WIDE;
                let mut table = list_table(field_names, is_wide);
                while let Some(session) = sessions.try_next().await? {
                    table.add_row(cells(&session, now, is_wide));
                }
                writeln!(stdout, "{table}")?;
            }
            Style::Plain => {
                while let Some(session) = sessions.try_next().await? {
                    write_line(&mut stdout, &columns(&session, now))?;
                }
            }
        }
        Ok(stdout.flush()?)
    }
}

/// `1 session`, `2 sessions`.
pub(crate) fn counted(sessions: u64) -> String {
    let noun = if sessions == 1 { "session" } else { "sessions" };
    format!("{sessions} {noun}")
}

/// A session on standard error, beside a token that has standard output for itself.
pub(crate) fn describe(session: &Session<DynamicFields>, now: OffsetDateTime) {
    for [name, value] in details(session, now) {
        eprintln!("{name}: {}", printable(&value));
    }
}

/// A session as JSON. This form is part of the command's interface.
#[derive(Serialize)]
pub(crate) struct SessionJson<'s> {
    id: String,
    fields: FieldsJson<'s>,
    data: &'s RawValue,
    status: &'static str,
    expires_at: Option<String>,
    inserted_at: String,
    updated_at: String,
}

impl<'s> SessionJson<'s> {
    pub(crate) fn new(session: &'s Session<DynamicFields>, now: OffsetDateTime) -> Self {
        Self {
            id: session.id.to_string(),
            fields: FieldsJson(&session.fields),
            // What was stored is JSON, or the session could not have been read.
            data: serde_json::from_str(session.stored_data()).unwrap_or(RawValue::NULL),
            status: status(session, now),
            expires_at: session.expires_at.map(timestamp),
            inserted_at: timestamp(session.inserted_at),
            updated_at: timestamp(session.updated_at),
        }
    }
}

struct FieldsJson<'s>(&'s DynamicFields);

impl Serialize for FieldsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.iter() {
            map.serialize_entry(name, &ValueJson(value))?;
        }
        map.end()
    }
}

/// A field's value as JSON: numbers and truth values as such, bytes in hexadecimal.
pub(crate) struct ValueJson<'s>(pub(crate) &'s DynamicValue);

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            DynamicValue::Null => serializer.serialize_unit(),
            DynamicValue::Integer(integer) => serializer.serialize_i64(*integer),
            DynamicValue::Bool(truth) => serializer.serialize_bool(*truth),
            DynamicValue::Float(float) => serializer.serialize_f64(*float),
            DynamicValue::Json(text) => {
                serde_json::from_str::<&RawValue>(text).map_err(S::Error::custom)?.serialize(serializer)
            }
            other => serializer.serialize_str(&text_of(other)),
        }
    }
}

/// The columns of a line in a list.
fn columns(session: &Session<DynamicFields>, now: OffsetDateTime) -> Vec<String> {
    let fields = session.fields.iter().map(|(_, value)| text_of(value));
    let mut columns: Vec<String> = [session.id.to_string()].into_iter().chain(fields).collect();
    columns.push(status(session, now).to_owned());
    columns.push(expiry(session));
    columns.push(timestamp(session.inserted_at));
    columns.push(session.stored_data().to_owned());
    columns
}

/// The lines that show one session.
fn details(session: &Session<DynamicFields>, now: OffsetDateTime) -> Vec<[String; 2]> {
    let line = |name: &str, value: String| [name.to_owned(), value];
    let mut lines = vec![line("id", session.id.to_string())];
    lines.extend(session.fields.iter().map(|(name, value)| line(name, text_of(value))));
    lines.push(line("data", session.stored_data().to_owned()));
    lines.push(line("status", status(session, now).to_owned()));
    lines.push(line("expires_at", expiry(session)));
    lines.push(line("inserted_at", timestamp(session.inserted_at)));
    lines.push(line("updated_at", timestamp(session.updated_at)));
    lines
}

fn status(session: &Session<DynamicFields>, now: OffsetDateTime) -> &'static str {
    match session.status(now) {
        Status::Valid => "valid",
        _ => "expired",
    }
}

fn expiry(session: &Session<DynamicFields>) -> String {
    session.expires_at.map_or_else(|| "never".to_owned(), timestamp)
}

pub(crate) fn text_of(value: &DynamicValue) -> String {
    match value {
        DynamicValue::Timestamp(instant) => timestamp(*instant),
        other => other.to_string(),
    }
}

pub(crate) fn timestamp(instant: OffsetDateTime) -> String {
    // The format asks for nothing that an instant could lack.
    instant.to_offset(UtcOffset::UTC).format(TIMESTAMP).unwrap_or_default()
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn list_table(field_names: &[&str], is_wide: bool) -> Table {
    let mut table = table();
    let wide_only = if is_wide { &["inserted_at", "data"][..] } else { &[] };
    let names = ["id"].iter().chain(field_names).chain(&["status", "expires_at"]).chain(wide_only);
    table.set_header(names.map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    if let Some(id) = table.column_mut(0) {
        // It is there to be copied.
        id.set_constraint(ColumnConstraint::ContentWidth);
    }
    table
}

/// The cells of a session in a list on a terminal: what tells it from others, in little room.
fn cells(session: &Session<DynamicFields>, now: OffsetDateTime, is_wide: bool) -> Vec<Cell> {
    let text = |text: &str| Cell::new(shortened(&printable(text)));
    let second = |instant| {
        let timestamp = timestamp(instant);
        Cell::new(timestamp.get(..SECONDS).unwrap_or_default().replace('T', " "))
    };
    let color = if session.is_valid(now) { Color::Green } else { Color::Red };
    let mut cells = vec![text(&session.id.to_string())];
    cells.extend(session.fields.iter().map(|(_, value)| text(&text_of(value))));
    cells.push(text(status(session, now)).fg(color));
    cells.push(session.expires_at.map_or_else(|| text("never"), second));
    if is_wide {
        cells.push(second(session.inserted_at));
        cells.push(text(session.stored_data()));
    }
    cells
}

fn write_line(to: &mut impl Write, columns: &[String]) -> io::Result<()> {
    let columns: Vec<String> = columns.iter().map(|text| printable(text)).collect();
    writeln!(to, "{}", columns.join("\t"))
}

/// The text without characters that would end a line or a column, or that a terminal takes for orders.
/// What sessions hold came from anywhere.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => printable.push_str("\\t"),
            '\n' => printable.push_str("\\n"),
            '\r' => printable.push_str("\\r"),
            // Control characters, and those that turn the direction of text around.
            control
                if control.is_control()
                    || ('\u{202a}'..='\u{202e}').contains(&control)
                    || ('\u{2066}'..='\u{2069}').contains(&control) =>
            {
                printable.extend(control.escape_unicode());
            }
            character => printable.push(character),
        }
    }
    printable
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(DATA_IN_LIST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_session_holds_commands_a_terminal_or_breaks_a_line() {
        assert_eq!(printable("a\tb\nc\r\u{1b}[2J\u{9b}\u{202e}é"), "a\\tb\\nc\\r\\u{1b}[2J\\u{9b}\\u{202e}é");
    }

    #[test]
    fn times_have_six_digits_and_are_in_utc() {
        let instant = time::macros::datetime!(2026-11-23 02:48:09.1 +1);
        assert_eq!(timestamp(instant), "2026-11-23T01:48:09.100000Z");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shortened(&"é".repeat(61)), "é".repeat(60) + "…");
        assert_eq!(shortened(&"é".repeat(60)), "é".repeat(60));
    }
}

//! Writes to standard output: JSON, CSV, or text for people and their pipes.

mod columns;
mod session;

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Write};

use cloakroom::{DynamicFields, Session, UnreadableSession};
use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use console::Term;
use futures_util::{Stream, TryStreamExt};
use serde::Serialize;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

pub(crate) use self::columns::{Columns, built_in_columns};
pub(crate) use self::session::{SessionJson, Shown, ValueJson, place, text_of};
use crate::args::Format;
use crate::escape::{self, printable, printable_lines};
use crate::failure::Failure;

/// Always six digits, because instants are stored to the microsecond.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// From this number of columns on, a terminal has room for every column of a list.
const WIDE: u16 = 110;

/// A session of a list, or the known part of one that does not decode.
pub(crate) type Each = Result<Session<DynamicFields>, UnreadableSession>;

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Json,
    /// JSON, one value on each line.
    JsonLines,
    Csv,
    /// Tables, for a terminal.
    Table,
    /// Tab-separated, for pipes.
    Plain,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) style: Style,
    is_terminal: bool,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let style = match format {
            Format::Json => Style::Json,
            Format::Jsonl => Style::JsonLines,
            Format::Csv => Style::Csv,
            Format::Table if is_terminal => Style::Table,
            Format::Table => Style::Plain,
        };
        Self { style, is_terminal }
    }

    pub(crate) fn is_table(self) -> bool {
        self.style == Style::Table
    }

    pub(crate) fn is_json(self) -> bool {
        matches!(self.style, Style::Json | Style::JsonLines)
    }

    /// An answer of one value: `json`, or `text` to read.
    pub(crate) fn answer(self, json: &impl Serialize, text: impl std::fmt::Display) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match self.style {
            Style::Json | Style::JsonLines => self.write_json(&mut stdout, json)?,
            Style::Csv => {
                let mut writer = csv::Writer::from_writer(&mut stdout);
                self.write_record(&mut writer, [text.to_string()])?;
                writer.flush()?;
            }
            // To the letter for a pipe: it may be a token.
            Style::Table | Style::Plain if !self.is_terminal => writeln!(stdout, "{text}")?,
            Style::Table | Style::Plain => writeln!(stdout, "{}", printable_lines(&text.to_string()))?,
        }
        Ok(stdout.flush()?)
    }

    /// Writes an answer of several lines, each with a name and a value.
    pub(crate) fn rows<const N: usize>(
        self,
        json: &impl Serialize,
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Result<(), Failure> {
        self.records(json, None, rows)
    }

    /// Writes an answer of several lines under column names. Tab-separated lines have no names.
    pub(crate) fn records<const N: usize>(
        self,
        json: &impl Serialize,
        names: Option<[&str; N]>,
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Result<(), Failure> {
        let mut stdout = BufWriter::new(io::stdout().lock());
        match self.style {
            Style::Json | Style::JsonLines => self.write_json(&mut stdout, json)?,
            Style::Csv => {
                let mut writer = csv::Writer::from_writer(&mut stdout);
                if let Some(names) = names {
                    self.write_record(&mut writer, names.map(str::to_owned))?;
                }
                rows.into_iter().try_for_each(|row| self.write_record(&mut writer, row))?;
                writer.flush()?;
            }
            Style::Table => {
                let mut table = table();
                if let Some(names) = names {
                    table.set_header(names.map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
                }
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
        self.shown(&Shown::of(session, now))
    }

    pub(crate) fn shown(self, shown: &Shown<'_>) -> Result<(), Failure> {
        self.rows(&SessionJson::new(shown), shown.details())
    }

    /// Writes a list of any length. Only a table is held in memory as a whole, because its columns are as wide as its
    /// widest rows.
    pub(crate) async fn sessions(
        self,
        columns: &Columns,
        mut sessions: impl Stream<Item = Result<Each, Failure>> + Unpin,
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        let mut stdout = BufWriter::new(io::stdout().lock());
        match self.style {
            Style::Json => {
                // Nothing is written before the database has answered, so that after its refusal there is no output.
                let mut next = sessions.try_next().await?;
                let mut separator = "[";
                while let Some(each) = next {
                    stdout.write_all(separator.as_bytes())?;
                    stdout.write_all(self.escaped(&columns.json(&Shown::each(&each, now))?).as_bytes())?;
                    separator = ",\n";
                    next = sessions.try_next().await?;
                }
                stdout.write_all(if separator == "[" { b"[]\n" } else { b"]\n" })?;
            }
            Style::JsonLines => {
                while let Some(each) = sessions.try_next().await? {
                    writeln!(stdout, "{}", self.escaped(&columns.json_line(&Shown::each(&each, now))?))?;
                }
            }
            Style::Csv => {
                let mut next = sessions.try_next().await?;
                let mut writer = csv::Writer::from_writer(&mut stdout);
                self.write_record(&mut writer, columns.names().map(str::to_owned))?;
                while let Some(each) = next {
                    self.write_record(&mut writer, columns.texts(&Shown::each(&each, now)))?;
                    next = sessions.try_next().await?;
                }
                writer.flush()?;
            }
            Style::Table => {
                let is_wide = Term::stdout().size().1 >= WIDE;
                let mut table = columns.table(is_wide);
                while let Some(each) = sessions.try_next().await? {
                    table.add_row(columns.cells(&Shown::each(&each, now), is_wide));
                }
                writeln!(stdout, "{table}")?;
            }
            Style::Plain => {
                while let Some(each) = sessions.try_next().await? {
                    write_line(&mut stdout, &columns.texts(&Shown::each(&each, now)))?;
                }
            }
        }
        Ok(stdout.flush()?)
    }

    fn write_json(self, to: &mut impl Write, json: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(json)?;
        Ok(writeln!(to, "{}", self.escaped(&text))?)
    }

    /// Writes JSON to the letter, unless the output is a terminal.
    fn escaped(self, json: &str) -> Cow<'_, str> {
        if self.is_terminal { escape::json(json) } else { Cow::Borrowed(json) }
    }

    /// Writes text to the letter, unless the output is a terminal.
    fn write_record<W: Write>(
        self,
        to: &mut csv::Writer<W>,
        cells: impl IntoIterator<Item = String>,
    ) -> io::Result<()> {
        let cells = cells.into_iter().map(|text| if self.is_terminal { printable(&text) } else { text });
        to.write_record(cells).map_err(io::Error::from)
    }
}

/// `1 session`, `2 sessions`.
pub(crate) fn counted(sessions: u64) -> String {
    let noun = if sessions == 1 { "session" } else { "sessions" };
    format!("{sessions} {noun}")
}

/// Writes a session to standard error, beside a token that is alone on standard output.
pub(crate) fn describe(session: &Session<DynamicFields>, now: OffsetDateTime) {
    for [name, value] in Shown::of(session, now).details() {
        eprintln!("{}: {}", printable(&name), printable(&value));
    }
}

pub(crate) fn timestamp(instant: OffsetDateTime) -> String {
    // An instant has everything that the format asks for.
    instant.to_offset(UtcOffset::UTC).format(TIMESTAMP).unwrap_or_default()
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn write_line(to: &mut impl Write, columns: &[String]) -> io::Result<()> {
    let columns: Vec<String> = columns.iter().map(|text| printable(text)).collect();
    writeln!(to, "{}", columns.join("\t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_six_digits_and_are_in_utc() {
        let instant = time::macros::datetime!(2026-11-23 02:48:09.1 +1);
        assert_eq!(timestamp(instant), "2026-11-23T01:48:09.100000Z");
    }
}

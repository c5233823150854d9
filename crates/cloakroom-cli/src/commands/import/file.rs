//! Splits a file into its lines: CSV, or JSON lines.

use std::fmt;
use std::iter::Enumerate;
use std::slice::Split;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::line::{Line, Names, Value};
use crate::args::ImportFormat;

/// A line that cannot be imported, and why. The reason quotes nothing from the line, which may hold a token.
#[derive(Debug)]
pub(super) struct BadLine {
    pub(super) number: u64,
    pub(super) problem: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.number, self.problem)
    }
}

impl std::error::Error for BadLine {}

/// The lines of a file, each as a session to import. If one cannot be told from the next, it is the last.
pub(super) struct Lines<'a> {
    names: Names<'a>,
    of: Of<'a>,
}

/// The lines of a file, as bytes.
type Bytes<'a> = Split<'a, u8, fn(&u8) -> bool>;

enum Of<'a> {
    Csv(Csv<'a>),
    /// Each line with its number.
    JsonLines(Enumerate<Bytes<'a>>),
    /// What is wrong with all of it.
    Bad(Option<BadLine>),
}

struct Csv<'a> {
    reader: csv::Reader<&'a [u8]>,
    record: csv::ByteRecord,
    /// The cells of the line of names, once it was read.
    header: Option<Vec<String>>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8], format: Option<ImportFormat>, names: Names<'a>) -> Self {
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let format = format.unwrap_or_else(|| match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => ImportFormat::Jsonl,
            _ => ImportFormat::Csv,
        });
        let is_end: fn(&u8) -> bool = |byte| *byte == b'\n';
        let of = match format {
            ImportFormat::Jsonl => Of::JsonLines(bytes.split(is_end).enumerate()),
            ImportFormat::Csv => Csv::new(bytes).map_or_else(|bad| Of::Bad(Some(bad)), Of::Csv),
        };
        Self { names, of }
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Line, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        let last = match &mut self.of {
            Of::Bad(bad) => return bad.take().map(Err),
            Of::JsonLines(lines) => loop {
                let (place, line) = lines.next()?;
                let number = place as u64 + 1;
                if let Some(line) = json_line(number, line, self.names).transpose() {
                    return Some(line.map_err(|problem| BadLine { number, problem }));
                }
            },
            Of::Csv(csv) => match csv.next(self.names) {
                Ok(line) => return line,
                Err(last) => last,
            },
        };
        self.of = Of::Bad(None);
        Some(Err(last))
    }
}

impl<'a> Csv<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, BadLine> {
        // If a quotation mark is not closed, the reader makes one cell that contains the following lines.
        if let Some((number, problem)) = misplaced_mark(bytes) {
            return Err(BadLine { number, problem: problem.to_owned() });
        }
        let mut reader = csv::ReaderBuilder::new();
        let reader = reader.has_headers(false).flexible(true).from_reader(bytes);
        Ok(Self { reader, record: csv::ByteRecord::new(), header: None })
    }

    /// Returns the next line, or an error after which no other can be read.
    fn next(&mut self, names: Names<'_>) -> Result<Option<Result<Line, BadLine>>, BadLine> {
        loop {
            let number = self.reader.position().line();
            let bad = |number: u64, problem: &str| BadLine { number, problem: problem.to_owned() };
            match self.reader.read_byte_record(&mut self.record) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                // Reading bytes from memory does not fail, and records may be of any length.
                Err(_) => return Err(bad(number, "it cannot be read as CSV")),
            }
            let number = self.record.position().map_or(number, csv::Position::line);
            let cells: Result<Vec<&str>, _> = self.record.iter().map(std::str::from_utf8).collect();
            let Some(header) = &self.header else {
                // Without names no line can be read.
                let cells = cells.map_err(|_| bad(number, "it is not UTF-8"))?;
                let header: Vec<String> = cells.iter().map(|name| name.trim().to_owned()).collect();
                let meant = header.iter().map(|name| names.meaning(name));
                Line::check_names(meant, names).map_err(|problem| bad(number, &problem))?;
                self.header = Some(header);
                continue;
            };
            let Ok(cells) = cells else {
                return Ok(Some(Err(bad(number, "it is not UTF-8"))));
            };
            if cells.len() != header.len() {
                let problem = format!("it has {} cells, and the line of names {}", cells.len(), header.len());
                return Ok(Some(Err(bad(number, &problem))));
            }
            let values =
                header.iter().zip(cells).map(|(name, cell)| (names.meaning(name), Value::Cell(cell)));
            let line = Line::read(number, values.collect(), names);
            return Ok(Some(line.map_err(|problem| bad(number, &problem))));
        }
    }
}

/// Returns the session of a line, or none if the line is empty.
fn json_line(number: u64, line: &[u8], names: Names<'_>) -> Result<Option<Line>, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8")?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    // Not the error's own text, which may quote the line.
    let Object(entries) =
        serde_json::from_str(text).map_err(|_| "it is no JSON object, or has a key twice")?;
    let mut values = Vec::with_capacity(entries.len());
    let has_field = |name| names.sessions.definition().fields().iter().any(|field| field.name() == name);
    for (name, value) in entries {
        // The form in which `list` writes a session.
        if name == "fields" && !has_field("fields") {
            let Object(fields) = serde_json::from_str::<Object<'_>>(value.get())
                .map_err(|_| "its fields are no JSON object, or have a key twice")?;
            values.extend(fields);
        } else {
            values.push((name, value));
        }
    }
    Line::check_names(values.iter().map(|(name, _)| names.meaning(name)), names)?;
    let values = values.iter().map(|(name, value)| (names.meaning(name), Value::Json(value)));
    Line::read(number, values.collect(), names).map(Some)
}

/// Finds the line of the first quotation mark that RFC 4180 does not allow: in a cell that does not begin with one,
/// after the mark that closes a cell, or never closed.
fn misplaced_mark(bytes: &[u8]) -> Option<(u64, &'static str)> {
    #[derive(Clone, Copy)]
    enum At {
        Start,
        Bare,
        /// In a cell that was opened on this line.
        Quoted(u64),
        /// After a mark that closes the cell, unless another mark follows.
        Closed(u64),
    }

    let (mut at, mut number) = (At::Start, 1);
    for byte in bytes {
        at = match (at, byte) {
            (At::Start, b'"') => At::Quoted(number),
            (At::Quoted(opened), b'"') => At::Closed(opened),
            (At::Bare, b'"') => {
                return Some((number, "it has a quotation mark within a cell; put the cell in marks"));
            }
            (At::Closed(opened), b'"') | (At::Quoted(opened), _) => At::Quoted(opened),
            (_, b',' | b'\n' | b'\r') => At::Start,
            (At::Closed(_), _) => return Some((number, "a cell goes on behind its closing quotation mark")),
            (At::Start | At::Bare, _) => At::Bare,
        };
        if *byte == b'\n' {
            number += 1;
        }
    }
    match at {
        At::Quoted(opened) => Some((opened, "it opens a quotation mark that is never closed")),
        _ => None,
    }
}

/// A JSON object that keeps its values to the letter, and has no key twice.
struct Object<'j>(Vec<(String, &'j RawValue)>);

impl<'de: 'j, 'j> Deserialize<'de> for Object<'j> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut entries: Vec<(String, &'de RawValue)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if entries.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom("a key twice"));
                    }
                    entries.push((name, value));
                }
                Ok(Object(entries))
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotation_marks_enclose_whole_cells() {
        for good in ["", "a,b\n1,2", "\"a\",\"b\r\nc\"\r\n\"\"\"\",\"\"", "\"a\""] {
            assert_eq!(misplaced_mark(good.as_bytes()), None, "{good:?}");
        }
        for (bad, line) in [
            ("a\nb\"c\n", 2),
            ("a\n\"b\" ,c\n", 2),
            ("a\n\"b\nc\nd", 2),
            ("a\n\"b\nc\n\"d\n", 4),
            ("\"\"\"", 1),
        ] {
            assert_eq!(misplaced_mark(bad.as_bytes()).map(|(line, _)| line), Some(line), "{bad:?}");
        }
    }
}

//! Splits a file into its lines: CSV, or JSON lines.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::line::{Line, Value};
use crate::args::ImportFormat;
use crate::context::Table;

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

/// The valid lines of a file, and the invalid ones.
pub(super) fn lines(
    bytes: &[u8],
    format: Option<ImportFormat>,
    sessions: &Table,
) -> (Vec<Line>, Vec<BadLine>) {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let format = format.unwrap_or_else(|| match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => ImportFormat::Jsonl,
        _ => ImportFormat::Csv,
    });
    let mut read = Read { sessions, good: Vec::new(), bad: Vec::new() };
    match format {
        ImportFormat::Csv => read.csv(bytes),
        ImportFormat::Jsonl => read.json_lines(bytes),
    }
    (read.good, read.bad)
}

struct Read<'t> {
    sessions: &'t Table,
    good: Vec<Line>,
    bad: Vec<BadLine>,
}

impl Read<'_> {
    fn csv(&mut self, bytes: &[u8]) {
        // If a quotation mark is not closed, the reader makes one cell that contains the following lines.
        if let Some((number, problem)) = misplaced_mark(bytes) {
            return self.is_bad(number, problem);
        }
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        let mut record = csv::ByteRecord::new();
        let mut names: Option<Vec<String>> = None;
        loop {
            let number = reader.position().line();
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return,
                // Reading bytes from memory does not fail, and records may be of any length.
                Err(_) => return self.is_bad(number, "it cannot be read as CSV"),
            }
            let number = record.position().map_or(number, csv::Position::line);
            let cells: Result<Vec<&str>, _> = record.iter().map(std::str::from_utf8).collect();
            let Ok(cells) = cells else {
                self.is_bad(number, "it is not UTF-8");
                if names.is_none() {
                    return;
                }
                continue;
            };
            let Some(names) = &names else {
                let header: Vec<String> = cells.iter().map(|name| name.trim().to_owned()).collect();
                if let Err(problem) = Line::check_names(header.iter().map(String::as_str), self.sessions) {
                    // Without names no line can be read.
                    return self.is_bad(number, &problem);
                }
                names = Some(header);
                continue;
            };
            if cells.len() != names.len() {
                let problem = format!("it has {} cells, and the line of names {}", cells.len(), names.len());
                self.is_bad(number, &problem);
                continue;
            }
            let values = names.iter().map(String::as_str).zip(cells.into_iter().map(Value::Cell));
            self.line(number, values.collect());
        }
    }

    fn json_lines(&mut self, bytes: &[u8]) {
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let Ok(text) = std::str::from_utf8(line) else {
                self.is_bad(number, "it is not UTF-8");
                continue;
            };
            if text.trim().is_empty() {
                continue;
            }
            // Not the error's own text, which may quote the line.
            let Ok(Object(entries)) = serde_json::from_str(text) else {
                self.is_bad(number, "it is no JSON object, or has a key twice");
                continue;
            };
            let mut values = Vec::with_capacity(entries.len());
            let has_field =
                |name| self.sessions.definition().fields().iter().any(|field| field.name() == name);
            let mut is_object = true;
            for (name, value) in &entries {
                // The form in which `list` writes a session.
                if name == "fields" && !has_field("fields") {
                    match serde_json::from_str::<Object<'_>>(value.get()) {
                        Ok(Object(fields)) => {
                            values.extend(fields.into_iter().map(|(name, value)| (name, Value::Json(value))));
                        }
                        Err(_) => is_object = false,
                    }
                } else {
                    values.push((name.clone(), Value::Json(value)));
                }
            }
            if !is_object {
                self.is_bad(number, "its fields are no JSON object, or have a key twice");
                continue;
            }
            if let Err(problem) =
                Line::check_names(values.iter().map(|(name, _)| name.as_str()), self.sessions)
            {
                self.is_bad(number, &problem);
                continue;
            }
            self.line(number, values.iter().map(|(name, value)| (name.as_str(), *value)).collect());
        }
    }

    fn line(&mut self, number: u64, values: Vec<(&str, Value<'_>)>) {
        match Line::read(number, values, self.sessions) {
            Ok(line) => self.good.push(line),
            Err(problem) => self.is_bad(number, &problem),
        }
    }

    fn is_bad(&mut self, number: u64, problem: &str) {
        self.bad.push(BadLine { number, problem: problem.to_owned() });
    }
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

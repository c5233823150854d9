//! The results as a table for people, as JSON for programs, and as a picture.

mod docs;
mod json;
mod svg;
mod table;

use std::fs::{self, OpenOptions};
use std::path::Path;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::results::Results;

/// Checks that all output files can be written, which is better known before a long run than after it.
pub fn can_be_written(arguments: &Arguments) -> Outcome {
    if let Some(path) = &arguments.docs {
        docs::with_tables(&read_file(path)?, "")?;
    }
    for path in [&arguments.json, &arguments.svg, &arguments.docs].into_iter().flatten() {
        let is_new = !path.exists();
        let opened = OpenOptions::new().append(true).create(true).open(path);
        opened.map_err(|error| format!("{}: {error}", path.display()))?;
        if is_new {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// A file that cannot be written does not keep the others from being written.
pub fn write(results: &Results, arguments: &Arguments) -> Outcome {
    let tables = table::render(results);
    print!("{tables}");
    let json = |path: &Path| write_file(path, &json::render(results)?);
    let docs = |path: &Path| write_file(path, &docs::with_tables(&read_file(path)?, &tables)?);
    let svg = |path: &Path| {
        write_file(path, &svg::render(results).ok_or("nothing that the picture shows was measured")?)
    };
    let written = [
        arguments.json.as_deref().map(json),
        arguments.docs.as_deref().map(docs),
        arguments.svg.as_deref().map(svg),
    ];
    let failures = written.into_iter().flatten().filter_map(Result::err);
    let failures: Vec<String> = failures.map(|failure| failure.to_string()).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ").into()) }
}

fn read_file(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn write_file(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// `1 caller`, `1,024 callers`.
pub fn callers(number: usize) -> String {
    match number {
        1 => "1 caller".to_owned(),
        _ => format!("{} callers", grouped(number as f64)),
    }
}

/// Returns a whole number with its thousands separated.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let rest = digits.len() - index;
        if index > 0 && rest.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits: `0.123`, `1.23`, `12.3`, `123`, `1,234`.
pub fn significant(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => grouped(number),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_known_beforehand_and_nothing_is_left_by_asking() {
        let directory = tempfile::tempdir().unwrap();
        let named = |name: &str| Some(directory.path().join(name));
        let good = Arguments { json: named("new.json"), svg: named("new.svg"), ..Arguments::default() };
        can_be_written(&good).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let nowhere = Arguments { json: named("none/new.json"), ..Arguments::default() };
        assert!(can_be_written(&nowhere).is_err());
        fs::write(directory.path().join("page.md"), "no marks").unwrap();
        let unmarked = Arguments { docs: named("page.md"), ..Arguments::default() };
        assert!(can_be_written(&unmarked).is_err());
    }

    #[test]
    fn one_file_that_cannot_be_written_does_not_cost_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let named = |name: &str| Some(directory.path().join(name));
        let arguments = Arguments { docs: named("no page"), json: named("new.json"), ..Arguments::default() };
        assert!(write(&Results::default(), &arguments).is_err());
        assert!(directory.path().join("new.json").exists());
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(0.0), "0");
        assert_eq!(grouped(999.4), "999");
        assert_eq!(grouped(1000.0), "1,000");
        assert_eq!(grouped(12_345_678.0), "12,345,678");
        assert_eq!(grouped(-100_000.0), "-100,000");
    }

    #[test]
    fn numbers_keep_three_significant_digits() {
        let shown: Vec<String> = [0.123_4, 1.234, 12.34, 123.4, 1234.0].map(significant).into();
        assert_eq!(shown, ["0.123", "1.23", "12.3", "123", "1,234"]);
    }

    #[test]
    fn callers_are_counted_in_words() {
        assert_eq!(callers(1), "1 caller");
        assert_eq!(callers(1024), "1,024 callers");
    }
}

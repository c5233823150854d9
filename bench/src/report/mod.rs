//! The results as a table for people, as JSON for programs, and as a picture.

mod docs;
mod json;
mod svg;
mod table;

pub use table::aligned;

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::Outcome;
use crate::results::Results;

/// The files to write, if any.
#[derive(Debug, Default, PartialEq, Args)]
pub struct Files {
    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write the principal ratios as a picture
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Put the tables into this page, in place of those that are there; of a whole run only
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "only"])]
    pub docs: Option<PathBuf>,
}

/// Checks that all output files can be written, which is better known before a long run than after it.
pub fn can_be_written(files: &Files) -> Outcome {
    if let Some(path) = &files.docs {
        docs::with_tables(&read_file(path)?, "")?;
    }
    for path in [&files.json, &files.svg, &files.docs].into_iter().flatten() {
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
pub fn write(results: &Results, files: &Files) -> Outcome {
    let tables = table::render(results);
    print!("{tables}");
    let json = |path: &Path| write_file(path, &json::render(results)?);
    let docs = |path: &Path| write_file(path, &docs::with_tables(&read_file(path)?, &tables)?);
    let svg = |path: &Path| {
        write_file(path, &svg::render(results).ok_or("nothing that the picture shows was measured")?)
    };
    let written =
        [files.json.as_deref().map(json), files.docs.as_deref().map(docs), files.svg.as_deref().map(svg)];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_known_beforehand_and_nothing_is_left_by_asking() {
        let directory = tempfile::tempdir().unwrap();
        let named = |name: &str| Some(directory.path().join(name));
        let good = Files { json: named("new.json"), svg: named("new.svg"), ..Files::default() };
        can_be_written(&good).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let nowhere = Files { json: named("none/new.json"), ..Files::default() };
        assert!(can_be_written(&nowhere).is_err());
        fs::write(directory.path().join("page.md"), "no marks").unwrap();
        let unmarked = Files { docs: named("page.md"), ..Files::default() };
        assert!(can_be_written(&unmarked).is_err());
    }

    #[test]
    fn one_file_that_cannot_be_written_does_not_cost_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let named = |name: &str| Some(directory.path().join(name));
        let files = Files { docs: named("no page"), json: named("new.json"), ..Files::default() };
        assert!(write(&Results::default(), &files).is_err());
        assert!(directory.path().join("new.json").exists());
    }
}

//! The tables of `docs/observability.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::recorder::Described;

pub(crate) fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file)
}

/// The cells of all rows whose first cell is code, under the heading of this name.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(docs("observability.md")).unwrap();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect("the page has this section");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What stands between backticks.
fn codes(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The metrics, and the labels of each.
pub(crate) fn metrics() -> BTreeMap<String, (Described, BTreeSet<String>)> {
    let metrics = rows("Metrics").into_iter().filter(|cells| cells[0].starts_with("`cloakroom_"));
    metrics
        .map(|cells| {
            let described = Described { kind: cells[1].clone(), unit: cells[2].clone() };
            (cells[0].trim_matches('`').to_owned(), (described, codes(&cells[3])))
        })
        .collect()
}

/// The values that the page lists for a label. Those of several metrics' `outcome` and `reason` are taken together.
pub(crate) fn values(label: &str) -> BTreeSet<String> {
    let begins = format!("`{label}`");
    let rows = rows("Metrics").into_iter().filter(|cells| cells[0].starts_with(&begins));
    rows.flat_map(|cells| codes(&cells[1])).collect()
}

/// The fields of the spans.
pub(crate) fn fields() -> BTreeSet<String> {
    rows("Spans").into_iter().map(|cells| cells[0].trim_matches('`').to_owned()).collect()
}

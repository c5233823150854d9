//! Plain text, which is also Markdown.

use std::fmt::Write;

use crate::format::significant;
use crate::goals::{self, Verdict};
use crate::results::machine::Machine;
use crate::results::{Measure, Results, Row, Table};

pub fn render(results: &Results) -> String {
    let tables: String = results.tables.iter().map(table).collect();
    let quick = "A quick run: its spans are short, and its goals are judged by fewer rounds and rows.\n\n";
    format!(
        "{}{}{tables}\n## What must be reached\n\n{}",
        if results.quick { quick } else { "" },
        machine(&results.machine),
        goals(&goals::judge(results))
    )
}

fn machine(machine: &Machine) -> String {
    let memory = machine.memory_gib.map_or(String::new(), |gib| format!(", {gib} GiB"));
    format!(
        "{} cores of {}{memory}, {}.\n{}.\n{}.\n",
        machine.cores,
        machine.processor,
        machine.system,
        machine.databases.join(", "),
        machine.crates.join(", ")
    )
}

fn goals(verdicts: &[Verdict]) -> String {
    let mut lines =
        vec![["goal", "against", "measured", "must be", "reached", "in rounds"].map(str::to_owned).to_vec()];
    lines.extend(verdicts.iter().map(|verdict| {
        let measured = verdict.measured.clone().unwrap_or("–".to_owned());
        let reached = match verdict.is_reached {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "not measured",
        };
        vec![
            verdict.what.clone(),
            verdict.against.to_owned(),
            measured,
            verdict.required.clone(),
            reached.to_owned(),
            verdict.rounds.map_or("–".to_owned(), |(met, all)| format!("{met} of {all}")),
        ]
    }));
    aligned(&lines)
}

fn table(table: &Table) -> String {
    let mut lines = vec![header(table)];
    lines.extend(table.rows.iter().map(|row| line(table, row)));
    let mut text = format!("\n### {}\n\n{}", table.title, aligned(&lines));
    for note in &table.notes {
        let _ = write!(text, "\n{note}\n");
    }
    text
}

fn header(table: &Table) -> Vec<String> {
    let mut cells = vec!["contestant".to_owned()];
    match table.measure {
        Measure::PerSecond => cells.extend(["per second", "µs a call"].map(str::to_owned)),
        Measure::Microseconds => cells.push("µs".to_owned()),
        Measure::Milliseconds => cells.push("ms".to_owned()),
        Measure::Bytes => cells.push("bytes".to_owned()),
    }
    if has_latencies(table) {
        cells.extend(["p50 µs", "p99 µs"].map(str::to_owned));
    }
    if is_compared(table) {
        cells.push("the first is".to_owned());
    }
    cells
}

/// Milliseconds and bytes are shown as they are.
fn is_compared(table: &Table) -> bool {
    matches!(table.measure, Measure::PerSecond | Measure::Microseconds)
}

fn has_latencies(table: &Table) -> bool {
    table.rows.iter().any(|row| row.latency.is_some())
}

fn line(table: &Table, row: &Row) -> Vec<String> {
    let median = row.median().unwrap_or(f64::NAN);
    let mut cells = vec![row.contestant.clone(), significant(median)];
    if table.measure == Measure::PerSecond {
        cells.push(significant(1e6 / median));
    }
    if has_latencies(table) {
        let show = |value: Option<f64>| value.map_or("–".to_owned(), significant);
        cells.push(show(row.latency.map(|latency| latency.p50)));
        cells.push(show(row.latency.map(|latency| latency.p99)));
    }
    if is_compared(table) {
        let first = table.rows.first().filter(|first| first.contestant != row.contestant);
        let ratio = first.and_then(|first| table.better(&first.contestant, &row.contestant));
        cells.push(ratio.map_or("–".to_owned(), |ratio| {
            let range = ratio.range.map(|(least, most)| format!(" ({least:.2}–{most:.2})"));
            format!("{:.2}×{}", ratio.of_medians, range.unwrap_or_default())
        }));
    }
    cells
}

/// Returns a table in Markdown with aligned columns: the first to the left, the others to the right.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max())
        .map(|width| width.unwrap_or(0).max(3))
        .collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            let _ = if column == 0 {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width + 1);
                let _ = if column == 0 { write!(text, "|-{dashes}") } else { write!(text, "|{dashes}:") };
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::name::CLOAKROOM;

    #[test]
    fn columns_stand_in_line() {
        let lines = [["name", "value"], ["µs", "1"]].map(|line| line.map(str::to_owned).to_vec());
        assert_eq!(aligned(&lines), "| name | value |\n|------|------:|\n| µs   |     1 |\n");
    }

    #[test]
    fn the_ratio_says_how_many_times_better_the_first_row_is() {
        let row = |contestant: &str, values: [f64; 3]| Row {
            contestant: contestant.to_owned(),
            values: values.to_vec(),
            latency: None,
        };
        let rows = vec![row(CLOAKROOM, [40e3, 50e3, 60e3]), row("other", [10e3; 3])];
        let title = "authenticate".to_owned();
        let results = Table { name: "a/1".into(), title, measure: Measure::PerSecond, rows, notes: vec![] };
        let text = table(&results);
        assert!(text.contains("| other      |     10,000 |       100 | 5.00× (4.00–6.00) |"), "{text}");
        assert!(text.contains("| Cloakroom  |     50,000 |      20.0 |                 – |"), "{text}");
    }

    #[test]
    fn a_ratio_of_one_value_has_no_range() {
        let row = |contestant: &str, value| Row {
            contestant: contestant.to_owned(),
            values: vec![value],
            latency: None,
        };
        let rows = vec![row(CLOAKROOM, 40.0), row("other", 20.0)];
        let title = "authenticate".to_owned();
        let results = Table { name: "a/1".into(), title, measure: Measure::PerSecond, rows, notes: vec![] };
        assert!(table(&results).contains(" 2.00× |\n"), "{}", table(&results));
    }

    #[test]
    fn a_quick_run_says_that_it_is_one() {
        let shown = |quick| render(&Results { quick, ..Results::default() });
        assert!(shown(true).starts_with("A quick run") && !shown(false).contains("quick"));
    }
}

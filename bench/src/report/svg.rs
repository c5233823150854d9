//! The principal ratios as a picture: horizontal bars, in colours for light and for dark pages.

use std::fmt::Write;

use crate::catalogue::name::{AXUM_SESSION, BY_HAND, CLOAKROOM, TOWER_SESSIONS};
use crate::results::Results;

/// The contestant that all others are compared with: its bar has the length one.
const UNIT: &str = TOWER_SESSIONS;

const CONTESTANTS: [(&str, &str); 4] =
    [(CLOAKROOM, "own"), (BY_HAND, "second"), (AXUM_SESSION, "third"), (TOWER_SESSIONS, "fourth")];

const TABLES: [(&str, &str); 11] = [
    ("authenticate-postgres/1", "authenticate, PostgreSQL, 1 caller"),
    ("authenticate-postgres/128", "authenticate, PostgreSQL, 128 callers"),
    ("authenticate-postgres/1024", "authenticate, PostgreSQL, 1,024 callers"),
    ("authenticate-sqlite/1", "authenticate, SQLite, 1 caller"),
    ("authenticate-sqlite/128", "authenticate, SQLite, 128 callers"),
    ("create-postgres/128", "create, PostgreSQL, 128 callers"),
    ("create-sqlite-normal/128", "create, SQLite (NORMAL), 128 callers"),
    ("create-sqlite-full/128", "create, SQLite (FULL), 128 callers"),
    ("extend-postgres/128", "extend, PostgreSQL, 128 callers"),
    ("extend-sqlite/128", "extend, SQLite, 128 callers"),
    ("http/64", "HTTP requests, PostgreSQL, 64 connections"),
];

const WIDTH: f64 = 860.0;
const LEFT: f64 = 310.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 92.0;
const BAR: f64 = 12.0;
const GAP: f64 = 14.0;

struct Group {
    label: &'static str,
    /// Class and ratio, one for each contestant that took part.
    bars: Vec<(&'static str, f64)>,
}

/// Returns `None` if nothing of what it shows was measured.
pub fn render(results: &Results) -> Option<String> {
    let groups: Vec<Group> =
        TABLES.into_iter().filter_map(|(table, label)| group(results, table, label)).collect();
    let most = groups.iter().flat_map(|group| &group.bars).map(|bar| bar.1).max_by(f64::total_cmp)?;
    let scale = (WIDTH - LEFT - RIGHT) / most;
    let bars: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = TOP + bars as f64 * BAR + groups.len() as f64 * GAP + 40.0;

    let mut body = String::new();
    let bottom = height - 34.0;
    for tick in ticks(most) {
        let x = LEFT + tick * scale;
        let class = if (tick - 1.0).abs() < f64::EPSILON { "unit" } else { "grid" };
        line(&mut body, class, x, TOP - 8.0, bottom);
        text(&mut body, "axis", "middle", x, bottom + 16.0, &format!("{tick}×"));
    }
    let mut y = TOP;
    for group in &groups {
        let middle = y + group.bars.len() as f64 * BAR / 2.0 + 4.0;
        text(&mut body, "label", "end", LEFT - 12.0, middle, group.label);
        for (class, ratio) in &group.bars {
            let width = ratio * scale;
            let _ = writeln!(
                body,
                r#"<rect class="{class}" x="{LEFT:.1}" y="{y:.1}" width="{width:.1}" height="{:.1}" rx="2"/>"#,
                BAR - 2.0
            );
            let value = times(*ratio);
            text(&mut body, "value", "start", LEFT + width + 5.0, y + BAR - 3.0, &value);
            y += BAR;
        }
        y += GAP;
    }
    Some(picture(height, &legend(), &body))
}

fn group(results: &Results, table: &str, label: &'static str) -> Option<Group> {
    let table = results.table(table)?;
    let bars: Vec<_> = CONTESTANTS
        .into_iter()
        .filter_map(|(contestant, class)| Some((class, table.better(contestant, UNIT)?.of_medians)))
        .collect();
    (!bars.is_empty()).then_some(Group { label, bars })
}

fn times(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.2}×") } else { format!("{ratio:.1}×") }
}

/// Returns round numbers from zero to `most`, about six of them, and one.
fn ticks(most: f64) -> Vec<f64> {
    let step = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0].into_iter().find(|step| most / step <= 8.0);
    let step = step.unwrap_or(200.0);
    let mut ticks: Vec<f64> = (0..=(most / step) as u32).map(|tick| f64::from(tick) * step).collect();
    if step > 1.0 {
        ticks.push(1.0);
    }
    ticks
}

fn legend() -> String {
    let mut text = String::new();
    let mut x = 20.0;
    for (contestant, class) in CONTESTANTS {
        let _ = writeln!(text, r#"<rect class="{class}" x="{x:.1}" y="56" width="12" height="10" rx="2"/>"#);
        self::text(&mut text, "label", "start", x + 18.0, 65.0, contestant);
        x += 42.0 + contestant.len() as f64 * 7.0;
    }
    text
}

fn line(to: &mut String, class: &str, x: f64, top: f64, bottom: f64) {
    let _ = writeln!(to, r#"<line class="{class}" x1="{x:.1}" y1="{top:.1}" x2="{x:.1}" y2="{bottom:.1}"/>"#);
}

fn text(to: &mut String, class: &str, anchor: &str, x: f64, y: f64, text: &str) {
    let text = escaped(text);
    let _ =
        writeln!(to, r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#);
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn picture(height: f64, legend: &str, body: &str) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0} {height:.0}" role="img" aria-labelledby="title">
<title id="title">Throughput of Cloakroom, sqlx by hand and axum_session, as a multiple of that of tower-sessions</title>
<style>
svg {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
.page {{ fill: #ffffff; }} .heading {{ fill: #1b1f24; font-size: 17px; font-weight: 600; }}
.label {{ fill: #1b1f24; font-size: 12.5px; }} .value, .axis {{ fill: #57606a; font-size: 11px; }}
.value {{ stroke: #ffffff; stroke-width: 3px; paint-order: stroke; }}
.grid {{ stroke: #d8dee4; }} .unit {{ stroke: #57606a; stroke-dasharray: 4 3; }}
.own {{ fill: #0a7d5a; }} .second {{ fill: #6e8fb8; }} .third {{ fill: #c9a24b; }} .fourth {{ fill: #9aa3ad; }}
@media (prefers-color-scheme: dark) {{
.page {{ fill: #0d1117; }} .heading, .label {{ fill: #e6edf3; }} .value, .axis {{ fill: #9aa4af; }}
.value {{ stroke: #0d1117; }} .grid {{ stroke: #30363d; }} .unit {{ stroke: #9aa4af; }}
.own {{ fill: #35c491; }} .second {{ fill: #7ea6d9; }} .third {{ fill: #d9b869; }} .fourth {{ fill: #6b747e; }}
}}
</style>
<rect class="page" width="100%" height="100%"/>
<text class="heading" x="20" y="34">Throughput relative to tower-sessions: more is better</text>
{legend}{body}</svg>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use crate::results::{Measure, Row, Table};

    fn results() -> Results {
        let row = |contestant: &str, value| Row {
            contestant: contestant.to_owned(),
            values: vec![value],
            latency: None,
        };
        let table = Table {
            name: "authenticate-postgres/128".to_owned(),
            title: String::new(),
            measure: Measure::PerSecond,
            rows: vec![row(CLOAKROOM, 90.0), row(TOWER_SESSIONS, 20.0), row("another", 1.0)],
            notes: Vec::new(),
        };
        Results { tables: vec![table], ..Results::default() }
    }

    #[test]
    fn each_contestant_has_a_bar_with_its_ratio() {
        let svg = render(&results()).unwrap();
        assert!(svg.contains(">4.5×</text>") && svg.contains(">1.0×</text>"), "{svg}");
        // Four of the legend, one of the page, and two bars.
        assert_eq!(svg.matches("<rect").count(), 4 + 1 + 2);
        assert!(svg.contains("authenticate, PostgreSQL, 128 callers"));
    }

    #[test]
    fn every_bar_is_of_rows_that_a_whole_run_has() {
        for (table, _) in TABLES {
            for contestant in [CLOAKROOM, UNIT] {
                assert!(catalogue::knows(table, contestant), "{contestant} in {table}");
            }
        }
    }

    #[test]
    fn nothing_measured_is_no_picture() {
        assert!(render(&Results::default()).is_none());
    }

    #[test]
    fn text_cannot_end_its_element() {
        let mut svg = String::new();
        text(&mut svg, "label", "start", 0.0, 0.0, "a < b & \"c\" > d");
        assert!(svg.contains(">a &lt; b &amp; &quot;c&quot; &gt; d</text>"), "{svg}");
    }

    #[test]
    fn the_axis_has_a_few_round_numbers_and_one() {
        assert_eq!(ticks(5.5), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(ticks(31.0), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 1.0]);
    }
}

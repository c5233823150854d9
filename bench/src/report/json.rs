use serde::Serialize;

use crate::goals::{self, Verdict};
use crate::results::Results;

#[derive(Serialize)]
struct Report<'r> {
    #[serde(flatten)]
    results: &'r Results,
    goals: Vec<Verdict>,
}

pub fn render(results: &Results) -> serde_json::Result<String> {
    let report = Report { results, goals: goals::judge(results) };
    serde_json::to_string_pretty(&report).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Measure, Row, Table};

    #[test]
    fn names_with_quotes_and_values_come_back_as_they_were() {
        let row = Row { contestant: "a \"b\" \\ c".to_owned(), values: vec![1.5], latency: None };
        let (name, title) = ("x/1".to_owned(), "µs <&>".to_owned());
        let table = Table { name, title, measure: Measure::PerSecond, rows: vec![row], notes: Vec::new() };
        let text = render(&Results { tables: vec![table], ..Results::default() }).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["tables"][0]["rows"][0]["contestant"], "a \"b\" \\ c");
        assert_eq!(read["tables"][0]["measure"], "per_second");
        assert!(read["goals"].as_array().unwrap().iter().all(|goal| goal["measured"].is_null()));
    }
}

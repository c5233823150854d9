use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::page;

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(expression)) = object.get("expr") {
                found.push(expression.clone());
            }
            object.values().for_each(|value| expressions(value, found));
        }
        Value::Array(array) => array.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[test]
fn the_dashboard_shows_each_metric_of_the_page_and_no_other() {
    let dashboard = fs::read_to_string(page::docs("grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    let page = page::metrics();
    let mut shown = BTreeSet::new();
    for expression in &found {
        for word in words(expression).filter(|word| word.starts_with("cloakroom_")) {
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| word.strip_suffix(suffix).filter(|name| page.contains_key(*name)))
                .unwrap_or(word);
            let (described, _) = page.get(name).unwrap_or_else(|| panic!("{word} is not on the page"));
            assert_eq!(
                name != word,
                described.kind == "histogram",
                "{word} is no series of a {}",
                described.kind
            );
            shown.insert(name.to_owned());
        }
        let open = expression.matches(['(', '{', '[']).count();
        assert_eq!(open, expression.matches([')', '}', ']']).count(), "{expression}");
    }
    assert_eq!(shown, page.keys().cloned().collect());
}

/// The labels by which a panel selects or groups.
#[test]
fn the_dashboard_uses_labels_that_its_metrics_have() {
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(page::docs("grafana.json")).unwrap()).unwrap();
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    let labels: BTreeSet<String> = page::metrics().into_values().flat_map(|(_, labels)| labels).collect();
    let known = |label: &str| label == "le" || labels.contains(label);
    for expression in found {
        for grouped in expression.split("by (").skip(1) {
            let list = grouped.split(')').next().unwrap();
            assert!(list.split(',').all(|label| known(label.trim())), "{expression}");
        }
        for selected in expression.split('{').skip(1) {
            let list = selected.split('}').next().unwrap();
            let names = list.split(',').map(|pair| pair.split(['=', '!']).next().unwrap().trim());
            assert!(names.into_iter().all(known), "{expression}");
        }
    }
}

use crate::results::Results;

pub fn render(results: &Results) -> serde_json::Result<String> {
    serde_json::to_string_pretty(results).map(|text| text + "\n")
}

//! A part of a session's data, named by the keys that lead to it: `device.os`, `roles.0`.

use std::collections::HashMap;

use cloakroom::sea_query::{BinOper, Condition, Expr, ExprTrait, IntoCondition};
use cloakroom::{Backend, Comparison};
use serde_json::value::RawValue;

use crate::condition::Test;
use crate::failure::Failure;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(Vec<String>);

impl Path {
    /// Parses keys with dots between them; a number is a key or a place in a list.
    pub(crate) fn parse(keys: &str) -> Result<Self, Failure> {
        let keys: Vec<String> = keys.split('.').map(str::to_owned).collect();
        // The databases have no common way to write other keys.
        if keys.iter().any(|key| key.is_empty() || key.contains(['"', '\\', '\0'])) {
            return Err(Failure::usage(
                "data. is followed by keys, with dots between them, and without quotation marks and backslashes",
            ));
        }
        Ok(Self(keys))
    }

    /// Returns this part of a JSON text, to the letter.
    pub(crate) fn find<'j>(&self, json: &'j str) -> Option<&'j RawValue> {
        let mut found: &RawValue = serde_json::from_str(json).ok()?;
        for key in &self.0 {
            let inner = found.get();
            found = match serde_json::from_str::<HashMap<std::borrow::Cow<'_, str>, &RawValue>>(inner) {
                Ok(map) => *map.get(&**key)?,
                Err(_) => *serde_json::from_str::<Vec<&RawValue>>(inner).ok()?.get(place(key)?)?,
            };
        }
        Some(found)
    }

    /// Returns the condition that this part of the data compares in this way.
    pub(crate) fn condition(&self, test: &Test, backend: Backend) -> Result<Condition, Failure> {
        let part = Part { json: self.json(backend), backend };
        Ok(match test {
            Test::IsNull => part.text().is_null().into_condition(),
            Test::IsNotNull => part.text().is_not_null().into_condition(),
            Test::Compares(comparison, value) => part.compares(*comparison, value).into_condition(),
            Test::HasScope(_) => {
                return Err(Failure::usage("~= asks a field for one of its scopes; data has none"));
            }
        })
    }

    /// Returns an expression for the part, as the database represents JSON.
    fn json(&self, backend: Backend) -> Expr {
        let data = Expr::col("data");
        match backend {
            Backend::Postgres => {
                let places: Vec<String> = (2..self.0.len() + 2).map(|place| format!("${place}")).collect();
                let sql = format!("jsonb_extract_path(CAST($1 AS jsonb), {})", places.join(", "));
                let keys = self.0.iter().map(|key| Expr::val(&**key));
                Expr::cust_with_exprs(sql, [data].into_iter().chain(keys))
            }
            Backend::Sqlite => {
                // Text that is not JSON has no parts; without this the whole query would fail.
                let valid = Expr::cust_with_exprs("CASE WHEN json_valid(?) THEN ? END", [data.clone(), data]);
                self.step_by_step(valid, "? -> ?")
            }
            _ => self.step_by_step(data, "JSON_EXTRACT(?, ?)"),
        }
    }

    fn step_by_step(&self, data: Expr, step: &'static str) -> Expr {
        self.0.iter().fold(data, |json, key| {
            let by_key = [json.clone(), Expr::val(format!("$.\"{key}\""))];
            match place(key) {
                None => Expr::cust_with_exprs(format!("({step})"), by_key),
                Some(place) => {
                    let by_place = [json, Expr::val(format!("$[{place}]"))];
                    Expr::cust_with_exprs(
                        format!("COALESCE({step}, {step})"),
                        by_key.into_iter().chain(by_place),
                    )
                }
            }
        })
    }
}

fn place(key: &str) -> Option<usize> {
    key.bytes().all(|byte| byte.is_ascii_digit()).then(|| key.parse().ok())?
}

/// A part of the data, in a statement.
struct Part {
    json: Expr,
    backend: Backend,
}

impl Part {
    /// The part as text: the text of a JSON string, and other JSON as it is written. Null stays null.
    fn text(&self) -> Expr {
        let json = || self.json.clone();
        match self.backend {
            Backend::Postgres => Expr::cust_with_expr("($1 #>> '{}')", json()),
            Backend::Sqlite => Expr::cust_with_exprs(
                "CASE json_type(?) WHEN 'text' THEN ? ->> '$' WHEN 'null' THEN NULL ELSE ? END",
                [json(), json(), json()],
            ),
            _ => Expr::cust_with_exprs(
                "CASE JSON_TYPE(?) WHEN 'NULL' THEN NULL ELSE JSON_UNQUOTE(?) END",
                [json(), json()],
            ),
        }
    }

    /// A number is compared with numbers. For "equal" and "unequal" any part is compared with a text; for "less" and
    /// "greater" only a text is.
    fn compares(&self, comparison: Comparison, value: &str) -> Expr {
        let is_equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        let operator = operator(comparison);
        let (is_number, is_string) = self.is_of_type();
        let text = self.compares_text(operator, value);
        let number = serde_json::from_str::<serde_json::Number>(value).ok().filter(|_| value.trim() == value);
        match (number, is_equality) {
            (None, true) => text,
            (None, false) => is_string.and(text),
            (Some(number), true) => {
                // Not `or`: arithmetic on a part that is not a number would fail.
                let mut either = cloakroom::sea_query::CaseStatement::new();
                either = either.case(is_number, self.compares_number(operator, value, &number));
                either.finally(text).into()
            }
            (Some(number), false) => {
                let only = cloakroom::sea_query::CaseStatement::new();
                only.case(is_number, self.compares_number(operator, value, &number))
                    .finally(Expr::cust("NULL"))
                    .into()
            }
        }
    }

    /// Returns whether the part is a number, and whether it is text.
    fn is_of_type(&self) -> (Expr, Expr) {
        let (type_of, number, string): (_, &[&str], _) = match self.backend {
            Backend::Postgres => ("jsonb_typeof($1)", &["number"], "string"),
            Backend::Sqlite => ("json_type(?)", &["integer", "real"], "text"),
            _ => ("JSON_TYPE(?)", &["INTEGER", "UNSIGNED INTEGER", "DOUBLE", "DECIMAL"], "STRING"),
        };
        let type_of = || Expr::cust_with_expr(type_of, self.json.clone());
        (type_of().is_in(number.iter().copied()), type_of().eq(string))
    }

    fn compares_text(&self, operator: BinOper, value: &str) -> Expr {
        let (text, value) = (self.text(), Expr::val(value));
        match self.backend {
            Backend::Postgres => Expr::cust_with_expr("($1 COLLATE \"C\")", text).binary(operator, value),
            Backend::Sqlite => text.binary(operator, value),
            _ => {
                let bytes = |text| Expr::cust_with_expr("CAST(CONVERT(? USING utf8mb4) AS BINARY)", text);
                bytes(text).binary(operator, bytes(value))
            }
        }
    }

    fn compares_number(&self, operator: BinOper, value: &str, number: &serde_json::Number) -> Expr {
        let inexact = || Expr::val(number.as_f64().unwrap_or(f64::NAN));
        match self.backend {
            Backend::Postgres => Expr::cust_with_expr("CAST($1 AS numeric)", self.text())
                .binary(operator, Expr::cust_with_expr("CAST(CAST($1 AS text) AS numeric)", value)),
            Backend::Sqlite => {
                let value = number.as_i64().map_or_else(inexact, Expr::val);
                Expr::cust_with_expr("(? ->> '$')", self.json.clone()).binary(operator, value)
            }
            _ => Expr::cust_with_expr("CAST(? AS DOUBLE)", self.text()).binary(operator, inexact()),
        }
    }
}

fn operator(comparison: Comparison) -> BinOper {
    match comparison {
        Comparison::Equal => BinOper::Equal,
        Comparison::NotEqual => BinOper::NotEqual,
        Comparison::Less => BinOper::SmallerThan,
        Comparison::LessOrEqual => BinOper::SmallerThanOrEqual,
        Comparison::Greater => BinOper::GreaterThan,
        Comparison::GreaterOrEqual => BinOper::GreaterThanOrEqual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_data_is_found_by_its_keys() {
        let json = r#"{"device": {"os": "iOS", "v": 1.50}, "roles": ["a", null], "é\u0041": true}"#;
        for (keys, part) in [
            ("device.os", Some("\"iOS\"")),
            ("device.v", Some("1.50")),
            ("roles.1", Some("null")),
            ("roles.2", None),
            ("roles.x", None),
            ("device.os.x", None),
            ("éA", Some("true")),
            ("nothing", None),
        ] {
            assert_eq!(Path::parse(keys).unwrap().find(json).map(RawValue::get), part, "{keys}");
        }
    }

    #[test]
    fn what_is_no_path_is_an_error() {
        for keys in ["", ".", "a..b", "a.", "a\"b", "a\\b", "a\0"] {
            assert!(Path::parse(keys).is_err(), "{keys:?}");
        }
    }
}

//! JSON objects in which each member has a name of its own.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::ProofError;

/// More members than any object of a proof has. It bounds the search for two of one name.
const MOST_MEMBERS: usize = 32;

/// The members of an object, each with a name of its own.
///
/// Readers differ in which of two members of one name they take, and what is checked must be what is used.
pub(super) struct Object<'j>(Vec<(String, &'j RawValue)>);

impl<'j> Object<'j> {
    pub(super) fn parse(json: &'j [u8]) -> Result<Self, ProofError> {
        let object: Self = serde_json::from_slice(json).map_err(|_| ProofError::Json)?;
        let members = &object.0;
        let is_repeated = |(place, (name, _)): (usize, &(String, _))| {
            members[..place].iter().any(|(other, _)| other == name)
        };
        if members.len() > MOST_MEMBERS || members.iter().enumerate().any(is_repeated) {
            return Err(ProofError::Members);
        }
        Ok(object)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn get(&self, name: &str) -> Option<&'j RawValue> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| *value)
    }

    /// Returns the text of a member; `None` if there is no such member.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ProofError> {
        let value = self.get(name).map(|value| serde_json::from_str(value.get()));
        value.transpose().map_err(|_| ProofError::Json)
    }
}

impl<'j> Deserialize<'j> for Object<'j> {
    fn deserialize<D: Deserializer<'j>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'j> Visitor<'j> for Members {
    type Value = Object<'j>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            // One more than allowed is enough to refuse it.
            if members.len() <= MOST_MEMBERS {
                members.push(member);
            }
        }
        Ok(Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> Option<ProofError> {
        Object::parse(json.as_bytes()).err()
    }

    #[test]
    fn an_object_is_read_with_its_members() {
        let object = Object::parse(br#" {"a": "x\u0041", "b": {"a": 1, "a": 2}, "" : null} "#).unwrap();
        assert_eq!(object.names().collect::<Vec<_>>(), ["a", "b", ""]);
        assert_eq!(object.text("a").unwrap().as_deref(), Some("xA"));
        assert_eq!(object.text("c"), Ok(None));
        assert_eq!(object.text("b"), Err(ProofError::Json));
        assert_eq!(object.text(""), Err(ProofError::Json));
        assert_eq!(object.get("b").unwrap().get(), r#"{"a": 1, "a": 2}"#);
    }

    #[test]
    fn two_members_of_one_name_are_refused_however_they_are_written() {
        for json in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"a":3}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"jwk":{},"jw\u006b":{}}"#,
        ] {
            assert_eq!(problem(json), Some(ProofError::Members), "{json}");
        }
        assert_eq!(problem(r#"{"a":1,"A":1}"#), None);
    }

    #[test]
    fn more_members_than_any_proof_has_are_refused() {
        let object = |members: usize| {
            let members: Vec<_> = (0..members).map(|number| format!(r#""{number}":0"#)).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(problem(&object(MOST_MEMBERS)), None);
        assert_eq!(problem(&object(MOST_MEMBERS + 1)), Some(ProofError::Members));
        assert_eq!(problem(&object(10 * MOST_MEMBERS)), Some(ProofError::Members));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in [
            "",
            "null",
            "[]",
            "\"{}\"",
            "1",
            "{}{}",
            "{} x",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "\u{feff}{}",
            "{\"a\":01}",
        ] {
            assert_eq!(problem(json), Some(ProofError::Json), "{json}");
        }
        assert_eq!(Object::parse(b"{\"\xff\":1}").err(), Some(ProofError::Json));
    }

    #[test]
    fn deep_nesting_is_no_matter_of_the_stack() {
        let json = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(problem(&json), None);
    }
}

//! The forms in which a session is shown.

use cloakroom::{Cursor, DynamicFields, DynamicValue, RetiredToken, Session, Sliding};
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::{Each, timestamp};

/// What the library says of an instant that the row holds in no form that it can read.
const UNREADABLE: OffsetDateTime = datetime!(9999-12-31 23:59:59.999999 UTC);

/// Returns the place of a session in a listing, after which a page can begin. `None` if the session's `inserted_at`
/// cannot be read: then only the database knows what follows it.
pub(crate) fn place(each: &Each) -> Option<Cursor> {
    match each {
        Ok(session) => Some(session.cursor()),
        Err(session) => (session.inserted_at != UNREADABLE).then(|| session.cursor()),
    }
}

/// The shown part of a session. If the session does not decode, it has neither fields nor data.
pub(crate) struct Shown<'s> {
    pub(super) id: Uuid,
    pub(super) fields: Option<&'s DynamicFields>,
    pub(super) data: Option<&'s str>,
    pub(super) is_valid: bool,
    pub(super) expires_at: Option<OffsetDateTime>,
    pub(super) inserted_at: OffsetDateTime,
    pub(super) updated_at: OffsetDateTime,
    sliding: Sliding,
    pub(super) cursor: Option<Cursor>,
    error: Option<String>,
    /// Tokens that were replaced and are still good.
    old_tokens: Vec<RetiredToken>,
}

impl<'s> Shown<'s> {
    pub(crate) fn of(session: &'s Session<DynamicFields>, now: OffsetDateTime) -> Self {
        Self {
            id: session.id,
            fields: Some(&session.fields),
            data: Some(session.stored_data()),
            is_valid: session.is_valid(now),
            expires_at: session.expires_at,
            inserted_at: session.inserted_at,
            updated_at: session.updated_at,
            sliding: session.sliding(),
            cursor: Some(session.cursor()),
            error: None,
            old_tokens: Vec::new(),
        }
    }

    pub(crate) fn each(each: &'s Each, now: OffsetDateTime) -> Self {
        let session = match each {
            Ok(session) => return Self::of(session, now),
            Err(unreadable) => unreadable,
        };
        let written_at = Some(session.updated_at).filter(|instant| *instant != UNREADABLE);
        let is_after = |instant| instant > written_at.map_or(now, |written_at| Ord::max(now, written_at));
        Self {
            id: session.id,
            fields: None,
            data: None,
            is_valid: session.expires_at.is_none_or(is_after),
            expires_at: session.expires_at,
            inserted_at: session.inserted_at,
            updated_at: session.updated_at,
            sliding: Sliding::AsConfigured,
            cursor: place(each),
            error: Some(session.error.to_string()),
            old_tokens: Vec::new(),
        }
    }

    pub(crate) fn with_old_tokens(self, old_tokens: Vec<RetiredToken>) -> Self {
        Self { old_tokens, ..self }
    }

    /// Returns by how many seconds the session slides: 0 if never, and nothing if as configured.
    pub(super) fn sliding_seconds(&self) -> Option<u64> {
        match self.sliding {
            Sliding::AsConfigured => None,
            Sliding::Fixed => Some(0),
            Sliding::By(span) => Some(span.as_secs()),
        }
    }

    /// Returns the lines that show one session.
    pub(crate) fn details(&self) -> Vec<[String; 2]> {
        let line = |name: &str, value: String| [name.to_owned(), value];
        let mut lines = vec![line("id", self.id.to_string())];
        if let Some(fields) = self.fields {
            lines.extend(fields.iter().map(|(name, value)| line(name, text_of(value))));
        }
        lines.extend(self.data.map(|data| line("data", data.to_owned())));
        lines.push(line("status", self.status().to_owned()));
        lines.push(line("expires_at", self.expiry()));
        lines.push(line("inserted_at", timestamp(self.inserted_at)));
        lines.push(line("updated_at", timestamp(self.updated_at)));
        lines.extend(self.old_tokens.iter().map(|old| {
            let until = format!("good until {}", timestamp(old.usable_until));
            let hint = old.hint.as_ref().map(|hint| format!("{hint}, ")).unwrap_or_default();
            line("old token", hint + &until)
        }));
        lines.extend(self.error.as_ref().map(|error| line("error", error.clone())));
        lines
    }

    pub(super) fn status(&self) -> &'static str {
        if self.is_valid { "valid" } else { "expired" }
    }

    pub(super) fn expiry(&self) -> String {
        self.expires_at.map_or_else(|| "never".to_owned(), timestamp)
    }
}

/// A session as JSON. This form is part of the command's interface.
#[derive(Serialize)]
pub(crate) struct SessionJson<'s> {
    id: String,
    fields: Option<FieldsJson<'s>>,
    data: Option<&'s RawValue>,
    status: &'static str,
    expires_at: Option<String>,
    inserted_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    old_tokens: Vec<OldTokenJson<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'s str>,
}

#[derive(Serialize)]
struct OldTokenJson<'s> {
    retired_at: String,
    usable_until: String,
    hint: Option<&'s str>,
}

impl<'s> SessionJson<'s> {
    pub(crate) fn new(shown: &'s Shown<'s>) -> Self {
        Self {
            id: shown.id.to_string(),
            fields: shown.fields.map(FieldsJson),
            // The stored data is JSON, or the session could not have been read.
            data: shown.data.map(|data| serde_json::from_str(data).unwrap_or(RawValue::NULL)),
            status: shown.status(),
            expires_at: shown.expires_at.map(timestamp),
            inserted_at: timestamp(shown.inserted_at),
            updated_at: timestamp(shown.updated_at),
            old_tokens: shown.old_tokens.iter().map(OldTokenJson::new).collect(),
            error: shown.error.as_deref(),
        }
    }
}

impl<'s> OldTokenJson<'s> {
    fn new(old: &'s RetiredToken) -> Self {
        Self {
            retired_at: timestamp(old.retired_at),
            usable_until: timestamp(old.usable_until),
            hint: old.hint.as_deref(),
        }
    }
}

struct FieldsJson<'s>(&'s DynamicFields);

impl Serialize for FieldsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.iter() {
            map.serialize_entry(name, &ValueJson(value))?;
        }
        map.end()
    }
}

/// Returns a field's value as JSON: numbers and truth values as such, bytes in hexadecimal.
pub(crate) struct ValueJson<'s>(pub(crate) &'s DynamicValue);

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            DynamicValue::Null => serializer.serialize_unit(),
            DynamicValue::Integer(integer) => serializer.serialize_i64(*integer),
            DynamicValue::Bool(truth) => serializer.serialize_bool(*truth),
            DynamicValue::Float(float) => serializer.serialize_f64(*float),
            DynamicValue::Json(text) => {
                serde_json::from_str::<&RawValue>(text).map_err(S::Error::custom)?.serialize(serializer)
            }
            other => serializer.serialize_str(&text_of(other)),
        }
    }
}

pub(crate) fn text_of(value: &DynamicValue) -> String {
    match value {
        DynamicValue::Timestamp(instant) => timestamp(*instant),
        other => other.to_string(),
    }
}

//! A session's JSON as it is stored. What was read and not changed is kept to the letter.
//!
//! Numbers beyond 64 bits, `1e20` and keys that the application's own type does not know would not survive
//! a round trip through Rust values. So the text that was read is kept beside the value, and a write is the
//! old text with only the changed parts replaced.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::database::{FieldValue, Repr};
use crate::error::{Error, ErrorKind, Result};

/// The data of a new session that is given none: the type's [`Default`], or `{}` if the type is any JSON.
///
/// Every type with a `Default` implements this trait; there is nothing to implement. [`NewSession::new`] needs it, and
/// [`NewSession::with_data`] does not.
///
/// [`NewSession::new`]: crate::NewSession::new
/// [`NewSession::with_data`]: crate::NewSession::with_data
#[diagnostic::on_unimplemented(
    message = "a new session needs data, and `{Self}` has no default",
    label = "`NewSession::new` gives no data, and `{Self}` does not implement `Default`",
    note = "give the data with `NewSession::with_data(fields, data)`, or derive `Default` for `{Self}`"
)]
pub trait DefaultData {
    /// Returns the data of a new session that is given none.
    fn default_data() -> Self;
}

// Without this attribute the compiler's error names `Default` alone, and does not mention `with_data`.
#[diagnostic::do_not_recommend]
impl<D: Default + 'static> DefaultData for D {
    fn default_data() -> Self {
        let mut data = D::default();
        // The default of `Value` is `null`, but a session's data is an object.
        if let Some(json) = (&mut data as &mut dyn Any).downcast_mut::<Value>() {
            *json = Value::Object(serde_json::Map::new());
        }
        data
    }
}

/// The depth to which `serde_json` itself reads.
const MAX_DEPTH: usize = 127;

/// JSON text with sorted keys and no white space, so that equal data is equal text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredData(Box<str>);

impl StoredData {
    /// Takes the text that the database returned, as it is.
    pub(crate) fn from_database(text: String) -> Self {
        Self(text.into())
    }

    pub(crate) fn of<D: Serialize + ?Sized>(data: &D) -> Result<Self> {
        let raw = serde_json::value::to_raw_value(data).map_err(invalid)?;
        let mut text = String::with_capacity(raw.get().len());
        write_canonical(&raw, MAX_DEPTH, &mut text)?;
        Ok(Self(text.into()))
    }

    /// Takes JSON text that another program may have written. Fails if a number is beyond the range that readers hold,
    /// or if an escape is no character.
    pub(crate) fn of_raw(data: &RawValue) -> Result<Self> {
        let stored = Self::of(data)?;
        serde_json::from_str::<Value>(&stored.0).map_err(|error| {
            Error::new(ErrorKind::InvalidData, "data holds what could not be read again").with_source(error)
        })?;
        Ok(stored)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the length of the text in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn to_field_value(&self) -> FieldValue {
        // Text that was read from the database is JSON, and so is text that was written here.
        match RawValue::from_string(self.0.to_string()) {
            Ok(raw) => FieldValue(Repr::Json(raw.into())),
            Err(_) => FieldValue::plain(&*self.0),
        }
    }

    /// Parses the text as the table's data type.
    pub(crate) fn parse<D: DeserializeOwned>(&self) -> Result<D, serde_json::Error> {
        serde_json::from_str(&self.0)
    }

    /// Parses text that a caller wants to store.
    pub(crate) fn parse_given<D: DeserializeOwned>(&self) -> Result<D> {
        self.parse().map_err(|error| {
            Error::new(
                ErrorKind::InvalidData,
                "data does not have the form that the table's data type asks for",
            )
            .with_source(error)
        })
    }

    /// Returns this text with the changes that `data` makes to it, or `None` if nothing was changed.
    pub(crate) fn changed_to<D: Serialize + DeserializeOwned>(&self, data: &D) -> Result<Option<Self>> {
        let before = serde_json::to_value(self.parse_given::<D>()?).map_err(invalid)?;
        let after = serde_json::to_value(data).map_err(invalid)?;
        if before == after {
            return Ok(None);
        }
        let stored: &RawValue = serde_json::from_str(&self.0).map_err(invalid)?;
        let mut text = String::with_capacity(self.0.len());
        write_merged(stored, &before, &after, MAX_DEPTH, &mut text)?;
        let changed = Self(text.into());
        // Text that cannot be read again must not be written.
        changed.parse_given::<D>()?;
        Ok(Some(changed))
    }
}

/// One part of the data that is written.
#[derive(Clone, Copy)]
enum Part<'a> {
    /// Text that is stored already, and stays.
    Stored(&'a RawValue),
    /// A value that is new, or takes the place of all that is stored.
    New(&'a Value),
    /// A value that is stored as the text `stored`, which was read as `before` and becomes `after`.
    Merged { stored: &'a RawValue, before: &'a Value, after: &'a Value },
}

impl Part<'_> {
    fn write(self, depth: usize, text: &mut String) -> Result<()> {
        match self {
            Self::Stored(stored) => write_canonical(stored, depth, text),
            Self::New(value) => write_value(value, depth, text),
            Self::Merged { stored, before, after } => write_merged(stored, before, after, depth, text),
        }
    }
}

/// Writes `after`, with the stored text for every part that is the same in `before`.
///
/// `before` and `after` are the data as the application's type held it then and now. A key that is in `stored` but in
/// neither of them is one that the type does not know; it is kept.
fn write_merged(
    stored: &RawValue,
    before: &Value,
    after: &Value,
    depth: usize,
    text: &mut String,
) -> Result<()> {
    if before == after {
        return write_canonical(stored, depth, text);
    }
    let depth = deeper(depth)?;
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let stored: BTreeMap<Cow<'_, str>, &RawValue> = parse(stored)?;
            let mut members: BTreeMap<&str, Part<'_>> =
                after.iter().map(|(key, value)| (key.as_str(), Part::New(value))).collect();
            for (key, stored) in &stored {
                match (before.get(&**key), after.get(&**key)) {
                    (None, None) => members.insert(key, Part::Stored(stored)),
                    (Some(before), Some(after)) => {
                        members.insert(key, Part::Merged { stored, before, after })
                    }
                    // The caller has added the key, or removed it.
                    (None, Some(_)) | (Some(_), None) => continue,
                };
            }
            write_object(members, text, |part, text| part.write(depth, text))
        }
        (Value::Array(olds), Value::Array(news)) if olds.len() == news.len() => {
            let stored: Vec<&RawValue> = parse(stored)?;
            if stored.len() != olds.len() {
                return write_value(after, depth, text);
            }
            let elements = stored.into_iter().zip(olds.iter().zip(news));
            let parts = elements.map(|(stored, (before, after))| Part::Merged { stored, before, after });
            write_array(parts, text, |part, text| part.write(depth, text))
        }
        _ => write_value(after, depth, text),
    }
}

fn write_value(value: &Value, depth: usize, text: &mut String) -> Result<()> {
    let raw = serde_json::value::to_raw_value(value).map_err(invalid)?;
    write_canonical(&raw, depth, text)
}

/// Writes `raw` with sorted keys and no white space. If a key is repeated, the last one counts. Scalars are copied to
/// the letter.
fn write_canonical(raw: &RawValue, depth: usize, text: &mut String) -> Result<()> {
    match raw.get().as_bytes().first() {
        Some(b'{') => {
            let depth = deeper(depth)?;
            let members: BTreeMap<Cow<'_, str>, &RawValue> = parse(raw)?;
            write_object(members, text, |member, text| write_canonical(member, depth, text))
        }
        Some(b'[') => {
            let depth = deeper(depth)?;
            let elements: Vec<&RawValue> = parse(raw)?;
            write_array(elements, text, |element, text| write_canonical(element, depth, text))
        }
        _ => {
            text.push_str(raw.get());
            Ok(())
        }
    }
}

fn write_object<K: AsRef<str>, M>(
    members: BTreeMap<K, M>,
    text: &mut String,
    mut write: impl FnMut(M, &mut String) -> Result<()>,
) -> Result<()> {
    text.push('{');
    for (place, (key, member)) in members.into_iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(key.as_ref()).map_err(invalid)?);
        text.push(':');
        write(member, text)?;
    }
    text.push('}');
    Ok(())
}

fn write_array<E>(
    elements: impl IntoIterator<Item = E>,
    text: &mut String,
    mut write: impl FnMut(E, &mut String) -> Result<()>,
) -> Result<()> {
    text.push('[');
    for (place, element) in elements.into_iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        write(element, text)?;
    }
    text.push(']');
    Ok(())
}

fn parse<'a, T: serde::Deserialize<'a>>(raw: &'a RawValue) -> Result<T> {
    serde_json::from_str(raw.get()).map_err(invalid)
}

fn deeper(depth: usize) -> Result<usize> {
    depth.checked_sub(1).ok_or_else(|| {
        Error::new(ErrorKind::InvalidData, format!("data is nested deeper than {MAX_DEPTH} levels"))
    })
}

fn invalid(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::InvalidData, "data cannot be written as JSON").with_source(error)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    fn stored(text: &str) -> StoredData {
        StoredData::from_database(text.to_owned())
    }

    #[test]
    fn data_that_is_not_given_is_an_empty_object_or_the_types_default() {
        assert_eq!(Value::default_data(), json!({}));
        assert_eq!(u8::default_data(), 0);
        assert_eq!(StoredData::of(&Value::default_data()).unwrap().as_str(), "{}");
    }

    #[test]
    fn the_length_of_data_is_that_of_its_text_in_bytes() {
        for (text, length) in [("{}", 2), (r#"{"é":1}"#, 8)] {
            assert_eq!(stored(text).len(), length);
        }
    }

    #[test]
    fn unchanged_data_is_not_written() {
        let data = stored(r#"{"huge": 123456789012345678901234567890, "exp": 1e20}"#);
        assert_eq!(data.changed_to(&data.parse::<Value>().unwrap()).unwrap(), None);
    }

    #[test]
    fn what_was_not_changed_keeps_its_digits() {
        let before = stored(r#"{"a": {"huge": 123456789012345678901234567890, "n": 1}, "list": [1e20, 2]}"#);
        let mut data: Value = before.parse().unwrap();
        data["a"]["n"] = json!(2);
        data["list"][1] = json!(3);
        let after = before.changed_to(&data).unwrap().unwrap();
        assert_eq!(after.as_str(), r#"{"a":{"huge":123456789012345678901234567890,"n":2},"list":[1e20,3]}"#);
    }

    #[test]
    fn keys_that_the_type_does_not_know_are_kept() {
        #[derive(Serialize, Deserialize)]
        struct Device {
            name: String,
        }
        let before = stored(r#"{"name":"a phone","since":2019}"#);
        let mut device: Device = before.parse().unwrap();
        device.name = "another phone".into();
        let after = before.changed_to(&device).unwrap().unwrap();
        assert_eq!(after.as_str(), r#"{"name":"another phone","since":2019}"#);
    }

    #[test]
    fn keys_may_come_and_go_and_types_may_change() {
        let before = stored(r#"{"gone": 1, "kept": [1, 2], "other": {"a": 1}}"#);
        let after =
            before.changed_to(&json!({"kept": [1], "new\n": null, "other": "text"})).unwrap().unwrap();
        assert_eq!(after.as_str(), r#"{"kept":[1],"new\n":null,"other":"text"}"#);
    }

    #[test]
    fn equal_data_is_equal_text() {
        let (one, other) =
            (r#"{"b":[{"y":1,"x":2}],"a":"é"}"#, "{ \"a\": \"é\", \"b\": [ {\"x\": 2, \"y\": 1} ] }");
        let canonical = |text| StoredData::of(&serde_json::from_str::<Box<RawValue>>(text).unwrap()).unwrap();
        assert_eq!(canonical(one), canonical(other));
    }

    #[test]
    fn nesting_without_end_is_an_error_and_no_overflow() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let raw = RawValue::from_string(deep).unwrap();
        assert_eq!(StoredData::of(&raw).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}

use std::any::{Any, TypeId};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::data::StoredData;
use crate::error::Result;

/// The `data` of a session: it derefs to the table's data type `D`.
///
/// Read it as a `D`, change it in place, or assign all of it:
///
/// ```
/// # use cloakroom::{Session, SessionTable};
/// # #[derive(Clone, SessionTable)] struct UserSession { #[session(index)] user_id: String }
/// use serde_json::json;
///
/// # fn change(session: &mut Session<UserSession>) {
/// let device = &session.data["device"];
/// session.data["theme"] = json!("dark");
/// *session.data = json!({ "theme": "dark" });
/// # }
/// ```
///
/// `session.data.clone()` is a `D`. The data of a session in a [`Cache`](crate::Cache) takes the memory of its text alone
/// until one of the session's clones reads it, if `D` is any JSON ([`serde_json::Value`]); the value is then kept beside
/// the text. Data of any other type is kept as a `D` from the start.
///
/// This type is not `Clone`, so that a clone of the data is one of `D`.
pub struct SessionData<D> {
    /// The text that was read or last written.
    stored: StoredData,
    /// What the text was read as, with the changes of the application. Empty if it was let go.
    value: OnceLock<D>,
}

impl<D> SessionData<D> {
    /// Makes the data of this text, which was read as `value`.
    pub(crate) fn new(stored: StoredData, value: D) -> Self {
        Self { stored, value: OnceLock::from(value) }
    }

    pub(crate) fn stored(&self) -> &StoredData {
        &self.stored
    }

    /// Records that the text was written.
    pub(crate) fn note_write(&mut self, stored: StoredData) {
        self.stored = stored;
    }
}

impl<D: Serialize + DeserializeOwned + 'static> SessionData<D> {
    /// Takes the data of a row that was read. Fails if the text is none of the type `D`.
    pub(crate) fn read(stored: StoredData) -> Result<Self, serde_json::Error> {
        let value = stored.parse()?;
        Ok(Self::new(stored, value))
    }

    /// Returns the data as the application has it.
    pub fn into_inner(mut self) -> D {
        self.value.take().unwrap_or_else(|| self.read_again())
    }

    /// Returns the text with the changes that were made, or `None` if nothing was changed.
    pub(crate) fn changed(&self) -> Result<Option<StoredData>> {
        // Data that was not read cannot have been changed.
        self.value.get().map_or(Ok(None), |value| self.stored.changed_to(value))
    }

    /// Lets go of the value, if it takes more memory than the text from which it can be read again: the map of a `Value`
    /// has room for eleven entries, however few it holds. Must only be called before the application can change it.
    ///
    /// A type of the application's may read a text at one time and refuse it at another, as one that compares instants
    /// with the clock does, so its values stay.
    pub(crate) fn let_go(&mut self) {
        if TypeId::of::<D>() == TypeId::of::<Value>() {
            self.value.take();
        }
    }

    /// Reads a value that was let go.
    fn read_again(&self) -> D {
        let value: Box<dyn Any> = Box::new(self.stored.parse::<Value>().unwrap_or_default());
        *value.downcast().expect("no other value is let go")
    }
}

impl<D: Clone> SessionData<D> {
    /// Copies the text, and the value if it is there.
    pub(crate) fn copied(&self) -> Self {
        Self { stored: self.stored.clone(), value: self.value.clone() }
    }
}

impl<D: Serialize + DeserializeOwned + 'static> Deref for SessionData<D> {
    type Target = D;

    fn deref(&self) -> &D {
        self.value.get_or_init(|| self.read_again())
    }
}

impl<D: Serialize + DeserializeOwned + 'static> DerefMut for SessionData<D> {
    fn deref_mut(&mut self) -> &mut D {
        if self.value.get().is_none() {
            self.value = OnceLock::from(self.read_again());
        }
        self.value.get_mut().expect("it is there by now")
    }
}

impl<D: Serialize + DeserializeOwned + fmt::Debug + 'static> fmt::Debug for SessionData<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<D: Serialize + DeserializeOwned + fmt::Display + 'static> fmt::Display for SessionData<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<D: Serialize + DeserializeOwned + PartialEq + 'static> PartialEq for SessionData<D> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<D: Serialize + DeserializeOwned + PartialEq + 'static> PartialEq<D> for SessionData<D> {
    fn eq(&self, other: &D) -> bool {
        **self == *other
    }
}

/// Serialises the data as the `D` that it is.
impl<D: Serialize + DeserializeOwned + 'static> Serialize for SessionData<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    fn read<D: Serialize + DeserializeOwned + 'static>(text: &str) -> SessionData<D> {
        SessionData::read(StoredData::from_database(text.to_owned())).unwrap()
    }

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Device {
        name: String,
    }

    #[test]
    fn any_json_is_let_go_and_read_again_when_it_is_asked_for() {
        let mut data = read::<Value>(r#"{"list":[1e20,"\u00e9"]}"#);
        data.let_go();
        assert!(data.value.get().is_none());
        assert_eq!(data, json!({"list": [1e20, "é"]}));
        assert!(data.value.get().is_some());
        data.let_go();
        assert_eq!(data.into_inner(), json!({"list": [1e20, "é"]}));
    }

    #[test]
    fn data_of_the_applications_own_type_stays() {
        let mut data = read::<Device>(r#"{"name":"a phone"}"#);
        data.let_go();
        assert_eq!(data.value.get(), Some(&Device { name: "a phone".into() }));
    }

    #[test]
    fn data_that_was_let_go_is_changed_as_if_it_had_not_been() {
        let mut data = read::<Value>(r#"{"huge":123456789012345678901234567890,"n":1}"#);
        data.let_go();
        assert_eq!(data.changed().unwrap(), None);
        let copy = data.copied();
        data["n"] = json!(2);
        let changed = data.changed().unwrap().unwrap();
        assert_eq!(changed.as_str(), r#"{"huge":123456789012345678901234567890,"n":2}"#);
        assert_eq!((copy.changed().unwrap(), &copy["n"]), (None, &json!(1)));
        data.note_write(changed);
        assert_eq!(data.changed().unwrap(), None);
    }
}

use serde::ser::{Error, SerializeStruct};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Session, SessionRow};
use crate::table::SessionFields;

/// Serialises the session as the object `{"id", "fields", "data", "expires_at", "inserted_at", "updated_at"}`, in the
/// same form for text formats and for binary ones.
///
/// The id is hyphenated. Instants are text of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339#section-5.6) in UTC,
/// and `expires_at` is null if the session never expires. A session holds neither its token nor its digest, so neither
/// is serialised.
impl<T: SessionFields + Serialize> Serialize for Session<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

/// Serialises the row in the same form as [`Session`].
impl<T: SessionFields + Serialize> Serialize for SessionRow<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let instant = |instant: OffsetDateTime| instant.format(&Rfc3339).map_err(S::Error::custom);
        let mut session = serializer.serialize_struct("Session", 6)?;
        session.serialize_field("id", &self.id.to_string())?;
        session.serialize_field("fields", &self.fields)?;
        session.serialize_field("data", &self.data)?;
        session.serialize_field("expires_at", &self.expires_at.map(instant).transpose()?)?;
        session.serialize_field("inserted_at", &instant(self.inserted_at)?)?;
        session.serialize_field("updated_at", &instant(self.updated_at)?)?;
        session.end()
    }
}

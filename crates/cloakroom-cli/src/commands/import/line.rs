//! Makes a session of the values of a line.

use cloakroom::{
    ColumnType, DynamicFields, DynamicValue, FieldDefinition, NewSession, Role, Scheme, Token, TokenDigest,
};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::context::Table;
use crate::failure::Failure;
use crate::value::{self, Assignment};

/// The names that do not mean a field.
const KNOWN: [&str; 6] = ["token", "digest", "id", "data", "expires_at", "inserted_at"];

/// The names of the further columns of `list`, and of values that a new row gets by itself.
const PASSED_OVER: [&str; 4] = ["status", "updated_at", "sliding_seconds", "cursor"];

/// What the names in a file mean.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) sessions: &'a Table,
    /// The scheme of the digests, if they are taken.
    pub(super) scheme: Option<&'a Scheme>,
    /// Names that stand for others.
    pub(super) map: &'a [Assignment],
}

impl<'a> Names<'a> {
    /// Checks that each name is mapped to one that means something, and to one alone.
    pub(super) fn check(self) -> Result<(), Failure> {
        for (place, entry) in self.map.iter().enumerate() {
            let known = self.known();
            if !known.contains(&&*entry.name) {
                let problem = format!("--map: {} is none of {}", entry.name, known.join(", "));
                return Err(Failure::usage(problem));
            }
            let is_twice = |other: &Assignment| other.name == entry.name || other.value == entry.value;
            if self.map[..place].iter().any(is_twice) {
                return Err(Failure::usage(format!("--map: {} is mapped twice", entry.name)));
            }
        }
        Ok(())
    }

    /// Returns the name for which one in the file stands.
    pub(super) fn meaning<'n>(self, name: &'n str) -> &'n str
    where
        'a: 'n,
    {
        let mapped = self.map.iter().find(|entry| entry.value == name);
        mapped.map_or(name, |entry| &entry.name)
    }

    fn known(self) -> Vec<&'a str> {
        let fields = self.sessions.definition().fields().iter().map(FieldDefinition::name);
        fields.chain(KNOWN).chain(PASSED_OVER).collect()
    }
}

/// The value under a name.
#[derive(Clone, Copy)]
pub(super) enum Value<'v> {
    /// A cell of CSV; an empty one is no value.
    Cell(&'v str),
    Json(&'v RawValue),
}

/// A session that is to be imported.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) new: NewSession<DynamicFields>,
    pub(super) secret: Secret,
    /// The digest that the table will hold.
    pub(super) digest: Option<TokenDigest>,
    pub(super) id: Option<Uuid>,
    pub(super) inserted_at: Option<OffsetDateTime>,
}

pub(super) enum Secret {
    Token(Token),
    Digest(TokenDigest),
    None,
}

/// Why a line is invalid, in words that quote nothing from it.
type Problem = String;

impl Line {
    /// Checks that each name has a meaning, and that no two are the same.
    pub(super) fn check_names<'n>(
        names: impl Iterator<Item = &'n str>,
        of: Names<'_>,
    ) -> Result<(), Problem> {
        let known = of.known();
        let mut seen: Vec<&str> = Vec::new();
        for name in names {
            if !known.contains(&name) {
                // The name itself may be a token in the wrong place.
                return Err(format!("it has a name that is none of {}", known.join(", ")));
            }
            if seen.contains(&name) {
                return Err(format!("it has the name {name} twice"));
            }
            seen.push(name);
        }
        Ok(())
    }

    pub(super) fn read(
        number: u64,
        values: Vec<(&str, Value<'_>)>,
        names: Names<'_>,
    ) -> Result<Self, Problem> {
        let sessions = names.sessions;
        let (table, backend, config) = (sessions.definition(), sessions.backend(), sessions.config());
        let mut line = Self {
            number,
            new: NewSession::new(DynamicFields::new(table, backend)),
            secret: Secret::None,
            digest: None,
            id: None,
            inserted_at: None,
        };
        let (mut token, mut digest) = (None, None);
        for (name, value) in values {
            if let Some(field) = table.fields().iter().find(|field| field.name() == name) {
                let value = value
                    .of_type(field.column_type(backend))
                    .map_err(|problem| format!("{name} {problem}"))?;
                // The name is one of the table's.
                let _ = line.new.fields_mut().set(name, value);
                continue;
            }
            let text = value.text().map_err(|problem| format!("{name} {problem}"));
            match name {
                "data" => line = line.with_data(value)?,
                "token" => token = text?,
                "digest" => digest = text?,
                "id" => {
                    let id = text?.map(|text| text.parse()).transpose();
                    line.id = id.map_err(|_| "id is no UUID".to_owned())?;
                }
                "expires_at" => line.new = with_expiry(line.new, value)?,
                "inserted_at" => {
                    let instant = text?.map(|text| value::instant(&text)).transpose();
                    line.inserted_at = instant.map_err(|problem| format!("inserted_at: {problem}"))?;
                    if line.inserted_at.is_some_and(|instant| instant > config.now()) {
                        return Err("inserted_at lies in the future".to_owned());
                    }
                }
                _ => {}
            }
        }
        // The library fills it in by the token.
        let is_filled_in = |field: &FieldDefinition| digest.is_none() && field.role() == Some(Role::Hint);
        for field in table.fields().iter().filter(|field| !field.is_nullable() && !is_filled_in(field)) {
            if line.new.fields_mut().get(field.name()).is_none_or(is_blank) {
                return Err(format!("{} can't be blank", field.name()));
            }
        }
        (line.secret, line.digest) = match (token, digest) {
            (Some(_), Some(_)) => return Err("it has a token and a digest".to_owned()),
            (Some(token), None) => {
                let token = Token::import(token).map_err(|error| error.to_string())?;
                let digest = config.digest(&token).map_err(|error| error.to_string())?;
                (Secret::Token(token), Some(digest))
            }
            (None, Some(digest)) => {
                let scheme =
                    names.scheme.ok_or("it has a digest; say --scheme if its token is to be accepted")?;
                let digest = scheme.parse_digest(&digest).map_err(|error| error.to_string())?;
                (Secret::Digest(digest.clone()), Some(digest))
            }
            (None, None) => (Secret::None, None),
        };
        Ok(line)
    }

    fn with_data(self, value: Value<'_>) -> Result<Self, Problem> {
        let new = match value {
            Value::Cell("") => return Ok(self),
            Value::Cell(text) => {
                let data: &RawValue = serde_json::from_str(text).map_err(|_| "data is no JSON".to_owned())?;
                self.new.raw_data(data)
            }
            Value::Json(data) => self.new.raw_data(data),
        };
        Ok(Self { new, ..self })
    }
}

fn is_blank(value: &DynamicValue) -> bool {
    match value {
        DynamicValue::Null => true,
        DynamicValue::Text(text) => text.trim().is_empty(),
        _ => false,
    }
}

fn with_expiry(
    new: NewSession<DynamicFields>,
    value: Value<'_>,
) -> Result<NewSession<DynamicFields>, Problem> {
    let text = match value {
        Value::Cell("") => return Ok(new),
        Value::Json(json) if json.get() == "null" => return Ok(new.never_expires()),
        value => value.text().map_err(|problem| format!("expires_at {problem}"))?.unwrap_or_default(),
    };
    if text == "never" {
        return Ok(new.never_expires());
    }
    let instant = value::instant(&text).map_err(|problem| format!("expires_at: {problem}, or never"))?;
    Ok(new.expires_at(instant))
}

impl Value<'_> {
    /// Returns text, or nothing.
    fn text(self) -> Result<Option<String>, &'static str> {
        match self {
            Self::Cell("") => Ok(None),
            Self::Cell(text) => Ok(Some(text.to_owned())),
            Self::Json(json) => serde_json::from_str(json.get()).map_err(|_| "is no text"),
        }
    }

    /// Returns a field's value. JSON's numbers and truth values are read as they are written.
    fn of_type(self, column_type: &ColumnType) -> Result<DynamicValue, Problem> {
        let is_json = *column_type == ColumnType::Json;
        let text = match self {
            Self::Cell("") => return Ok(DynamicValue::Null),
            Self::Cell(text) => text.to_owned(),
            Self::Json(json) if json.get() == "null" => return Ok(DynamicValue::Null),
            Self::Json(json) if is_json => json.get().to_owned(),
            Self::Json(json) => match json.get().as_bytes().first() {
                Some(b'"') => serde_json::from_str(json.get()).map_err(|_| "is no text".to_owned())?,
                Some(b'{' | b'[') => return Err(format!("is not of the type {column_type}")),
                _ => json.get().to_owned(),
            },
        };
        DynamicValue::parse(column_type, &text).map_err(|_| format!("is not of the type {column_type}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::built_in_columns;

    #[test]
    fn every_column_of_a_list_can_stand_in_a_file_to_import() {
        for name in built_in_columns() {
            assert!(KNOWN.contains(&name) || PASSED_OVER.contains(&name), "{name}");
        }
    }
}

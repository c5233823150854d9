//! Parses values from the command line and the configuration file: spans, instants, `name=value`, ids.

use std::str::FromStr;
use std::time::Duration;

use cloakroom::{Backend, ColumnType, DynamicFields, DynamicValue, FieldDefinition, Role, TableDefinition};
use time::format_description::well_known::Rfc3339;
use time::macros::{datetime, format_description};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::failure::Failure;

/// The built-in column that the command neither shows nor compares.
pub(crate) const DIGEST: &str = "auth_token_digest";

/// A span of time, or none: `7d`, `12h`, `1h 30m`, `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Of(Duration),
    Never,
}

impl Span {
    pub(crate) fn duration(self) -> Option<Duration> {
        match self {
            Self::Of(duration) => Some(duration),
            Self::Never => None,
        }
    }
}

impl Span {
    /// Parses a span that may be zero, for settings that allow it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        any_duration(text).map(Self::Of)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Self::parse(text)? {
            Self::Of(span) => has_length(span).map(Self::Of),
            Self::Never => Ok(Self::Never),
        }
    }
}

/// Parses a span that is not zero.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    any_duration(text).and_then(has_length)
}

fn any_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write a span as 7d, 12h or 90s"))
}

fn has_length(span: Duration) -> Result<Duration, String> {
    if span.is_zero() { Err("a span must have some length".to_owned()) } else { Ok(span) }
}

pub(crate) fn instant(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|instant| instant.checked_to_offset(time::UtcOffset::UTC))
        .ok_or_else(|| "write a time as in 2026-11-23T01:48:09Z".to_owned())
}

/// An instant, absolute or relative to now: `2026-11-23T01:48:09Z`, `2026-11-23`, `+7d`, `-7d`, `now`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    At(OffsetDateTime),
    /// This long after now.
    In(Duration),
    /// This long before now.
    Ago(Duration),
}

impl Moment {
    pub(crate) fn instant(self, now: OffsetDateTime) -> OffsetDateTime {
        const FIRST: OffsetDateTime = datetime!(0001-01-01 00:00 UTC);
        const LAST: OffsetDateTime = datetime!(9999-12-31 23:59:59.999999 UTC);
        let long = |span| time::Duration::try_from(span).unwrap_or(time::Duration::MAX);
        match self {
            Self::At(instant) => instant,
            Self::In(span) => now.checked_add(long(span)).unwrap_or(LAST),
            Self::Ago(span) => now.checked_sub(long(span)).unwrap_or(FIRST),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "now" {
            return Ok(Self::In(Duration::ZERO));
        }
        if let Some(span) = text.strip_prefix('+') {
            return any_duration(span).map(Self::In);
        }
        if let Some(span) = text.strip_prefix('-') {
            return any_duration(span).map(Self::Ago);
        }
        if let Ok(date) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
            return Ok(Self::At(date.midnight().assume_utc()));
        }
        let hint = "write a time as in 2026-11-23T01:48:09Z or 2026-11-23, or from now as +7d or -7d";
        instant(text).map(Self::At).map_err(|_| hint.to_owned())
    }
}

/// `name=value`; the table decides the type of the value.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Assignment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("write it as name=value"),
        }
    }
}

impl Assignment {
    /// Returns the value, with the type of its column.
    pub(crate) fn parse(&self, table: &TableDefinition, backend: Backend) -> Result<DynamicValue, Failure> {
        let column_type = column_type(table, backend, &self.name)?;
        DynamicValue::parse(&column_type, &self.value)
            .map_err(|error| Failure::from(error).context(format!("{} is not right", self.name)))
    }
}

/// Returns the type of one of the columns that a condition can name.
pub(crate) fn column_type(
    table: &TableDefinition,
    backend: Backend,
    name: &str,
) -> Result<ColumnType, Failure> {
    if let Some(column) = comparable_columns().find(|column| column.name() == name) {
        return Ok(column.column_type(backend).clone());
    }
    // Lets the library reject a name that the table does not have, and list those that it has.
    DynamicFields::new(table, backend).set(name, DynamicValue::Null)?;
    let field = table.fields().iter().find(|field| field.name() == name);
    Ok(field.map_or(ColumnType::Text, |field| field.column_type(backend).clone()))
}

/// Returns the built-in columns that a condition or an order can name: all but the data, whose parts are compared, and
/// the digest, which nothing shows.
pub(crate) fn comparable_columns() -> impl Iterator<Item = FieldDefinition> {
    TableDefinition::built_in_columns().filter(|column| !["data", DIGEST].contains(&column.name()))
}

/// `name:type[?][:index][:role]`, a column to create.
#[derive(Clone, Debug)]
pub(crate) struct Field(pub(crate) FieldDefinition);

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let (Some(name), Some(column_type)) = (parts.next(), parts.next()) else {
            return Err("write it as name:type or name:type:index".to_owned());
        };
        let (column_type, is_nullable) = match column_type.strip_suffix('?') {
            Some(column_type) => (column_type, true),
            None => (column_type, false),
        };
        let column_type: ColumnType =
            column_type.parse().map_err(|error| format!("{column_type:?} is {error}"))?;
        let mut field = FieldDefinition::dynamic(name.to_owned(), column_type);
        if is_nullable {
            field = field.nullable();
        }
        for part in parts {
            field = match (part, part.parse::<Role>()) {
                ("index", _) if !field.is_indexed() => field.indexed(),
                (_, Ok(role)) if field.role().is_none() => field.for_role(role),
                _ => {
                    return Err(
                        "after the type only `:index` and one role, as `:hint`, may follow".to_owned()
                    );
                }
            };
        }
        Ok(Self(field))
    }
}

/// The id of a session. clap does not parse it, because clap's error would repeat a token that was given in place of an
/// id.
pub(crate) fn id(text: &str) -> Result<Uuid, Failure> {
    text.parse().map_err(|_| {
        Failure::usage("--id takes the id of a session, a UUID; a token is given to `cloakroom authenticate`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_duration_or_never() {
        assert_eq!("7d".parse(), Ok(Span::Of(Duration::from_hours(7 * 24))));
        assert_eq!("never".parse(), Ok(Span::Never));
        for text in ["", "7", "0s", "7 fortnights", "-1d", "99999999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_moment_is_an_instant_or_is_seen_from_now() {
        let now = datetime!(2026-11-23 01:48:09 UTC);
        let instant = |text: &str| text.parse::<Moment>().unwrap().instant(now);
        assert_eq!(instant("2026-11-30"), datetime!(2026-11-30 00:00 UTC));
        assert_eq!(instant("2026-11-30T01:00:00+01:00"), datetime!(2026-11-30 00:00 UTC));
        assert_eq!(instant("+7d"), datetime!(2026-11-30 01:48:09 UTC));
        assert_eq!(instant("-1h 30m"), datetime!(2026-11-23 00:18:09 UTC));
        assert_eq!(instant("now"), now);
        assert_eq!((instant("+99999y").year(), instant("-99999y").year()), (9999, 1));
        for text in ["", "tomorrow", "7d", "+", "2026-13-01", "+-7d"] {
            assert!(text.parse::<Moment>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_field_has_a_name_a_type_and_perhaps_an_index() {
        let Field(field) = "user_id:text:index".parse().unwrap();
        assert!(field.name() == "user_id" && field.is_indexed() && !field.is_nullable());
        let Field(field) = "quota:integer?".parse().unwrap();
        assert!(field.is_nullable() && !field.is_indexed());
        assert_eq!(field.column_type(Backend::Sqlite), &ColumnType::Integer);
        let Field(field) = "quota:integer?:index".parse().unwrap();
        assert!(field.is_nullable() && field.is_indexed());
        for text in ["shown:text?:index:hint", "shown:text?:hint:index"] {
            let Field(field) = text.parse().unwrap();
            assert!(field.role() == Some(Role::Hint) && field.is_indexed() && field.is_nullable());
        }
        for text in [
            "user_id",
            "user_id:string",
            "user_id:text:unique",
            "user_id:text:index:index",
            "user_id:text:hint:hint",
            "user_id:text:hint:scopes",
            "user_id:text:",
            ":",
        ] {
            assert!(text.parse::<Field>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_instant_at_the_end_of_the_calendar_is_an_error_and_no_panic() {
        assert!(instant("9999-12-31T23:59:59-10:00").is_err());
        assert!(instant("2026-11-23T01:48:09.123456+01:00").is_ok());
    }
}

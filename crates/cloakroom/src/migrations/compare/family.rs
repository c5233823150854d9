//! The values that a column's type holds, as far as they are known.

use crate::database::{Backend, ColumnType, Described};
use crate::table::FieldDefinition;

/// Whether a column's type suits a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It suits the field, or nothing is known against it.
    May,
    /// It does not suit the field. A relative clause says why.
    Cannot(&'static str),
}

const OF_ANOTHER_KIND: Fit = Fit::Cannot("which does not hold what its field does");
const TOO_NARROW: Fit = Fit::Cannot("which is narrower than its field");
const OF_ANOTHER_SIGN: Fit = Fit::Cannot("of which its field differs in having a sign");

/// The kind of values that a type holds; integers and floats have their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Text,
    Integer {
        bytes: u8,
        is_unsigned: bool,
    },
    Bit,
    Bool,
    Float(u8),
    Numeric,
    Bytes,
    Uuid,
    Instant,
    Json,
    /// A known type that is none of these.
    Other,
}

impl Family {
    fn integer(bytes: u8) -> Self {
        Self::Integer { bytes, is_unsigned: false }
    }
}

/// Returns whether `described` suits `field`.
pub(super) fn fit(field: &FieldDefinition, described: &Described, backend: Backend) -> Fit {
    let Some(wanted) = wanted(field.column_type(backend), backend) else {
        return Fit::May;
    };
    if backend == Backend::Sqlite {
        return fit_on_sqlite(wanted, described);
    }
    let Some(found) = family(described, backend) else {
        return Fit::May;
    };
    // A field that is known only at run time is read and written at any width.
    let fits = |is_wide_enough: bool| if field.is_dynamic || is_wide_enough { Fit::May } else { TOO_NARROW };
    let on_mysql = backend == Backend::MySql;
    match (wanted, found) {
        (
            Family::Integer { bytes, is_unsigned },
            Family::Integer { bytes: found, is_unsigned: found_unsigned },
        ) => {
            if on_mysql && !field.is_dynamic && is_unsigned != found_unsigned {
                OF_ANOTHER_SIGN
            } else {
                fits(found >= bytes)
            }
        }
        (Family::Float(bytes), Family::Float(found)) => fits(found >= bytes),
        (Family::Float(_), Family::Numeric) if field.is_dynamic => Fit::May,
        // MariaDB has neither of the two as a type of its own.
        (Family::Bool, Family::Integer { .. } | Family::Bit) | (Family::Json, Family::Text) if on_mysql => {
            Fit::May
        }
        (Family::Uuid, Family::Bytes) if on_mysql => match length(&described.declared) {
            Some(..16) => TOO_NARROW,
            _ => Fit::May,
        },
        (wanted, found) if wanted == found => Fit::May,
        _ => OF_ANOTHER_KIND,
    }
}

/// Returns the family that a field needs, or `None` if it names a type in SQL, of which nothing is assumed.
fn wanted(column_type: &ColumnType, backend: Backend) -> Option<Family> {
    Some(match column_type {
        ColumnType::Text => Family::Text,
        ColumnType::Integer => Family::integer(8),
        ColumnType::Bool => Family::Bool,
        ColumnType::Float => Family::Float(8),
        ColumnType::Bytes => Family::Bytes,
        ColumnType::Uuid => Family::Uuid,
        ColumnType::Timestamp => Family::Instant,
        ColumnType::Json => Family::Json,
        // The driver's names for the types of the narrower Rust types, which it writes in capital letters.
        ColumnType::Exact(name) => match (backend, &**name) {
            (Backend::Postgres, "INT2") => Family::integer(2),
            (Backend::Postgres, "INT4") => Family::integer(4),
            (Backend::Postgres, "FLOAT4") | (Backend::MySql, "FLOAT") => Family::Float(4),
            (Backend::MySql, name) if !name.contains(|c: char| c.is_ascii_lowercase()) => {
                family_on_mysql(&name.to_ascii_lowercase())
                    .filter(|family| matches!(family, Family::Integer { .. }))?
            }
            _ => return None,
        },
    })
}

fn family(described: &Described, backend: Backend) -> Option<Family> {
    match backend {
        Backend::Postgres if described.is_built_in => Some(family_on_postgres(&described.base)),
        Backend::MySql => family_on_mysql(&described.declared.to_ascii_lowercase()),
        Backend::Postgres | Backend::Sqlite => None,
    }
}

fn family_on_postgres(base: &str) -> Family {
    match base {
        "smallint" => Family::integer(2),
        "integer" => Family::integer(4),
        "bigint" => Family::integer(8),
        "real" => Family::Float(4),
        "double precision" => Family::Float(8),
        "numeric" => Family::Numeric,
        "boolean" => Family::Bool,
        "text" | "character varying" | "varchar" | "character" | "bpchar" | "name" => Family::Text,
        "bytea" => Family::Bytes,
        "uuid" => Family::Uuid,
        "timestamp without time zone" | "timestamp with time zone" | "timestamptz" => Family::Instant,
        "json" | "jsonb" => Family::Json,
        _ => Family::Other,
    }
}

/// Returns `None` for a type that the server sends and receives as text, such as its UUID and its addresses.
fn family_on_mysql(declared: &str) -> Option<Family> {
    let is_unsigned = declared.contains("unsigned");
    let integer = |bytes| Some(Family::Integer { bytes, is_unsigned });
    match declared.split(['(', ' ']).next().unwrap_or_default() {
        "tinyint" => integer(1),
        "smallint" => integer(2),
        "mediumint" => integer(3),
        "int" => integer(4),
        "bigint" => integer(8),
        "bit" => Some(Family::Bit),
        "boolean" => Some(Family::Bool),
        "float" => Some(Family::Float(4)),
        "double" => Some(Family::Float(8)),
        "decimal" => Some(Family::Numeric),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" => {
            Some(Family::Text)
        }
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Some(Family::Bytes),
        "json" => Some(Family::Json),
        "datetime" | "timestamp" => Some(Family::Instant),
        "date" | "time" | "year" => Some(Family::Other),
        _ => None,
    }
}

/// Returns the length in a type such as `binary(16)`.
fn length(declared: &str) -> Option<u32> {
    let (_, rest) = declared.split_once('(')?;
    rest.split(')').next()?.parse().ok()
}

/// Returns whether a SQLite column suits. SQLite keeps each value as it is, unless the column's
/// [affinity](https://www.sqlite.org/datatype3.html) makes a number of text or text of a number. A STRICT table refuses
/// a value of another type.
fn fit_on_sqlite(wanted: Family, described: &Described) -> Fit {
    let declared = described.declared.to_ascii_uppercase();
    let holds = if described.is_strict {
        match &*declared {
            "ANY" => true,
            "INT" | "INTEGER" => matches!(wanted, Family::Integer { .. } | Family::Bool),
            "REAL" => matches!(wanted, Family::Float(_)),
            "BLOB" => matches!(wanted, Family::Bytes | Family::Uuid),
            _ => matches!(wanted, Family::Text | Family::Instant | Family::Json),
        }
    } else if declared.contains("INT") {
        !matches!(wanted, Family::Text | Family::Float(_))
    } else if ["CHAR", "CLOB", "TEXT"].iter().any(|text| declared.contains(text)) {
        !matches!(wanted, Family::Integer { .. } | Family::Bool | Family::Float(_))
    } else if declared.is_empty() || declared.contains("BLOB") {
        true
    } else if ["REAL", "FLOA", "DOUB"].iter().any(|real| declared.contains(real)) {
        !matches!(wanted, Family::Text | Family::Integer { .. } | Family::Bool)
    } else {
        // Any other name, such as DECIMAL, UUID or STRING, gives a number: '007' becomes 7. For the driver JSON, dates
        // and times are text, and such text does not become a number.
        wanted != Family::Text || ["JSON", "DATE", "TIME"].iter().any(|text| declared.contains(text))
    };
    if holds { Fit::May } else { OF_ANOTHER_KIND }
}

/// Returns the difference between a column of the type `own` and the column that it refers to, if a server makes no
/// foreign key because of it.
pub(super) fn difference(own: &str, found: &Described, backend: Backend) -> Option<&'static str> {
    let own = own.to_ascii_lowercase();
    let (own, found) = match backend {
        Backend::Postgres => {
            let base = own.split('(').next().unwrap_or_default().trim().to_owned();
            (Some(family_on_postgres(&base)), family(found, backend))
        }
        Backend::MySql => (family_on_mysql(&own), family(found, backend)),
        Backend::Sqlite => (None, None),
    };
    match (own?, found?) {
        (Family::Integer { .. } | Family::Numeric, Family::Integer { .. } | Family::Numeric)
            if backend == Backend::Postgres =>
        {
            None
        }
        (Family::Other, _) | (_, Family::Other) => None,
        (
            Family::Integer { bytes, is_unsigned },
            Family::Integer { bytes: found_bytes, is_unsigned: found_unsigned },
        ) => match (bytes == found_bytes, is_unsigned == found_unsigned) {
            (true, true) => None,
            (true, false) => Some("sign"),
            (false, true) => Some("width"),
            (false, false) => Some("width and sign"),
        },
        (own, found) if own == found => None,
        _ => Some("type"),
    }
}

/// Returns `true` if two text columns differ in their collation, by which MariaDB compares them.
pub(super) fn differs_in_collation(own: &str, found: &Described, backend: Backend) -> bool {
    backend == Backend::MySql
        && family_on_mysql(&own.to_ascii_lowercase()) == Some(Family::Text)
        && found.collation.as_ref().is_some_and(|theirs| !own.contains(theirs.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_sqlite(declared: &str, is_strict: bool, column_type: ColumnType) -> bool {
        let described = Described { declared: declared.to_owned(), is_strict, ..Described::default() };
        fit(&FieldDefinition::dynamic("field", column_type), &described, Backend::Sqlite) == Fit::May
    }

    #[test]
    fn on_sqlite_a_column_holds_what_its_affinity_leaves_as_it_is() {
        use ColumnType::{Bool, Bytes, Float, Integer, Json, Text, Timestamp, Uuid};
        for (declared, is_strict, refused) in [
            ("TEXT", true, vec![Integer, Bool, Float, Bytes, Uuid]),
            ("INTEGER", true, vec![Text, Float, Bytes, Uuid, Timestamp, Json]),
            ("ANY", true, vec![]),
            ("varchar(255)", false, vec![Integer, Bool, Float]),
            ("bigint", false, vec![Text, Float]),
            ("STRING", false, vec![Text]),
            ("", false, vec![]),
            ("double", false, vec![Text, Integer, Bool]),
        ] {
            for column_type in [Text, Integer, Bool, Float, Bytes, Uuid, Timestamp, Json] {
                let expected = !refused.contains(&column_type);
                assert_eq!(
                    on_sqlite(declared, is_strict, column_type.clone()),
                    expected,
                    "{declared} {column_type}"
                );
            }
        }
    }
}

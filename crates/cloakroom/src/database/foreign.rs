//! Columns of a type that this library did not choose. Their values are written and read as text.
//!
//! A driver sends text in the form in which text is stored. A column of another type, such as PostgreSQL's `money`,
//! would take those bytes for a value of its own. So the server converts such values with casts, and each database
//! compares them by the rules of the column's type.

use std::borrow::Cow;
use std::sync::Arc;

use sea_query::{Expr, Value};

use sqlx::error::BoxDynError;

use super::stored_type::Bind;
use super::{Backend, ColumnType, FieldValue, Repr};
use crate::error::{Error, ErrorKind, Result};

/// How the values of such a column are read and written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// The expression that is selected in place of the column; `None` for the column itself.
    read: Option<Cow<'static, str>>,
    /// The expression for a value that is stored in the column or compared with it; `None` for the value itself.
    pub(crate) write: Option<Cow<'static, str>>,
    /// On PostgreSQL, the expression for many values that are bound as one array.
    pub(crate) write_all: Option<Cow<'static, str>>,
    /// The value has the form of text, and PostgreSQL finds out its type.
    is_untyped: bool,
    form: Form,
    /// Whether every value is stored exactly as it was given.
    is_exact: bool,
}

/// The form that text must have, if the database would take any text for some value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Any,
    /// Digits.
    Unsigned,
    Integer,
    Decimal,
}

impl Foreign {
    /// Returns the form for a column that PostgreSQL's catalogue describes by `name`. The name has neither a length nor
    /// a precision: a cast to a type with one would cut a value that is too long.
    pub(super) fn on_postgres(name: &str) -> Self {
        let cast = format!("CAST(CAST($1 AS text) AS {name})");
        // The cast to text shows a network mask that the type itself leaves out.
        let read = match name {
            "inet" => "CASE WHEN $1 IS NOT NULL THEN pg_catalog.format('%s', $1) END",
            _ => "CAST($1 AS text)",
        };
        Self {
            read: Some(read.into()),
            write: Some(cast.into()),
            write_all: Some(format!("CAST(CAST($1 AS text[]) AS {name}[])").into()),
            ..Self::default()
        }
    }

    /// Returns the form for a column with values that PostgreSQL takes as the driver binds them, of the type `name`.
    /// The statement names the type, because the driver remembers a statement with the types of the values that it was
    /// first run with.
    pub(super) fn bound_on_postgres(name: &str) -> Self {
        Self { write: Some(format!("CAST($1 AS {name})").into()), is_exact: true, ..Self::default() }
    }

    /// Returns `true` if every value is stored exactly as it was given.
    pub(crate) fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Returns `true` if a value is bound as text to a column that is made of `base`, which has values of another form.
    pub(crate) fn mistakes(&self, base: &str) -> bool {
        self.is_untyped && (base.ends_with(']') || is_sent_in_binary(base))
    }

    /// Returns the form for PostgreSQL's `char(n)`, which ignores spaces at the end when it is compared.
    pub(super) fn padded_on_postgres() -> Self {
        Self {
            write: Some("CAST($1 AS bpchar)".into()),
            write_all: Some("CAST($1 AS bpchar[])".into()),
            ..Self::default()
        }
    }

    /// Returns the form for a column of floats of half the width. Values are compared at that width.
    pub(super) fn narrow(backend: Backend) -> Self {
        let write = if backend == Backend::Postgres { "CAST($1 AS real)" } else { "CAST(? AS float)" };
        Self { write: Some(write.into()), ..Self::default() }
    }

    /// Returns the form for a column that MariaDB describes by `declared`, or `None` if its values are read and written
    /// as they are.
    pub(super) fn on_mysql(declared: &str) -> Option<Self> {
        let text = |form| Self { read: Some("CAST(? AS char)".into()), form, ..Self::default() };
        let words = declared.to_ascii_lowercase();
        Some(match words.split(['(', ' ']).next().unwrap_or_default() {
            "decimal" | "numeric" | "dec" | "fixed" => text(Form::Decimal),
            "date" | "time" | "enum" | "set" | "uuid" | "inet4" | "inet6" => text(Form::Any),
            "year" => text(Form::Unsigned),
            "bigint" if words.contains("unsigned") => text(Form::Integer),
            // Its text would be that of the bytes that its bits make.
            "bit" => Self {
                read: Some("CAST(? + 0 AS char)".into()),
                // MySQL would read the text as a signed number.
                write: Some("CAST(CAST(? AS char) AS unsigned)".into()),
                form: Form::Unsigned,
                ..Self::default()
            },
            "point" | "linestring" | "polygon" | "geometry" | "multipoint" | "multilinestring"
            | "multipolygon" | "geometrycollection" | "geomcollection" => Self {
                read: Some("ST_AsText(?)".into()),
                write: Some("ST_GeomFromText(?)".into()),
                ..Self::default()
            },
            _ => return None,
        })
    }

    /// Returns the form for a column that the application declares as `sql_type`. `own` is the type that a column for
    /// the field's Rust type would have. Returns `None` if the driver's way is right.
    pub(crate) fn declared(backend: Backend, sql_type: &str, own: &ColumnType) -> Option<Self> {
        let is_text = matches!(own, ColumnType::Text);
        match backend {
            Backend::Postgres => {
                let name = without_modifiers(sql_type);
                let is_array = |name: &str| name.ends_with(']');
                if is_text {
                    Self::text_on_postgres(&name)
                } else if is_array(&name) && is_array(&own.to_string()) {
                    let write = Some(format!("CAST($1 AS {name})").into());
                    Some(Self { write, ..Self::default() })
                } else {
                    None
                }
            }
            Backend::MySql if is_text => Self::on_mysql(sql_type),
            Backend::Sqlite if is_text && !has_text_affinity(sql_type) => {
                // Writes as few digits as distinguish the number from every other.
                let read = "CASE WHEN TYPEOF(?) <> 'real' THEN CAST(? AS TEXT) \
                            WHEN CAST(PRINTF('%!.15g', ?) AS REAL) = ? THEN PRINTF('%!.15g', ?) \
                            ELSE PRINTF('%!.17g', ?) END";
                Some(Self { read: Some(read.into()), ..Self::default() })
            }
            Backend::MySql | Backend::Sqlite => None,
        }
    }

    fn text_on_postgres(name: &str) -> Option<Self> {
        match name {
            "text" | "varchar" | "character varying" | "name" => None,
            "char" | "character" | "bpchar" => Some(Self::padded_on_postgres()),
            name if name.ends_with(']') || is_sent_in_binary(name) => {
                Some(Self::on_postgres(if name == "bit" { "\"bit\"" } else { name }))
            }
            // A type of an extension, such as citext, or of the application: an enum, or a domain with a length to
            // which a cast would cut the value. The server knows the type, and takes the form of text for it.
            name => Some(Self { is_untyped: true, write: None, ..Self::on_postgres(name) }),
        }
    }

    /// Returns the column as it is selected.
    pub(crate) fn selected(&self, column: Expr) -> Expr {
        match &self.read {
            // Each `?` takes an operand of its own; a numbered place always takes the same one.
            Some(read) => {
                let count = read.matches('?').count().max(1);
                Expr::cust_with_exprs(read.clone(), vec![column; count])
            }
            None => column,
        }
    }

    /// Returns an expression for a value, as the column takes it.
    pub(crate) fn written(&self, value: Expr) -> Expr {
        match &self.write {
            Some(write) => Expr::cust_with_exprs(write.clone(), [value]),
            None => value,
        }
    }

    /// Returns the value in the form in which it is bound.
    pub(crate) fn bound(&self, value: FieldValue) -> FieldValue {
        match &value.0 {
            Repr::Plain(Value::String(text)) if self.is_untyped => {
                FieldValue(Repr::Native(Arc::new(Untyped(text.clone()))))
            }
            _ => value,
        }
    }

    /// Refuses text that the database would take for some value when it compares.
    pub(crate) fn check(&self, column: &str, value: &FieldValue) -> Result<()> {
        let Repr::Plain(Value::String(Some(text))) = &value.0 else {
            return Ok(());
        };
        if self.form.allows(text) {
            return Ok(());
        }
        let message = format!("{column} is a number: it equals no other text");
        Err(Error::new(ErrorKind::InvalidField, message))
    }
}

/// Text for which PostgreSQL finds out the type, from the column that it is stored in or compared with.
pub(crate) struct Untyped(pub(crate) Option<String>);

impl Bind for Untyped {
    fn is_blank(&self) -> bool {
        self.0.as_ref().is_none_or(|text| text.trim().is_empty())
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        self.0.as_ref().map(|text| text.clone().into_bytes())
    }

    fn text(&self) -> Option<String> {
        self.0.clone()
    }

    #[cfg(feature = "sqlite")]
    fn bind_sqlite(&self, to: &mut sqlx::sqlite::SqliteArguments) -> Result<(), BoxDynError> {
        sqlx::Arguments::add(to, self.0.as_deref())
    }

    #[cfg(feature = "postgres")]
    fn bind_postgres(&self, to: &mut sqlx::postgres::PgArguments) -> Result<(), BoxDynError> {
        super::postgres::bind_untyped(to, self.0.as_deref())
    }

    #[cfg(feature = "mysql")]
    fn bind_mysql(&self, to: &mut sqlx::mysql::MySqlArguments) -> Result<(), BoxDynError> {
        sqlx::Arguments::add(to, self.0.as_deref())
    }
}

impl Form {
    fn allows(self, text: &str) -> bool {
        let unsigned = || text.strip_prefix(['-', '+']).unwrap_or(text);
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Self::Any => true,
            Self::Unsigned => are_digits(text),
            Self::Integer => are_digits(unsigned()),
            Self::Decimal => match unsigned().split_once('.') {
                Some((whole, fraction)) => {
                    let is_part = |part: &str| part.is_empty() || are_digits(part);
                    is_part(whole) && is_part(fraction) && whole.len() + fraction.len() > 0
                }
                None => are_digits(unsigned()),
            },
        }
    }
}

/// Returns `true` for PostgreSQL's own types with a binary form that is not their text.
fn is_sent_in_binary(name: &str) -> bool {
    const NAMES: [&str; 42] = [
        "bigint",
        "bigserial",
        "bit",
        "bit varying",
        "bool",
        "boolean",
        "box",
        "bytea",
        "cidr",
        "circle",
        "date",
        "decimal",
        "double precision",
        "float",
        "float4",
        "float8",
        "inet",
        "int",
        "int2",
        "int4",
        "int8",
        "integer",
        "interval",
        "jsonb",
        "line",
        "lseg",
        "macaddr",
        "macaddr8",
        "money",
        "numeric",
        "oid",
        "path",
        "pg_lsn",
        "point",
        "polygon",
        "real",
        "smallint",
        "timetz",
        "tsquery",
        "tsvector",
        "uuid",
        "varbit",
    ];
    NAMES.contains(&name) || name.starts_with("time") || name.ends_with("range") || name.starts_with("reg")
}

/// Returns a type's name in SQL without the clauses that follow it in a column's definition, and without lengths and
/// precisions.
fn without_modifiers(sql_type: &str) -> String {
    const ENDS: [&str; 8] =
        ["collate", "default", "not", "null", "check", "references", "generated", "constraint"];
    let mut name = String::with_capacity(sql_type.len());
    let mut depth = 0_u32;
    let mut is_quoted = false;
    for character in sql_type.trim().chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            _ => {}
        }
        if depth == 0 {
            name.push(if is_quoted { character } else { character.to_ascii_lowercase() });
        }
        if character == ')' && !is_quoted {
            depth = depth.saturating_sub(1);
        }
    }
    let words = name.split_whitespace().take_while(|word| !ENDS.contains(word));
    words.collect::<Vec<_>>().join(" ").replace(" [", "[")
}

/// Returns `true` if SQLite keeps text as it is in a column that is declared so:
/// <https://www.sqlite.org/datatype3.html>.
fn has_text_affinity(declared: &str) -> bool {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    !has("INT") && (has("CHAR") || has("CLOB") || has("TEXT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_named_without_its_length_and_without_what_follows() {
        for (sql_type, name) in [
            ("varchar(4)", "varchar"),
            ("NUMERIC(12, 2) NOT NULL DEFAULT (0)", "numeric"),
            ("character varying(5)[]", "character varying[]"),
            ("timestamp(0) with time zone", "timestamp with time zone"),
            ("text COLLATE \"C\"", "text"),
            ("\"Mood (old)\"", "\"Mood (old)\""),
            ("auth.mood", "auth.mood"),
        ] {
            assert_eq!(without_modifiers(sql_type), name);
        }
    }

    #[test]
    fn text_that_a_database_would_take_for_a_number_is_told_from_numbers() {
        for (form, right, wrong) in [
            (
                Form::Decimal,
                &["1", "-1.50", "+.5", "7."][..],
                &["", ".", "-", "1.24abc", "1e3", "1.2.3", " 1"][..],
            ),
            (Form::Integer, &["-1", "18446744073709551615"], &["1.0", "", "0x1"]),
            (Form::Unsigned, &["0", "2026"], &["-1", "+1", "abc"]),
        ] {
            assert!(right.iter().all(|text| form.allows(text)), "{form:?}");
            assert!(!wrong.iter().any(|text| form.allows(text)), "{form:?}");
        }
    }
}

//! The SQL of the migrations, and the names in it.

use super::{TABLE, device};
use crate::database::{Backend, ColumnType, IndexInfo, null_or_not};
use crate::table::{
    BUILT_IN_COLUMNS, BuiltInColumn, FieldDefinition, Role, TableDefinition, column, hash_of, shortened,
};

/// The longest name of an index or a table, on PostgreSQL, in bytes.
const MAX_NAME: usize = 63;

pub(crate) fn create_schema(table: &TableDefinition, backend: Backend) -> Option<String> {
    backend.dialect().create_schema(&quoted(table.schema.as_deref()?, backend))
}

pub(crate) fn create_table(table: &TableDefinition, backend: Backend) -> String {
    let dialect = backend.dialect();
    // The fields stand between the expiry and the instants of the row itself, as in a table of `ecto_sessions`. What a
    // later version has added comes last, as in a table that it was added to.
    let is_after = |built_in: &&BuiltInColumn| {
        [column::INSERTED_AT, column::UPDATED_AT].contains(&built_in.name) || built_in.since > TABLE.version
    };
    let (after, before): (Vec<_>, Vec<_>) = BUILT_IN_COLUMNS.iter().partition(is_after);
    let line = |built_in: &BuiltInColumn| match built_in.name {
        column::ID => {
            format!("{} {} NOT NULL PRIMARY KEY", built_in.name, dialect.sql_type(&built_in.column_type))
        }
        column::DIGEST => format!("{} {} NOT NULL", built_in.name, dialect.digest_type()),
        column::DATA => {
            let data = dialect.sql_type(&built_in.column_type);
            let check = dialect.check_of_data(&hash_of(&table.table));
            format!("{} {data} NOT NULL DEFAULT {}{check}", built_in.name, dialect.empty_object())
        }
        _ => built_in_definition(built_in, backend),
    };
    let mut lines: Vec<_> = before.into_iter().map(line).collect();
    lines.extend(table.fields.iter().map(|field| column_definition(field, backend)));
    lines.extend(after.into_iter().map(line));
    lines.extend(device::lines(table, backend));
    for field in &table.fields {
        if let Some(reference) = field.references.as_ref().filter(|reference| reference.cascade) {
            lines.push(format!(
                "FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE CASCADE",
                quoted(&field.name, backend),
                quoted(&reference.table, backend),
                quoted(&reference.column, backend),
            ));
        }
    }
    let name = qualified(table, &table.table, backend);
    let types: Vec<_> = table.fields.iter().map(|field| field.column_type(backend)).collect();
    let options = dialect.table_options(&types);
    format!("CREATE TABLE IF NOT EXISTS {name} (\n    {}\n){options}", lines.join(",\n    "))
}

fn built_in_definition(built_in: &BuiltInColumn, backend: Backend) -> String {
    let null = null_or_not(built_in.nullable);
    format!("{} {} {null}", built_in.name, backend.dialect().sql_type(&built_in.column_type))
}

/// Returns the statement that adds a later version's column to an existing table. No database rewrites the table for
/// it, since the column may be null.
pub(crate) fn add_column(table: &TableDefinition, built_in: &BuiltInColumn, backend: Backend) -> String {
    let name = qualified(table, &table.table, backend);
    format!("ALTER TABLE {name} ADD COLUMN {}", built_in_definition(built_in, backend))
}

pub(crate) fn column_definition(field: &FieldDefinition, backend: Backend) -> String {
    let (null, name) = (null_or_not(field.nullable), quoted(&field.name, backend));
    let check = backend.dialect().check(field.column_type(backend), &name);
    let check = check.map_or(String::new(), |check| format!(" {check}"));
    format!("{name} {} {null}{check}", sql_type(field, backend))
}

/// Returns the type of a field's column.
pub(crate) fn sql_type(field: &FieldDefinition, backend: Backend) -> &str {
    let (dialect, column_type) = (backend.dialect(), field.column_type(backend));
    let is_long = field.role().is_some_and(Role::holds_long_text) && *column_type == ColumnType::Text;
    if is_long {
        return dialect.long_text_type();
    }
    if field.indexed { dialect.indexed_type(column_type) } else { dialect.sql_type(column_type) }
}

pub(crate) fn create_history(table: &TableDefinition, backend: Backend) -> String {
    let name = qualified(table, &history_name(table), backend);
    let dialect = backend.dialect();
    let integer = dialect.sql_type(&ColumnType::Integer);
    let timestamp = dialect.sql_type(&ColumnType::Timestamp);
    let (text, options) = (dialect.long_text_type(), dialect.table_options(&[]));
    format!(
        "CREATE TABLE IF NOT EXISTS {name} (\n    version {integer} NOT NULL PRIMARY KEY,\n    \
         applied_at {timestamp} NOT NULL,\n    fields {text} NOT NULL\n){options}"
    )
}

/// Returns the name of the function that announces what any SQL revokes.
pub(crate) fn announcing_function_name(table: &TableDefinition) -> String {
    shortened(format!("{}_cloakroom_announce", table.table))
}

pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) is_unique: bool,
    pub(crate) columns: Vec<String>,
}

pub(crate) fn indexes(table: &TableDefinition) -> Vec<Index> {
    let index = |columns: &[&str], is_unique| Index {
        name: index_name(&table.table, columns),
        is_unique,
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
    };
    let mut indexes = vec![index(&[column::DIGEST], true), index(&[column::EXPIRES_AT], false)];
    let fields = table.fields.iter().filter(|field| field.indexed);
    indexes.extend(fields.map(|field| index(&[&field.name, column::INSERTED_AT], false)));
    indexes
}

/// Returns the name of an index in Ecto's form, `sessions_auth_token_digest_index`, so that the indexes that Ecto made
/// are found too.
pub(super) fn index_name(table: &str, columns: &[&str]) -> String {
    const DIGEST: &str = "_auth_token_digest_index";
    // The end of the name distinguishes the database's error about a digest that exists already from other errors.
    if columns == [column::DIGEST] && table.len() + DIGEST.len() > MAX_NAME {
        let hash = hash_of(table);
        let start = &table[..table.floor_char_boundary(MAX_NAME - DIGEST.len() - hash.len())];
        return format!("{start}{hash}{DIGEST}");
    }
    shortened(format!("{table}_{}_index", columns.join("_")))
}

/// Returns `true` if one of `indexes`, by its name, is a field's own: the one made here, or the one that
/// `ecto_sessions` makes.
pub(crate) fn has_index(table: &str, field: &str, indexes: &[IndexInfo]) -> bool {
    let ours = index_name(table, &[field, column::INSERTED_AT]);
    let ectos = index_name(table, &[field]);
    indexes.iter().any(|index| index.name == ours || index.name == ectos)
}

/// Returns the statement that drops the index of a field on SQLite, if a migration has made one.
pub(crate) fn drop_index_of(table: &TableDefinition, field: &FieldDefinition) -> String {
    let backend = Backend::Sqlite;
    let name = qualified(table, &index_name(&table.table, &[&field.name, column::INSERTED_AT]), backend);
    format!("DROP INDEX IF EXISTS {name}; ")
}

pub(crate) fn create_index(table: &TableDefinition, index: &Index, backend: Backend) -> String {
    let unique = if index.is_unique { "UNIQUE " } else { "" };
    let (dialect, name) = (backend.dialect(), quoted(&index.name, backend));
    let (name, target) = match &table.schema {
        Some(schema) if dialect.names_schema_of_new_index() => {
            (format!("{}.{name}", quoted(schema, backend)), quoted(&table.table, backend))
        }
        _ => (name, qualified(table, &table.table, backend)),
    };
    let if_not_exists = dialect.unless_index_exists();
    let columns: Vec<String> = index.columns.iter().map(|column| quoted(column, backend)).collect();
    format!("CREATE {unique}INDEX {if_not_exists}{name} ON {target} ({})", columns.join(", "))
}

pub(crate) fn history_name(table: &TableDefinition) -> String {
    shortened(format!("{}_cloakroom_migrations", table.table))
}

pub(crate) fn qualified(table: &TableDefinition, name: &str, backend: Backend) -> String {
    match &table.schema {
        Some(schema) => format!("{}.{}", quoted(schema, backend), quoted(name, backend)),
        None => quoted(name, backend),
    }
}

/// Returns a quoted name, which may have any characters but control characters: `TableDefinition::validate` has checked
/// that.
pub(crate) fn quoted(name: &str, backend: Backend) -> String {
    backend.dialect().quoted(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_named_as_ecto_names_it_and_never_too_long() {
        assert_eq!(index_name("sessions", &["auth_token_digest"]), "sessions_auth_token_digest_index");
        let long = "x".repeat(60);
        let name = index_name("sessions", &[&long, "inserted_at"]);
        assert_eq!(name.len(), 63);
        assert_ne!(name, index_name("sessions", &[&long, "updated_at"]));
    }

    #[test]
    fn a_name_is_shortened_between_characters_and_is_still_another_than_its_neighbours() {
        for filler in ["x", "é", "語", "🦀"] {
            let long = filler.repeat(63 / filler.len());
            let names = ["a", "b", column::DIGEST].map(|last| index_name(&long, &[last]));
            assert!(names[2].ends_with("_auth_token_digest_index"), "{names:?}");
            assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
            assert_ne!(names[0], names[1]);
            assert!(history_name(&TableDefinition::new(long)).len() <= 63);
        }
    }

    #[test]
    fn a_quote_in_a_name_is_doubled() {
        assert_eq!(quoted("a\"b`c", Backend::Postgres), "\"a\"\"b`c\"");
        assert_eq!(quoted("a\"b`c", Backend::MySql), "`a\"b``c`");
    }
}

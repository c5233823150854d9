mod assurance;
mod audit;
mod built_in;
mod device;
mod dynamic;
mod field;
mod name;
mod owner;
mod retired;
mod role;
mod scopes;
mod typed_column;

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use assurance::HasAssurance;
pub use audit::KeepsAuditLog;
pub(crate) use audit::audit_column;
pub(crate) use built_in::{BUILT_IN_COLUMNS, BuiltInColumn, NewRow, PLACE_OF_SLIDING, column};
#[cfg(feature = "dbsc")]
#[doc(hidden)]
pub use device::DeviceKeyField;
#[cfg(feature = "dbsc")]
pub use device::HasDeviceKey;
pub use dynamic::{DynamicFields, DynamicValue};
pub(crate) use dynamic::{read as read_dynamic, unknown_field};
pub use field::FieldReader;
pub(crate) use name::{hash_of, shortened};
pub use owner::HasOwner;
use retired::RetiredTokens;
pub(crate) use retired::retired_column;
pub use retired::{ExchangesTokens, RotatesWithGrace};
pub use role::{
    HasAuthenticatedAt, HasEndedBecause, HasHint, HasLastAddress, HasLastSeen, HasLastUserAgent, HasScopes,
    ParseRoleError, Role,
};
#[doc(hidden)]
pub use role::{InstantField, OptionalTextField, RoleField, TextField};
#[doc(hidden)]
pub use scopes::ScopesField;
pub use typed_column::Column;

use crate::config::ConfigError;
use crate::database::{
    Backend, ColumnType, ColumnTypes, FieldType, FieldValue, Foreign, TableName, is_read_directly,
};
use crate::error::Result;

/// The longest name, in bytes: PostgreSQL keeps no more of a name. Names that are made from it are shortened.
const MAX_NAME: usize = 63;

/// The application's own columns of a session table, as a Rust type. The type says how they are written and read.
///
/// [`derive(SessionTable)`](derive@crate::SessionTable) implements this trait for a struct. [`DynamicFields`]
/// implements it for tables that are known only at run time.
pub trait SessionFields: Clone + Send + Sync + 'static {
    /// The type of a session's `data`. Default [`serde_json::Value`].
    type Data: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;

    /// The built-in column `id`.
    const ID: Column<Self, uuid::Uuid> = Column::new(column::ID);
    /// The built-in column `expires_at`; null if a session never expires.
    const EXPIRES_AT: Column<Self, time::OffsetDateTime> = Column::new(column::EXPIRES_AT);
    /// The built-in column `inserted_at`.
    const INSERTED_AT: Column<Self, time::OffsetDateTime> = Column::new(column::INSERTED_AT);
    /// The built-in column `updated_at`.
    const UPDATED_AT: Column<Self, time::OffsetDateTime> = Column::new(column::UPDATED_AT);

    /// Drops what is finer than a microsecond from the fields that are instants, since no database stores it. So the
    /// session that a write returns is the one that a read returns later.
    fn truncate_instants(&mut self) {}

    /// Returns the field with this role, for the library to fill in; `None` if there is none.
    #[doc(hidden)]
    fn role_mut(&mut self, _role: Role) -> Option<RoleField<'_>> {
        None
    }

    /// Returns the fields' values, in the order of the table's definition.
    fn to_values(&self) -> Vec<FieldValue>;

    /// Reads the fields of a row.
    fn from_row(row: &FieldReader<'_>) -> Result<Self>;
}

/// A session table that is known at compile time; implemented by [`derive(SessionTable)`](derive@crate::SessionTable).
pub trait SessionTable: SessionFields {
    /// Returns the table's name and columns.
    fn definition() -> TableDefinition;
}

/// The definition of a session table: its schema, its name, and the application's own columns.
#[derive(Clone, Debug)]
#[must_use]
pub struct TableDefinition {
    pub(crate) schema: Option<Cow<'static, str>>,
    pub(crate) table: Cow<'static, str>,
    pub(crate) fields: Vec<FieldDefinition>,
    pub(crate) retired: RetiredTokens,
    has_audit_log: bool,
}

impl TableDefinition {
    /// Defines a table of this name, in the connection's default schema, without extra columns.
    pub fn new(table: impl Into<Cow<'static, str>>) -> Self {
        Self {
            schema: None,
            table: table.into(),
            fields: Vec::new(),
            retired: RetiredTokens::default(),
            has_audit_log: false,
        }
    }

    /// Sets the schema that holds the table: a schema of PostgreSQL, a database of MariaDB/MySQL, an attached database
    /// of SQLite.
    pub fn schema(mut self, schema: impl Into<Cow<'static, str>>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Adds a column.
    pub fn field(mut self, field: FieldDefinition) -> Self {
        self.fields.push(field);
        self
    }

    /// Returns the schema, if one is set.
    pub fn schema_name(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    pub(crate) fn full_name(&self) -> TableName<'_> {
        TableName { schema: self.schema_name(), table: &self.table }
    }

    /// Returns the table's name, without its schema.
    pub fn table_name(&self) -> &str {
        &self.table
    }

    /// Returns the application's own columns.
    pub fn fields(&self) -> &[FieldDefinition] {
        &self.fields
    }

    /// Returns the columns that every session table has, next to [`fields`](Self::fields), as fields of the same types. No
    /// field can have one of their names.
    ///
    /// ```
    /// # use cloakroom::TableDefinition;
    /// let names: Vec<_> = TableDefinition::built_in_columns().map(|column| column.name().to_owned()).collect();
    /// assert_eq!(names, ["id", "auth_token_digest", "data", "expires_at", "inserted_at", "updated_at", "sliding_seconds"]);
    /// ```
    pub fn built_in_columns() -> impl Iterator<Item = FieldDefinition> {
        BUILT_IN_COLUMNS.iter().map(BuiltInColumn::as_field)
    }

    pub(crate) fn field_index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Returns the column with this role, if the table has one.
    pub fn field_for(&self, role: Role) -> Option<&FieldDefinition> {
        self.place_for(role).map(|place| &self.fields[place])
    }

    /// Returns the place of the column with this role among the fields.
    pub(crate) fn place_for(&self, role: Role) -> Option<usize> {
        self.fields.iter().position(|field| field.role == Some(role))
    }

    /// Returns how the values of a field of this name are written and read, if not in the driver's way.
    pub(crate) fn foreign(&self, name: &str, backend: Backend) -> Option<&Foreign> {
        self.fields.iter().find(|field| field.name == name)?.foreign[backend as usize].as_ref()
    }

    /// Returns `true` if a row of SQLite's can be read without its driver.
    #[cfg(feature = "sqlite")]
    pub(crate) fn is_read_directly(&self) -> bool {
        self.fields.iter().all(|field| field.is_read_directly)
    }

    /// Returns `true` if every value of the fields is read back exactly as it was written.
    pub(crate) fn keeps_to_the_letter(&self, backend: Backend) -> bool {
        let is_exact =
            |field: &FieldDefinition| field.foreign[backend as usize].as_ref().is_none_or(Foreign::is_exact);
        self.fields.iter().all(is_exact)
    }

    pub(crate) fn has_column(&self, name: &str) -> bool {
        BUILT_IN_COLUMNS.iter().any(|built_in| built_in.name == name) || self.field_index(name).is_some()
    }

    /// Checks every name, since a name may come from a configuration. Names are quoted in all SQL.
    pub(crate) fn validate(&self, backend: Backend) -> Result<(), ConfigError> {
        let check = |what, name: &str| check_identifier(what, name, backend);
        if let Some(schema) = &self.schema {
            check("schema", schema)?;
        }
        check("table", &self.table)?;
        for (place, field) in self.fields.iter().enumerate() {
            check("column", &field.name)?;
            let is_built_in =
                BUILT_IN_COLUMNS.iter().any(|it| backend.dialect().is_same_name(it.name, &field.name));
            let is_of_devices =
                self.device_columns().iter().any(|it| backend.dialect().is_same_name(&it.name, &field.name));
            let is_repeated = self.fields[..place]
                .iter()
                .any(|other| backend.dialect().is_same_name(&other.name, &field.name));
            if is_built_in || is_of_devices || is_repeated {
                return Err(ConfigError::DuplicateColumn { name: field.name.to_string() });
            }
            if let Some(reference) = &field.references {
                check("table", &reference.table)?;
                check("column", &reference.column)?;
            }
            field.validate_type(backend)?;
            let other =
                self.fields[..place].iter().find(|other| field.role.is_some() && other.role == field.role);
            if let (Some(role), Some(other)) = (field.role, other) {
                return Err(ConfigError::DuplicateRole {
                    role: role.name(),
                    columns: [other.name.to_string(), field.name.to_string()],
                });
            }
        }
        Ok(())
    }
}

/// Writes the name as `auth.sessions`, or as `sessions` without a schema.
impl fmt::Display for TableDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.full_name().fmt(f)
    }
}

/// One of the application's own columns.
#[derive(Clone, Debug)]
#[must_use]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the column's definition")]
pub struct FieldDefinition {
    pub(crate) name: Cow<'static, str>,
    pub(crate) types: ColumnTypes,
    /// How the column's values are written and read on each database, if not in the driver's way.
    pub(crate) foreign: [Option<Foreign>; 3],
    pub(crate) nullable: bool,
    pub(crate) indexed: bool,
    pub(crate) references: Option<Reference>,
    pub(crate) role: Option<Role>,
    /// Whether a required column of text may hold blank text.
    pub(crate) allows_blank: bool,
    /// Whether the table's definition, and not a Rust type, says how the column is read and written.
    pub(crate) is_dynamic: bool,
    /// Whether its values can be read from SQLite without its driver.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "only SQLite's rows are"))]
    pub(crate) is_read_directly: bool,
}

/// The column of another table that a field points at.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) table: Cow<'static, str>,
    pub(crate) column: Cow<'static, str>,
    /// Whether the migration adds a foreign key with `ON DELETE CASCADE`.
    pub(crate) cascade: bool,
}

impl FieldDefinition {
    /// Defines a required column for values of the Rust type `V`.
    pub fn new<V: FieldType>(name: impl Into<Cow<'static, str>>) -> Self {
        let is_read_directly = is_read_directly::<V>();
        Self { is_read_directly, ..Self::with_types(name, ColumnTypes::of::<V>()) }
    }

    /// Defines a required column with the same type on every database, for tables that are known only at run time.
    pub fn dynamic(name: impl Into<Cow<'static, str>>, column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Exact(sql_type) => Self::dynamic(name, ColumnType::Text).sql_type(sql_type),
            column_type => {
                Self { is_dynamic: true, ..Self::with_types(name, ColumnTypes::same(column_type)) }
            }
        }
    }

    /// Defines a column as the catalogue of `backend` describes it.
    pub(crate) fn described(
        name: String,
        column_type: ColumnType,
        backend: Backend,
        foreign: Option<Foreign>,
    ) -> Self {
        let mut field = Self::with_types(name, ColumnTypes::same(column_type));
        field.is_dynamic = true;
        field.foreign[backend as usize] = foreign;
        field
    }

    fn with_types(name: impl Into<Cow<'static, str>>, types: ColumnTypes) -> Self {
        Self {
            name: name.into(),
            types,
            foreign: Default::default(),
            nullable: false,
            indexed: false,
            references: None,
            role: None,
            allows_blank: false,
            is_dynamic: false,
            // So are the values of dynamic columns.
            is_read_directly: true,
        }
    }

    /// Allows null.
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// Adds an index on `(this column, inserted_at)`, which serves listings by this column, newest first.
    pub fn indexed(mut self) -> Self {
        self.indexed = true;
        self
    }

    /// Declares that this column holds values of `table.column`, for [`preload`](crate::SessionQuery::preload).
    pub fn references(
        mut self,
        table: impl Into<Cow<'static, str>>,
        column: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.references = Some(Reference { table: table.into(), column: column.into(), cascade: false });
        self
    }

    /// Makes the migration add a foreign key to the referenced column, with `ON DELETE CASCADE`.
    pub fn on_delete_cascade(mut self) -> Self {
        if let Some(reference) = &mut self.references {
            reference.cascade = true;
        }
        self
    }

    /// Says what the column is for, so that the library fills it in or reads it. A table has one column for a role.
    pub fn for_role(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    /// Allows text that is empty or blank, which a required column otherwise refuses. A column of [`Scopes`] needs it for
    /// the empty set; the derive and the role `scopes` add it.
    ///
    /// [`Scopes`]: crate::Scopes
    pub fn allow_blank(mut self) -> Self {
        self.allows_blank = true;
        self
    }

    /// Sets the column's type in SQL, in place of the one that follows from the Rust type. The migration contains this
    /// text as it stands: never let it come from outside the program.
    ///
    /// A text field may name any type, such as `numeric(12, 2)`, `citext` or an enum of the application's own. Its
    /// values are read and written as text, and compared as that type compares.
    pub fn sql_type(mut self, sql_type: impl Into<Cow<'static, str>>) -> Self {
        let sql_type = sql_type.into();
        self.foreign =
            Backend::ALL.map(|backend| Foreign::declared(backend, &sql_type, self.types.on(backend)));
        self.types = ColumnTypes::same(ColumnType::Exact(sql_type));
        self
    }

    /// Returns the column's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns `true` if the column may hold null.
    pub fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// Returns `true` if the migration indexes the column.
    pub fn is_indexed(&self) -> bool {
        self.indexed
    }

    /// Returns what the column is for, if the library is to know it.
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// Returns the column's type on `backend`.
    pub fn column_type(&self, backend: Backend) -> &ColumnType {
        self.types.on(backend)
    }

    /// Returns `true` if blank text is a value of the column.
    pub(crate) fn may_be_blank(&self) -> bool {
        self.allows_blank || self.role.is_some_and(Role::allows_blank)
    }

    fn validate_type(&self, backend: Backend) -> Result<(), ConfigError> {
        let problem = |problem: &str| ConfigError::ColumnType {
            column: self.name.to_string(),
            problem: problem.to_owned(),
        };
        match self.column_type(backend) {
            ColumnType::Exact(sql) if sql.trim().is_empty() => Err(problem("its SQL type is blank")),
            column_type => match self.role.and_then(|role| role.objection(column_type, self.nullable)) {
                Some(objection) => Err(problem(&objection)),
                None => Ok(()),
            },
        }
    }
}

/// Checks a name. It may contain any character that can be quoted.
fn check_identifier(what: &'static str, name: &str, backend: Backend) -> Result<(), ConfigError> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME {
        "it is longer than 63 bytes"
    } else if name.contains(char::is_control) {
        "it holds a control character"
    } else if what == "table" && name.contains('.') {
        "a dot stands between a schema and its table: give the schema by itself"
    } else if let Some(problem) = backend.dialect().refuses_name(name) {
        problem
    } else {
        return Ok(());
    };
    Err(ConfigError::Identifier { what, name: name.chars().take(80).collect(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_name(what: &'static str, name: &str, backend: Backend) -> bool {
        match check_identifier(what, name, backend) {
            Ok(()) => true,
            Err(error) => {
                assert!(matches!(error, ConfigError::Identifier { .. }), "{error:?}");
                false
            }
        }
    }

    #[test]
    fn a_name_is_whatever_can_be_quoted() {
        for backend in Backend::ALL {
            for what in ["schema", "table", "column"] {
                for name in
                    ["org-42", "Tenant A", "admin?", "séance", "1st", "a\"b`c", "; --", &"x".repeat(63)]
                {
                    assert!(is_name(what, name, backend), "{name:?}");
                }
                for name in ["", "a\0b", "a\nb", "a\u{7f}", "\u{85}", &"x".repeat(64), &"é".repeat(32)] {
                    assert!(!is_name(what, name, backend), "{name:?}");
                }
            }
            assert!(is_name("schema", "example.org", backend));
            assert!(!is_name("table", "auth.sessions", backend));
            assert_eq!(is_name("column", "🦀", backend), backend != Backend::MySql);
            assert_eq!(is_name("column", "a ", backend), backend != Backend::MySql);
        }
    }
}

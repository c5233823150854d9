//! The table beside a session table, `<table>_audit_log`, for what happened to its sessions.

use super::name::shortened;
use super::{DynamicFields, FieldDefinition, SessionFields, TableDefinition};
use crate::database::ColumnType;

/// The names of the table's columns.
pub(crate) mod audit_column {
    pub(crate) const ID: &str = "id";
    pub(crate) const RECORDED_AT: &str = "recorded_at";
    pub(crate) const EVENT: &str = "event";
    pub(crate) const SESSION_ID: &str = "session_id";
    pub(crate) const OWNER: &str = "owner";
    pub(crate) const REASON: &str = "reason";
    pub(crate) const DETAILS: &str = "details";
}

/// Fields of a table that keeps an audit log: `#[session(audit_log)]` on the struct. See
/// [`Sessions::audit_log`](crate::Sessions::audit_log).
#[diagnostic::on_unimplemented(
    message = "the table of `{Self}` keeps no audit log",
    label = "there is no log of its sessions",
    note = "write `#[session(audit_log)]` above `struct {Self}`; `migrate` then makes a table beside its own"
)]
pub trait KeepsAuditLog: SessionFields {}

#[diagnostic::do_not_recommend]
impl KeepsAuditLog for DynamicFields {}

impl TableDefinition {
    /// Lets this table keep an [audit log](crate::Sessions::audit_log): [`migrate`](crate::Sessions::migrate) makes a second
    /// table beside it, `<table>_audit_log`.
    pub fn audit_log(mut self) -> Self {
        self.has_audit_log = true;
        self
    }

    /// Returns `true` if this table keeps an audit log.
    pub fn keeps_audit_log(&self) -> bool {
        self.has_audit_log
    }

    /// Returns the name of the log's table, without its schema.
    pub(crate) fn audit_name(&self) -> String {
        shortened(format!("{}_audit_log", self.table))
    }

    /// Returns the columns of that table, except for the id, which comes first.
    pub(crate) fn audit_columns() -> [FieldDefinition; 6] {
        let column = |name, column_type| FieldDefinition::dynamic(name, column_type);
        [
            column(audit_column::RECORDED_AT, ColumnType::Timestamp),
            column(audit_column::EVENT, ColumnType::Text),
            column(audit_column::SESSION_ID, ColumnType::Uuid).nullable(),
            column(audit_column::OWNER, ColumnType::Text).nullable(),
            column(audit_column::REASON, ColumnType::Text).nullable(),
            // Text in columns that are indexed has a bound; the whole event has none.
            column(audit_column::DETAILS, ColumnType::Json),
        ]
    }
}

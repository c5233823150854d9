//! The table beside a session table, `<table>_retired_tokens`, for tokens that sessions had before.
//!
//! | row of | `usable_until` | `sealed` |
//! |---|---|---|
//! | a token that was exchanged, within its grace | when the grace ends | the successor |
//! | a token that was exchanged, once its seal is wiped | null | null |
//! | a token that was rotated with a grace | until when it is good | null |
//! | the last token that the renewal of a bound session replaced | until when it is good | the successor |
//! | the same, once its seal is wiped after its time | null | null |
//! | a token that an earlier renewal replaced | until when it is good | null |
//! | a token of a bound session that was rotated without a grace | null | null |
//!
//! A table whose sessions can be bound to a device exchanges no tokens.

use super::name::shortened;
use super::{DynamicFields, FieldDefinition, SessionFields, TableDefinition};
use crate::database::ColumnType;

/// The names of the table's columns.
pub(crate) mod retired_column {
    pub(crate) const DIGEST: &str = "token_digest";
    pub(crate) const SESSION_ID: &str = "session_id";
    pub(crate) const RETIRED_AT: &str = "retired_at";
    pub(crate) const USABLE_UNTIL: &str = "usable_until";
    pub(crate) const HINT: &str = "hint";
    pub(crate) const SEALED: &str = "sealed";
}

/// Which tokens that its sessions had before a table keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RetiredTokens {
    /// Those that were exchanged.
    pub(crate) exchanged: bool,
    /// Those that were rotated with a grace.
    pub(crate) rotated: bool,
}

/// Fields of a table whose tokens can be exchanged: `#[session(exchange)]` on the struct. See
/// [`Sessions::exchange`](crate::Sessions::exchange).
#[diagnostic::on_unimplemented(
    message = "the table of `{Self}` does not keep the tokens that `exchange` retires",
    label = "its tokens cannot be exchanged",
    note = "write `#[session(exchange)]` above `struct {Self}`; `migrate` then makes a table beside its own"
)]
pub trait ExchangesTokens: SessionFields {}

/// Fields of a table whose tokens can be rotated with a grace: `#[session(rotation_grace)]` on the struct. See
/// [`Sessions::rotate_with_grace`](crate::Sessions::rotate_with_grace).
#[diagnostic::on_unimplemented(
    message = "the table of `{Self}` does not keep the tokens that `rotate_with_grace` replaces",
    label = "its tokens cannot be rotated with a grace",
    note = "write `#[session(rotation_grace)]` above `struct {Self}`; `migrate` then makes a table beside its own"
)]
pub trait RotatesWithGrace: SessionFields {}

#[diagnostic::do_not_recommend]
impl ExchangesTokens for DynamicFields {}

#[diagnostic::do_not_recommend]
impl RotatesWithGrace for DynamicFields {}

impl TableDefinition {
    /// Lets the tokens of this table be [exchanged](crate::Sessions::exchange): [`migrate`](crate::Sessions::migrate) makes
    /// a second table beside it, `<table>_retired_tokens`.
    pub fn exchange(mut self) -> Self {
        self.retired.exchanged = true;
        self
    }

    /// Lets the tokens of this table be [rotated with a grace](crate::Sessions::rotate_with_grace):
    /// [`migrate`](crate::Sessions::migrate) makes a second table beside it, `<table>_retired_tokens`.
    pub fn rotation_grace(mut self) -> Self {
        self.retired.rotated = true;
        self
    }

    /// Returns `true` if the tokens of this table can be exchanged.
    pub fn exchanges_tokens(&self) -> bool {
        self.retired.exchanged
    }

    /// Returns `true` if the tokens of this table can be rotated with a grace.
    pub fn has_rotation_grace(&self) -> bool {
        self.retired.rotated
    }

    /// Returns `true` if there is a table for the tokens that sessions had before.
    pub(crate) fn keeps_retired_tokens(&self) -> bool {
        self.retired != RetiredTokens::default() || self.binds_devices()
    }

    /// Returns `true` if a token may be good for a while after another has taken its place.
    pub(crate) fn honours_old_tokens(&self) -> bool {
        self.has_rotation_grace() || self.binds_devices()
    }

    /// Returns the name of that table, without its schema.
    pub(crate) fn retired_name(&self) -> String {
        shortened(format!("{}_retired_tokens", self.table))
    }

    /// Returns the columns of that table, except for the digest, which comes first and has a type of its own.
    pub(crate) fn retired_columns() -> [FieldDefinition; 5] {
        let column = |name, column_type| FieldDefinition::dynamic(name, column_type);
        [
            column(retired_column::SESSION_ID, ColumnType::Uuid),
            column(retired_column::RETIRED_AT, ColumnType::Timestamp),
            column(retired_column::USABLE_UNTIL, ColumnType::Timestamp).nullable(),
            column(retired_column::HINT, ColumnType::Text).nullable(),
            column(retired_column::SEALED, ColumnType::Bytes).nullable(),
        ]
    }
}

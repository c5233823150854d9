//! The text of the statements, and how a row is read.

pub(crate) mod audit;
mod bindings;
#[cfg(feature = "dbsc")]
pub(crate) mod device;
mod dynamic;
pub(crate) mod ending;
mod filter;
mod foreign;
mod key_list;
mod looked_up_row;
pub(crate) mod retired;
mod scopes;
mod seen;
mod shapes;
mod statements;

pub(crate) use bindings::{Bindings, identifier};
pub use filter::{Comparison, Filter};
pub(crate) use looked_up_row::{LookedUpRow, width_side_by_side};
pub(crate) use seen::{MAX_USES, TEXTS, UseToRecord, record_uses, uses_to_record};
pub(crate) use shapes::{Shape, StatementsByShape};
pub(crate) use statements::{
    RowHeader, Statements, Under, as_it_was_read, has_status, is_of_age, most_side_by_side, oldest_of_age,
    read_rest, read_session, returned_columns, select_columns, select_first_columns, table_ref, unreadable,
    value, written_at,
};

//! The text of the statements, and how a row is read.

mod bindings;
mod dynamic;
pub(crate) mod ending;
mod filter;
mod foreign;
mod found;
mod key_list;
mod statements;

pub(crate) use bindings::{Bindings, identifier};
pub use filter::{Comparison, Filter};
pub(crate) use found::{Found, width_on_sqlite};
pub(crate) use statements::{
    Head, Statements, as_it_was_read, has_status, most_side_by_side, read_rest, read_session, select_columns,
    table_ref, unreadable, value, written_at,
};

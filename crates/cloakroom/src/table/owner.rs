//! The role `owner`: whose session it is.

use super::{DynamicFields, DynamicValue, FieldDefinition, Role, SessionFields};
use crate::database::{Backend, FieldValue};

/// Fields with a column that says whose the session is: `#[session(owner)]`. See
/// [`SessionQuery::owner`](crate::SessionQuery::owner) and [`Sessions::with_limit`](crate::Sessions::with_limit).
#[diagnostic::on_unimplemented(
    message = "the table of `{Self}` has no column for the owners of its sessions",
    label = "none of its fields has the role `owner`",
    note = "write `#[session(index, owner)]` above the field of `{Self}` that says whose the session is, such as `user_id`"
)]
pub trait HasOwner: SessionFields {
    /// The type of an owner: that of the field, without its `Option`.
    type Owner;

    /// Returns the value of the column with this role. A table that is defined at run time may have no such column, and
    /// the value of an `Option` may be missing.
    fn owner(&self) -> Option<&Self::Owner>;

    /// Returns an owner as a value of the column.
    #[doc(hidden)]
    fn owner_value(owner: &Self::Owner, field: &FieldDefinition, backend: Backend) -> FieldValue;
}

#[diagnostic::do_not_recommend]
impl HasOwner for DynamicFields {
    type Owner = DynamicValue;

    fn owner(&self) -> Option<&DynamicValue> {
        self.with_role(Role::Owner).filter(|value| **value != DynamicValue::Null)
    }

    fn owner_value(owner: &DynamicValue, field: &FieldDefinition, backend: Backend) -> FieldValue {
        owner.to_field_value(field.name(), field.column_type(backend), backend)
    }
}

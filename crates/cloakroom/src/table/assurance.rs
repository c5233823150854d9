//! The role `assurance`: how well the session's user has proved who they are.

use super::{DynamicFields, DynamicValue, Role, SessionFields};

/// Fields with a column for how well the session's user has proved who they are: `#[session(assurance)]`. See
/// [`Sessions::reauthenticate_as`](crate::Sessions::reauthenticate_as).
#[diagnostic::on_unimplemented(
    message = "the table of `{Self}` has no column for how well its users are authenticated",
    label = "none of its fields has the role `assurance`",
    note = "write `#[session(assurance)]` above the field of `{Self}` that says so, an integer or an enum of your own"
)]
pub trait HasAssurance: SessionFields {
    /// The type of the levels: that of the field, without its `Option`.
    type Assurance: Clone;

    /// Returns the value of the column with this role. A table that is defined at run time may have no such column, and
    /// the value of an `Option` may be missing.
    fn assurance(&self) -> Option<&Self::Assurance>;

    /// Sets the field. It is written by an update, like every other field.
    fn set_assurance(&mut self, assurance: Self::Assurance);
}

#[diagnostic::do_not_recommend]
impl HasAssurance for DynamicFields {
    type Assurance = DynamicValue;

    fn assurance(&self) -> Option<&DynamicValue> {
        self.with_role(Role::Assurance).filter(|value| **value != DynamicValue::Null)
    }

    fn set_assurance(&mut self, assurance: DynamicValue) {
        self.set_role(Role::Assurance, assurance);
    }
}

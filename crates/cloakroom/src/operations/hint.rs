//! The role `hint`: the column that holds what may be shown of the session's token.

use super::Operations;
use crate::database::FieldValue;
use crate::error::Result;
use crate::session::Session;
use crate::table::{Role, RoleField, SessionFields};
use crate::token::Token;

/// What a column that holds hints is to be set to.
pub(super) struct NewHint {
    /// The column's name.
    pub(super) column: String,
    pub(super) value: FieldValue,
    hint: String,
    /// Whether what is read back may differ from what was written.
    may_change: bool,
}

impl<T: SessionFields> Operations<'_, T> {
    /// Puts the token's hint into the field that is for it, if there is one.
    pub(super) fn fill_hint(&self, fields: &mut T, token: &Token) {
        if let Some(RoleField::Text(field)) = fields.role_mut(Role::Hint) {
            field.set_text(self.config().hint(token));
        }
    }

    /// Returns what the column for the hint is set to when the session gets this token. Nothing is changed yet.
    pub(super) async fn new_hint(&mut self, session: &Session<T>, token: &Token) -> Result<Option<NewHint>> {
        let Some(index) = self.table().fields.iter().position(|field| field.role() == Some(Role::Hint))
        else {
            return Ok(None);
        };
        let mut fields = session.fields.clone();
        self.fill_hint(&mut fields, token);
        let mut values: Vec<_> = fields.to_values().into_iter().map(Some).collect();
        let Some(value) = values.get_mut(index).and_then(Option::take) else {
            return Ok(None);
        };
        let field = &self.table().fields[index];
        let column = field.name().to_owned();
        let value = self.checked_value(field, value)?;
        // The other columns are not written, whatever the caller has changed.
        let written: Vec<_> =
            (0..values.len()).map(|place| (place == index).then(|| value.clone())).collect();
        let may_change = self.fit(&written).await?;
        Ok(Some(NewHint { column, value, hint: self.config().hint(token), may_change }))
    }

    /// Makes the session say what its row says since the hint was written. What the caller has changed and not written
    /// yet stays.
    pub(super) async fn note_hint(&mut self, session: &mut Session<T>, new: NewHint) {
        let mut hint = new.hint;
        if new.may_change
            // The new token must not be lost because its hint cannot be read.
            && let Ok(Some(mut read)) = self.read(session.id).await
            && read.updated_at == session.updated_at
            && let Some(RoleField::Text(field)) = read.row_mut().fields.role_mut(Role::Hint)
            && let Some(stored) = field.text()
        {
            stored.clone_into(&mut hint);
        }
        session.note_field(|fields| {
            if let Some(RoleField::Text(field)) = fields.role_mut(Role::Hint) {
                field.set_text(hint.clone());
            }
        });
    }
}

//! Columns with a role that the library fills in itself: what may be shown of the token, and when the user proved who they
//! are.

use sea_query::UpdateStatement;
use time::OffsetDateTime;

use super::Operations;
use crate::clock::to_stored_precision;
use crate::database::FieldValue;
use crate::error::Result;
use crate::session::Session;
use crate::sql::{Bindings, identifier};
use crate::table::{Role, RoleField, SessionFields};
use crate::token::Token;

/// What columns with a role are set to by one write.
pub(super) struct Filled<T> {
    columns: Vec<(String, FieldValue)>,
    roles: Vec<Role>,
    /// The fields as they are afterwards.
    fields: T,
    /// Whether what is read back may differ from what was written.
    may_change: bool,
}

impl<T> Filled<T> {
    pub(super) fn set(&self, update: &mut UpdateStatement, bindings: &mut Bindings<'_>) {
        for (column, value) in &self.columns {
            update.value(identifier(column), bindings.stored_in(column, value.clone()));
        }
    }
}

impl<T: SessionFields> Operations<'_, T> {
    /// Puts the token's hint into the field that is for it, if there is one.
    pub(super) fn fill_hint(&self, fields: &mut T, token: &Token) {
        if let Some(RoleField::Text(field)) = fields.role_mut(Role::Hint) {
            field.set_text(self.config().hint(token));
        }
    }

    /// Fills in when the user of a new session proved who they are, if there is a field for it: now, unless the caller
    /// knows an earlier instant.
    pub(super) fn fill_authentication(fields: &mut T, now: OffsetDateTime) {
        if let Some(RoleField::Instant(field)) = fields.role_mut(Role::AuthenticatedAt) {
            let given = field.instant().map(to_stored_precision);
            field.set_instant(given.filter(|given| *given < now).unwrap_or(now));
        }
    }

    /// Returns what the columns with these roles are set to once `fill` has changed their fields, and that for the hint of
    /// the session's new token. Nothing is changed yet.
    pub(super) async fn filled(
        &mut self,
        session: &Session<T>,
        roles: &[Role],
        token: &Token,
        fill: impl FnOnce(&mut T),
    ) -> Result<Filled<T>> {
        let roles = [roles, &[Role::Hint]].concat();
        let mut fields = session.fields.clone();
        self.fill_hint(&mut fields, token);
        fill(&mut fields);
        let is_filled = |role: Option<Role>| role.is_some_and(|role| roles.contains(&role));
        let (mut columns, mut written) = (Vec::new(), Vec::new());
        for (field, value) in self.table().fields.iter().zip(fields.to_values()) {
            // The other columns are not written, whatever the caller has changed.
            let value = is_filled(field.role()).then(|| self.checked_value(field, value)).transpose()?;
            columns.extend(value.clone().map(|value| (field.name().to_owned(), value)));
            written.push(value);
        }
        let may_change = !columns.is_empty() && self.fit(&written).await?;
        Ok(Filled { columns, roles, fields, may_change })
    }

    /// Makes the session say what its row says since the columns were written. What the caller has changed and not
    /// written yet stays. `fill` fills in the columns whose types are the application's own.
    pub(super) async fn note_filled(
        &mut self,
        session: &mut Session<T>,
        filled: Filled<T>,
        fill: &(dyn Fn(&mut T) + Send + Sync),
    ) {
        let Filled { columns, roles, mut fields, may_change } = filled;
        if columns.is_empty() {
            return;
        }
        if may_change
            // The new token must not be lost because the row cannot be read.
            && let Ok(Some(read)) = self.read(session.id).await
            && read.updated_at == session.updated_at
        {
            fields = read.into_row().fields;
        }
        session.note_field(|noted| {
            fill(noted);
            for role in &roles {
                if let (Some(from), Some(to)) = (fields.role_mut(*role), noted.role_mut(*role)) {
                    from.copy_to(to);
                }
            }
        });
    }
}

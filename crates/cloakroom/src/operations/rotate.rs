//! Giving a session another token, also because its user has proved anew who they are.

use sea_query::UpdateStatement;

use super::Operations;
use super::create::no_randomness;
use super::guarded::Effect;
use crate::database::FieldValue;
use crate::error::{Error, ErrorKind, Result};
use crate::observe::Operation;
use crate::session::Session;
use crate::sql::Bindings;
use crate::table::{HasAuthenticatedAt, Role, RoleField, SessionFields, column};
use crate::token::Token;

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::rotate`](crate::Sessions::rotate).
    pub async fn rotate(&mut self, session: &mut Session<T>) -> Result<Token> {
        self.call(Operation::Rotate).of(self.rotate_row(session, &[], |_| {})).await
    }

    /// See [`Sessions::reauthenticate`](crate::Sessions::reauthenticate).
    pub async fn reauthenticate(&mut self, session: &mut Session<T>) -> Result<Token>
    where
        T: HasAuthenticatedAt,
    {
        self.call(Operation::Reauthenticate).of(self.reauthenticate_row(session)).await
    }

    async fn reauthenticate_row(&mut self, session: &mut Session<T>) -> Result<Token> {
        if self.table().field_for(Role::AuthenticatedAt).is_none() {
            let message = format!("{} has no column with the role authenticated_at", self.table());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let now = self.config().now();
        let fill = |fields: &mut T| {
            if let Some(RoleField::Instant(field)) = fields.role_mut(Role::AuthenticatedAt) {
                field.set_instant(now);
            }
        };
        self.rotate_row(session, &[Role::AuthenticatedAt], fill).await
    }

    /// Writes another token's digest, and what `fill` puts into the fields with these roles.
    async fn rotate_row(
        &mut self,
        session: &mut Session<T>,
        roles: &[Role],
        fill: impl FnOnce(&mut T),
    ) -> Result<Token> {
        let now = self.config().now();
        if self.is_over(session, now) {
            return Err(self.not_brought_back(session).await?);
        }
        self.check_writes().await?;
        let (token, digest) = self.config().generate_token().map_err(no_randomness)?;
        let hint = self.config().hint(&token);
        let fill = |fields: &mut T| {
            if let Some(RoleField::Text(field)) = fields.role_mut(Role::Hint) {
                field.set_text(hint);
            }
            fill(fields);
        };
        let filled = self.filled(session, &[roles, &[Role::Hint]].concat(), fill).await?;
        let set = |update: &mut UpdateStatement, bindings: &mut Bindings<'_>| {
            update.value(column::DIGEST, bindings.expr(FieldValue::plain(digest.expose())));
            filled.set(update, bindings);
        };
        if !self.write(session, now, session.stored.expires_at, Effect::Revokes, set).await? {
            return Err(self.lost(session).await?);
        }
        self.note_filled(session, filled).await;
        Ok(token)
    }
}

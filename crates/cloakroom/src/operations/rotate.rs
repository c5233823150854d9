//! Giving a session another token.

use sea_query::UpdateStatement;

use super::Operations;
use super::create::no_randomness;
use super::guarded::Effect;
use crate::database::FieldValue;
use crate::error::Result;
use crate::observe::Operation;
use crate::session::Session;
use crate::sql::{Bindings, identifier};
use crate::table::{SessionFields, column};
use crate::token::Token;

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::rotate`](crate::Sessions::rotate).
    pub async fn rotate(&mut self, session: &mut Session<T>) -> Result<Token> {
        self.call(Operation::Rotate).of(self.rotate_row(session)).await
    }

    async fn rotate_row(&mut self, session: &mut Session<T>) -> Result<Token> {
        let now = self.config().now();
        if self.is_over(session, now) {
            return Err(self.not_brought_back(session).await?);
        }
        self.check_writes().await?;
        let (token, digest) = self.config().generate_token().map_err(no_randomness)?;
        let hint = self.new_hint(session, &token).await?;
        let set = |update: &mut UpdateStatement, bindings: &mut Bindings<'_>| {
            update.value(column::DIGEST, bindings.expr(FieldValue::plain(digest.expose())));
            if let Some(hint) = &hint {
                update.value(identifier(&hint.column), bindings.stored_in(&hint.column, hint.value.clone()));
            }
        };
        if !self.write(session, now, session.stored.expires_at, Effect::Revokes, set).await? {
            return Err(self.lost(session).await?);
        }
        if let Some(hint) = hint {
            self.note_hint(session, hint).await;
        }
        Ok(token)
    }
}

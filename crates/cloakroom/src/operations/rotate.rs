//! Giving a session another token, also because its user has proved anew who they are.

use std::time::Duration;

use sea_query::{ExprTrait, UpdateStatement};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Operations;
use super::create::no_randomness;
use super::guarded::Effect;
use crate::database::FieldValue;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, EventKind};
use crate::observe::Operation;
use crate::session::Session;
use crate::sql::Bindings;
use crate::table::{HasAssurance, HasAuthenticatedAt, Role, RoleField, SessionFields, column};
use crate::token::Token;

/// How often a rotation is tried if renewals of the bound session keep replacing its token.
const ATTEMPTS: usize = 100;

/// Why a session gets another token.
#[derive(Clone, Copy)]
pub(super) enum Why {
    Asked,
    Reauthenticated,
}

impl Why {
    fn event(self, session: Uuid) -> EventKind {
        match self {
            Self::Asked => EventKind::Rotated { session },
            Self::Reauthenticated => EventKind::Reauthenticated { session },
        }
    }
}

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::rotate`](crate::Sessions::rotate).
    pub async fn rotate(&mut self, session: &mut Session<T>) -> Result<Token> {
        self.call(Operation::Rotate).of(self.rotate_row(session, &[], &|_| {}, None, Why::Asked)).await
    }

    /// See [`Sessions::reauthenticate`](crate::Sessions::reauthenticate).
    pub async fn reauthenticate(&mut self, session: &mut Session<T>) -> Result<Token>
    where
        T: HasAuthenticatedAt,
    {
        let roles = &[Role::AuthenticatedAt];
        self.call(Operation::Reauthenticate).of(self.reauthenticate_row(session, roles, &|_| {})).await
    }

    /// See [`Sessions::reauthenticate_as`](crate::Sessions::reauthenticate_as).
    pub async fn reauthenticate_as(
        &mut self,
        session: &mut Session<T>,
        assurance: T::Assurance,
    ) -> Result<Token>
    where
        T: HasAuthenticatedAt + HasAssurance,
        T::Assurance: Send + Sync,
    {
        let roles = &[Role::AuthenticatedAt, Role::Assurance];
        let set = |fields: &mut T| fields.set_assurance(assurance.clone());
        self.call(Operation::Reauthenticate).of(self.reauthenticate_row(session, roles, &set)).await
    }

    /// Writes a new token and the instant, and what `set` sets, for the columns with these roles.
    async fn reauthenticate_row(
        &mut self,
        session: &mut Session<T>,
        roles: &[Role],
        set: &(dyn Fn(&mut T) + Send + Sync),
    ) -> Result<Token> {
        if let Some(missing) = roles.iter().find(|role| self.table().field_for(**role).is_none()) {
            let message = format!("{} has no column with the role {missing}", self.table());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let now = self.config().now();
        let fill = |fields: &mut T| {
            if let Some(RoleField::Instant(field)) = fields.role_mut(Role::AuthenticatedAt) {
                field.set_instant(now);
            }
            set(fields);
        };
        self.rotate_row(session, roles, &fill, None, Why::Reauthenticated).await
    }

    /// Writes another token's digest, and what `fill` puts into the fields with these roles. The present token stays good
    /// for `grace`, if there is one.
    pub(super) async fn rotate_row(
        &mut self,
        session: &mut Session<T>,
        roles: &[Role],
        fill: &(dyn Fn(&mut T) + Send + Sync),
        grace: Option<Duration>,
        why: Why,
    ) -> Result<Token> {
        let now = self.config().now();
        if self.is_over(session, now) {
            return Err(self.not_brought_back(session).await?);
        }
        self.check_writes().await?;
        let (token, digest) = self.config().generate_token().map_err(no_randomness)?;
        let filled = self.filled(session, roles, &token, fill).await?;
        let set = |update: &mut UpdateStatement, bindings: &mut Bindings<'_>| {
            update.value(column::DIGEST, bindings.expr(FieldValue::plain(digest.expose())));
            filled.set(update, bindings);
        };
        let expires_at = session.stored.expires_at;
        let event = self.event_of(session, why.event(session.id));
        let is_written = if self.table().honours_old_tokens() {
            self.rotate_beside(session, now, grace, event, &set).await?
        } else {
            self.write(session, now, expires_at, Effect::Revokes, event, set).await?
        };
        if !is_written {
            return Err(self.lost(session).await?);
        }
        self.note_filled(session, filled, fill).await;
        session.row_mut().stored.old_token_until = None;
        Ok(token)
    }

    /// Writes what `set` sets, and what becomes of the session's old tokens. Returns `true` if the row was as it was read.
    async fn rotate_beside(
        &mut self,
        session: &mut Session<T>,
        now: OffsetDateTime,
        grace: Option<Duration>,
        event: Option<Event>,
        set: &(dyn Fn(&mut UpdateStatement, &mut Bindings<'_>) + Send + Sync),
    ) -> Result<bool> {
        let expires_at = session.stored.expires_at;
        for _ in 0..ATTEMPTS {
            let (present, old) = self.retiring(session, now, grace).await?;
            let set = |update: &mut UpdateStatement, bindings: &mut Bindings<'_>| {
                set(update, bindings);
                // The renewal of a bound session replaces its token, and leaves the rest of the row as it was read.
                if let Some(present) = &present {
                    let digest = bindings.expr(FieldValue::plain(present.expose()));
                    update.and_where(bindings.column(column::DIGEST).eq(digest));
                }
            };
            let (update, updated_at) = self.guarded(session, now, expires_at, set);
            if self.in_transaction().write_together(session.id, update, old, event.clone()).await? {
                session.note_write(expires_at, updated_at);
                return Ok(true);
            }
            if present.is_none() {
                break;
            }
        }
        Ok(false)
    }
}

//! Creating a session.

use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;
use uuid::{ContextV7, Timestamp, Uuid};

use super::{Operations, in_its_own_task, in_own_transaction};
use crate::database::{Begin, FieldValue};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, EventKind};
use crate::observe::Operation;
use crate::session::{CreatedSession, NewSession, Session, SessionData, SessionRow, Stored, expiry};
use crate::table::{NewRow, Role, RoleField, SessionFields};
use crate::token::{DigestError, TokenError};

/// The most that the rows of one statement may hold. MariaDB takes no packet above 16 MiB by default.
pub(crate) const MAX_STATEMENT: usize = 4 * 1024 * 1024;

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::create`](crate::Sessions::create).
    pub async fn create(&mut self, new: NewSession<T>) -> Result<CreatedSession<T>> {
        self.call(Operation::Create).of(self.create_row(new)).await
    }

    async fn create_row(&mut self, new: NewSession<T>) -> Result<CreatedSession<T>> {
        let config = self.config();
        let now = config.now();
        let (token, digest) = match new.token {
            Some(token) => {
                let digest = config.digest(&token).map_err(not_storable)?;
                (token, digest)
            }
            None => config.generate_token().map_err(no_randomness)?,
        };
        let data = (*new.data.0).clone()?;
        let value = data.parse_given()?;
        let data = SessionData::new(data, value);
        let expires_at = new.expiry.at(config, now);
        let expires_at = expiry::capped(config, now, expires_at);
        let sliding = new.expiry.sliding();
        let mut fields = new.fields;
        fields.truncate_instants();
        self.fill_hint(&mut fields, &token);
        Self::fill_authentication(&mut fields, now);
        self.fill_last_seen(&mut fields, now);
        let session = Session::from(SessionRow {
            id: new_id(now),
            fields,
            data,
            expires_at,
            inserted_at: now,
            updated_at: now,
            stored: Stored {
                expires_at,
                updated_at: now,
                sliding,
                fields: None,
                old_token_until: None,
                token_until: None,
            },
        });
        let row = NewRow {
            id: session.id,
            digest: digest.expose(),
            data: session.data.stored().to_field_value(),
            expires_at,
            inserted_at: now,
            updated_at: now,
            sliding: sliding.seconds(),
        };
        let max_batch = config.max_batch();
        let (fields, may_change) = self.fitting_values(&session.fields).await?;
        self.check_sliding(sliding, now, expires_at).await?;
        let limits = self.limits_of(&session.fields, &fields);
        let values = row.values(fields);
        let event = self.event_of(&session, EventKind::Created { session: session.id, expires_at });
        if let Some(limits) = limits {
            self.insert_limited(session.id, values, limits, event).await?;
        } else if self.is_audited(event.as_ref()) {
            self.insert_audited(values, event).await?;
        } else {
            if self.connection.is_pool() && !is_large(&values, max_batch) {
                self.handle.batching().insert(values).await?;
            } else {
                let statement = self.handle.store().insert(std::iter::once(&values[..]));
                self.execute(&statement).await?;
            }
            self.tell(event);
        }
        let mut session = session;
        if may_change {
            self.read_back(&mut session).await?;
        }
        Ok(CreatedSession { session, token })
    }

    /// Inserts a row together with its entry in the audit log.
    async fn insert_audited(&mut self, values: Vec<FieldValue>, event: Option<Event>) -> Result<()> {
        if !self.connection.is_pool() {
            self.require_transaction_to_audit().await?;
            return self.insert_and_record(&values, event).await;
        }
        let handle = Arc::clone(self.handle());
        in_its_own_task(Box::pin(async move {
            in_own_transaction(&handle, Begin::ToWrite, |own| {
                let (values, event) = (values.clone(), event.clone());
                Box::pin(async move { own.operations::<T>().insert_and_record(&values, event).await })
            })
            .await
        }))
        .await
    }

    async fn insert_and_record(&mut self, values: &[FieldValue], event: Option<Event>) -> Result<()> {
        let statement = self.handle.store().insert(std::iter::once(values));
        self.execute(&statement).await?;
        self.record(event.into_iter().collect()).await
    }

    /// Lets a session begin as one that is seen, if the column for that cannot be null.
    fn fill_last_seen(&self, fields: &mut T, now: OffsetDateTime) {
        let is_required = self.table().field_for(Role::LastSeen).is_some_and(|field| !field.is_nullable());
        if is_required && let Some(RoleField::Instant(field)) = fields.role_mut(Role::LastSeen) {
            field.set_instant(now);
        }
    }
}

/// Returns a UUID of version 7 for a row created at `now`. The ids of one instant are in order too.
pub(crate) fn new_id(now: OffsetDateTime) -> Uuid {
    static CONTEXT: Mutex<ContextV7> = Mutex::new(ContextV7::new());
    let context = CONTEXT.lock().unwrap_or_else(PoisonError::into_inner);
    // Instants before 1970 have no place in a UUID.
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(&*context, seconds, now.nanosecond()))
}

/// Returns `true` if a row is too large to share a statement with as many similar rows as a batch may hold.
fn is_large(values: &[FieldValue], max_batch: usize) -> bool {
    const MAX_SHARED_ROW: usize = 16 * 1024;
    values.iter().map(FieldValue::size).sum::<usize>() > (MAX_STATEMENT / max_batch).min(MAX_SHARED_ROW)
}

pub(super) fn not_storable(error: DigestError) -> Error {
    Error::new(ErrorKind::InvalidField, "the imported token cannot be stored").with_source(error)
}

pub(super) fn no_randomness(error: TokenError) -> Error {
    Error::new(ErrorKind::Unavailable, "a token could not be generated").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_share_a_statement_fit_into_one_packet() {
        for max_batch in [1, 2, 256, 1024, 4096] {
            let row = |length: usize| vec![FieldValue::plain("x".repeat(length))];
            let longest =
                (0..=1 << 20).step_by(512).take_while(|length| !is_large(&row(*length), max_batch)).last();
            let longest = longest.unwrap();
            assert!(longest >= 1024, "{longest} for {max_batch}");
            assert!(longest * max_batch <= MAX_STATEMENT, "{longest} for {max_batch}");
        }
    }
}

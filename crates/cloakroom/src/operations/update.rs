//! Writing the caller's changes to a session.

use sea_query::UpdateStatement;

use super::Operations;
use super::guarded::Effect;
use crate::database::FieldValue;
use crate::error::{ErrorKind, Outcome, Result};
use crate::events::EventKind;
use crate::observe::Operation;
use crate::session::{Session, Sliding, expiry};
use crate::sql::{Bindings, identifier};
use crate::table::{FieldDefinition, SessionFields, column};

/// How often an operation starts anew if other writers keep changing the row.
const ATTEMPTS: usize = 100;

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::update`](crate::Sessions::update).
    pub async fn update(&mut self, session: &mut Session<T>) -> Result<()> {
        self.call(Operation::Update).of(self.update_row(session)).await
    }

    async fn update_row(&mut self, session: &mut Session<T>) -> Result<()> {
        let now = self.config().now();
        let expires_at = self.expiry_to_write(session);
        let changed = self.changed_values(session)?;
        let may_change = self.fit(&changed).await?;
        let data = session.data.changed()?;
        let is_moved = expires_at != session.stored.expires_at;
        if is_moved && self.is_over(session, now) && expiry::is_valid(expires_at, now) {
            return Err(self.not_brought_back(session).await?);
        }
        let is_earlier =
            is_moved && expires_at.is_some_and(|new| session.stored.expires_at.is_none_or(|old| new < old));
        // A later read must not undo what the caller shortens.
        let is_fixed = is_earlier && expiry::is_valid(expires_at, now);
        if is_fixed {
            self.check_sliding(Sliding::Fixed, session.inserted_at, expires_at).await?;
        }
        let is_fixed = is_fixed && self.handle().store().has_sliding();
        let names: Vec<_> = self.table().fields.iter().map(|field| field.name.clone()).collect();
        let set = |update: &mut UpdateStatement, bindings: &mut Bindings<'_>| {
            for (name, value) in names.into_iter().zip(changed) {
                if let Some(value) = value {
                    update.value(identifier(&name), bindings.stored_in(&name, value));
                }
            }
            if is_fixed {
                let sliding = FieldValue::plain(Sliding::Fixed.seconds());
                update.value(column::SLIDING, bindings.expr(sliding));
            }
            if let Some(data) = &data {
                update.value(column::DATA, bindings.expr(data.to_field_value()));
            }
        };
        let event = self.event_of(session, EventKind::Updated { session: session.id });
        if !self.write(session, now, expires_at, Effect::Revokes, event, set).await? {
            return Err(self.lost(session).await?);
        }
        let row = session.row_mut();
        row.fields.truncate_instants();
        row.expires_at = expires_at;
        row.stored.fields = None;
        if is_fixed {
            row.stored.sliding = Sliding::Fixed;
        }
        if let Some(data) = data {
            row.data.note_write(data);
        }
        if may_change {
            self.read_back(session).await?;
        }
        Ok(())
    }

    /// See [`Sessions::update_with`](crate::Sessions::update_with).
    pub async fn update_with(
        &mut self,
        session: &mut Session<T>,
        change: impl FnMut(&mut Session<T>),
    ) -> Result<()> {
        self.call(Operation::Update).of(self.update_row_with(session, change)).await
    }

    async fn update_row_with(
        &mut self,
        session: &mut Session<T>,
        mut change: impl FnMut(&mut Session<T>),
    ) -> Result<()> {
        let mut attempts = 0;
        loop {
            let mut changed = session.clone();
            change(&mut changed);
            match self.update_row(&mut changed).await {
                Err(error) if error.kind() == ErrorKind::Conflict && attempts < ATTEMPTS => {
                    attempts += 1;
                    self.read_again(session).await?;
                }
                result => {
                    result?;
                    *session = changed;
                    return Ok(());
                }
            }
        }
    }

    /// Reads back what was written just now, since the database may have stored another value: the nearest number, or
    /// text in another form. If another caller has written the row since, the session stays as it was written.
    pub(super) async fn read_back(&mut self, session: &mut Session<T>) -> Result<()> {
        match self.read(session.id).await.map_err(|error| error.with_outcome(Outcome::Done))? {
            Some(read) if read.updated_at == session.updated_at => *session = read,
            _ => {}
        }
        Ok(())
    }

    /// Returns the value of each field that differs from the value that was read.
    fn changed_values(&self, session: &Session<T>) -> Result<Vec<Option<FieldValue>>> {
        let Some(read) = &session.stored.fields else {
            return Ok(Vec::new());
        };
        let values_of = |fields: &T| {
            let mut fields = fields.clone();
            fields.truncate_instants();
            fields.to_values()
        };
        let pairs = values_of(read).into_iter().zip(values_of(&session.fields));
        let fields = self.table().fields.iter().zip(pairs);
        let changed = fields.map(|(field, (before, after))| {
            let is_changed = !after.is_same(&before);
            is_changed.then(|| self.checked_value(field, after)).transpose()
        });
        changed.collect()
    }

    /// Returns the fields' values. Fails if a required value is missing.
    pub(crate) fn checked_values(&self, fields: &T) -> Result<Vec<FieldValue>> {
        let fitted = self.table().fields.iter().zip(fields.to_values());
        fitted.map(|(field, value)| self.checked_value(field, value)).collect()
    }

    /// Returns a field's value as it is bound. Fails if a required value is missing.
    pub(super) fn checked_value(&self, field: &FieldDefinition, value: FieldValue) -> Result<FieldValue> {
        if !field.nullable {
            value.check_required(&field.name, field.may_be_blank())?;
        }
        Ok(match &field.foreign[self.connection.backend() as usize] {
            Some(foreign) => foreign.bound(value),
            None => value,
        })
    }
}

//! The statements about sessions that are bound to a device, or are about to be.
//!
//! None of them moves `updated_at`: an update of the application's that runs at the same time writes other columns, and
//! neither conflicts with the other. They compare what they replace instead, and write no session that has ended.

use sea_query::{ExprTrait, Query, SelectStatement, UpdateStatement};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Bindings, RowHeader, has_status, identifier, read_rest, select_columns, table_ref, unreadable};
use crate::config::Config;
use crate::database::{FieldValue, Row, Statement};
use crate::error::Result;
use crate::session::{Session, Status};
use crate::table::{Role, SessionFields, TableDefinition, column};
use crate::token::PossibleDigests;

/// Which row is looked for.
#[derive(Clone, Copy)]
pub(crate) enum Of<'d> {
    /// The one whose present token has any of these digests.
    Token(&'d PossibleDigests),
    Id(Uuid),
}

/// Returns the query for what [`DeviceRow`] reads.
pub(crate) fn find(bindings: &mut Bindings<'_>, of: Of<'_>) -> SelectStatement {
    let mut find = Query::select();
    find.expr(bindings.column(column::DIGEST)).expr(bindings.column(column::DEVICE_CHALLENGE));
    if let Some(key) = bindings.table().field_for(Role::DeviceKey) {
        find.expr(bindings.selected(key.name()));
    }
    select_columns(bindings, &mut find);
    find.from(table_ref(bindings.table()));
    match of {
        Of::Token(digests) => {
            let values = digests.iter().map(|digest| FieldValue::plain(digest.expose()));
            let digests: Vec<_> = values.map(|value| bindings.expr(value)).collect();
            find.and_where(bindings.column(column::DIGEST).is_in(digests))
        }
        Of::Id(id) => {
            let id = bindings.expr(FieldValue::plain(id));
            find.and_where(bindings.column(column::ID).eq(id))
        }
    };
    find
}

/// A session, with what is needed to bind it or to renew it.
pub(crate) struct DeviceRow<T: SessionFields> {
    pub(crate) session: Session<T>,
    /// The digest of its present token, as it is stored.
    pub(crate) digest: String,
    /// The challenge as it is stored.
    pub(crate) challenge: Option<String>,
    /// The device's key as it is stored.
    pub(crate) key: Option<String>,
}

impl<T: SessionFields> DeviceRow<T> {
    const SESSION: usize = 3;

    /// Reads the row, unless the session is over at `now`.
    pub(crate) fn read(
        row: &Row,
        table: &TableDefinition,
        config: &Config,
        now: OffsetDateTime,
    ) -> Result<Option<Self>> {
        let head = RowHeader::read(table, row, Self::SESSION)?;
        if head.is_over(config, now) {
            return Ok(None);
        }
        let text = |index, name: &str| row.text(index).map_err(|error| unreadable(table, name, error));
        let key = table.field_for(Role::DeviceKey).map_or("", |field| field.name());
        Ok(Some(Self {
            digest: text(0, column::DIGEST)?.unwrap_or_default(),
            challenge: text(1, column::DEVICE_CHALLENGE)?,
            key: text(2, key)?,
            session: read_rest(&head, table, config, row, Self::SESSION + RowHeader::width(table))?,
        }))
    }
}

/// What is written to a session's row.
#[derive(Default)]
pub(crate) struct Write<'w> {
    pub(crate) challenge: &'w str,
    /// The digest of a new token.
    pub(crate) digest: Option<&'w str>,
    /// Until when the present token is good.
    pub(crate) token_until: Option<OffsetDateTime>,
    /// The key of the device, for a session that has none.
    pub(crate) key: Option<&'w str>,
}

/// Returns the statement that writes to the row as it was read, and what `set` sets: if its token, its challenge and whether
/// it has a key are the same, and if the session is valid.
pub(crate) fn write<T: SessionFields>(
    bindings: &mut Bindings<'_>,
    row: &DeviceRow<T>,
    now: OffsetDateTime,
    new: &Write<'_>,
    set: impl FnOnce(&mut UpdateStatement, &mut Bindings<'_>),
) -> Statement {
    let backend = bindings.backend();
    let mut update = Query::update();
    update.table(table_ref(bindings.table()));
    for name in backend.dialect().columns_that_move_by_themselves() {
        update.value(identifier(name), bindings.column(name));
    }
    let challenge = bindings.expr(FieldValue::plain(new.challenge));
    update.value(column::DEVICE_CHALLENGE, challenge);
    if let Some(digest) = new.digest {
        update.value(column::DIGEST, bindings.expr(FieldValue::plain(digest)));
    }
    if let Some(until) = new.token_until {
        update.value(column::DEVICE_TOKEN_UNTIL, bindings.expr(FieldValue::plain(until)));
    }
    if let Some(field) = bindings.table().field_for(Role::DeviceKey) {
        if let Some(key) = new.key {
            update.value(identifier(field.name()), bindings.stored_in(field.name(), FieldValue::plain(key)));
        }
        let key = bindings.column(field.name());
        update.and_where(if row.key.is_some() { key.is_not_null() } else { key.is_null() });
    }
    set(&mut update, bindings);
    let id = bindings.expr(FieldValue::plain(row.session.id));
    update.and_where(bindings.column(column::ID).eq(id));
    let digest = bindings.expr(FieldValue::plain(row.digest.as_str()));
    update.and_where(bindings.column(column::DIGEST).eq(digest));
    let challenge = bindings.column(column::DEVICE_CHALLENGE);
    update.and_where(match &row.challenge {
        Some(read) => challenge.eq(bindings.expr(FieldValue::plain(read.as_str()))),
        None => challenge.is_null(),
    });
    if let Some(is_valid) = has_status(bindings, Status::Valid, FieldValue::plain(now)) {
        update.cond_where(is_valid);
    }
    update.and_where_option(backend.dialect().place_of_condition());
    bindings.build(&update).strictly(backend)
}

//! The part of a session's row that a lookup by digest reads: the row and the digest itself.
//!
//! SQLite's driver copies every value of a row from one thread to another. So there the columns that every table has
//! are joined into one text, except for the data, which may be long. Past the driver they are read one by one.

use std::array;
use std::borrow::Cow;
use std::num::ParseIntError;
use std::sync::Arc;

use sea_query::{Expr, SelectStatement};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::config::Config;
use crate::database::{Backend, Row, instant_of_sqlite};
use crate::error::Result;
use crate::session::{Session, Sliding, binding};
use crate::sql::{Bindings, RowHeader, read_rest, select_columns, unreadable};
use crate::table::{SessionFields, TableDefinition, column};
use crate::token::{DigestAge, PossibleDigests, TokenDigest};

/// The columns of one session in a row that may hold other sessions too. On SQLite no two sessions share columns: the
/// driver's values record what is found out about them, and are `Sync` all the same.
#[derive(Clone)]
pub(crate) struct LookedUpRow {
    row: Arc<Row>,
    /// The first of the columns.
    first: usize,
}

/// Selects the columns that [`LookedUpRow`] reads, of the table under its current name in `bindings`.
pub(crate) fn select_found(bindings: &Bindings<'_>, select: &mut SelectStatement) {
    if is_side_by_side(bindings.backend()) {
        let data = bindings.column(column::DATA);
        let fields = bindings.table().fields.iter().map(|field| bindings.selected(&field.name));
        select.expr(joined(bindings)).expr(data).exprs(fields);
    } else {
        select_one_by_one(bindings, select);
    }
}

/// Selects the same, none of them joined with others.
pub(crate) fn select_one_by_one(bindings: &Bindings<'_>, select: &mut SelectStatement) {
    select.expr(bindings.column(column::DIGEST));
    select_columns(bindings, select);
}

/// Returns `true` if the sessions of a lookup may be read side by side.
fn is_side_by_side(backend: Backend) -> bool {
    backend.dialect().side_by_side(1).is_some()
}

/// Returns how many columns that is if sessions are read side by side.
pub(crate) fn width_side_by_side(table: &TableDefinition) -> usize {
    2 + table.fields.len()
}

/// Returns the joined columns, which are null if there is no row. The digest comes last: its start is known, and it may
/// be any text.
fn joined(bindings: &Bindings<'_>) -> Expr {
    let [id, expires_at, inserted_at, updated_at, digest] =
        [column::ID, column::EXPIRES_AT, column::INSERTED_AT, column::UPDATED_AT, column::DIGEST]
            .map(|name| bindings.column(name));
    let sliding = bindings.sliding();
    let (mut text, mut columns) = ("HEX(?) || '|' || ".to_owned(), vec![id]);
    let of_devices = bindings.table().binds_devices().then(|| bindings.column(column::DEVICE_TOKEN_UNTIL));
    for column in of_devices.into_iter().chain([sliding, expires_at, inserted_at, updated_at]) {
        text.push_str("COALESCE(?, '') || '|' || ");
        columns.push(column);
    }
    text.push('?');
    columns.push(digest);
    Expr::cust_with_exprs(text, columns)
}

impl LookedUpRow {
    /// Makes the columns of a session in a row of its own.
    pub(crate) fn in_own_row(row: Row) -> Self {
        Self { row: Arc::new(row), first: 0 }
    }

    /// Makes the columns of a session in a row that others share, from `first` on.
    pub(crate) fn in_shared_row(row: &Arc<Row>, first: usize) -> Self {
        Self { row: Arc::clone(row), first }
    }

    /// Returns `true` if the row was read from SQLite without its driver.
    pub(crate) fn was_read_directly(&self) -> bool {
        self.row.was_read_directly()
    }

    /// Returns `true` if columns of this row are joined.
    fn is_joined(&self) -> bool {
        is_side_by_side(self.row.backend()) && !self.was_read_directly()
    }

    /// Returns `true` if the columns are null, since there is no session.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self.row.text_in_place(self.first), Ok(None))
    }

    /// Returns the digest as it is stored. Must not be called if it is joined with other columns, as SQLite's driver reads it.
    pub(crate) fn digest(&self) -> Result<Option<Cow<'_, str>>, sqlx::Error> {
        self.row.text_in_place(self.first)
    }

    /// Returns the session, and the digest under which it is stored, if that is one of these and the session is not over
    /// `now`. The database compares by its own rules, which may ignore case; here there is one rule. A session that is over is not
    /// decoded.
    pub(crate) fn session<'d, T: SessionFields>(
        &self,
        digests: &'d PossibleDigests,
        table: &TableDefinition,
        config: &Config,
        now: impl FnOnce() -> OffsetDateTime,
    ) -> Result<Option<(Session<T>, DigestAge<'d>)>> {
        let text =
            self.row.text_in_place(self.first).map_err(|error| unreadable(table, column::DIGEST, error))?;
        let Some(text) = text else {
            return Ok(None);
        };
        let (head, rest, age) = if self.is_joined() {
            let mut joined = "";
            let is_it =
                |digest: &TokenDigest| before_digest(&text, digest).map(|before| joined = before).is_some();
            let Some(age) = digests.find(is_it) else {
                return Ok(None);
            };
            (split(joined, table)?, self.first + 1, age)
        } else {
            let Some(age) = digests.find(|digest| digest.matches(&text)) else {
                return Ok(None);
            };
            let head = self.first + 1;
            (RowHeader::read(table, &self.row, head)?, head + RowHeader::width(table), age)
        };
        let now = now();
        if head.is_over(config, now) || binding::is_past(head.token_until, now) {
            return Ok(None);
        }
        Ok(Some((read_rest(&head, table, config, &self.row, rest)?, age)))
    }
}

/// Returns the text that was joined before the digest, if the digest is this one.
fn before_digest<'t>(text: &'t str, digest: &TokenDigest) -> Option<&'t str> {
    let (before, stored) = text.split_at_checked(text.len().checked_sub(digest.expose().len())?)?;
    digest.matches(stored).then_some(before)?.strip_suffix('|')
}

fn split(joined: &str, table: &TableDefinition) -> Result<RowHeader> {
    // The last one keeps what another program has written into it, separators too.
    let mut parts = joined.splitn(if table.binds_devices() { 6 } else { 5 }, '|');
    let id = parts.next().unwrap_or_default();
    let token_until = if table.binds_devices() { parts.next().unwrap_or_default() } else { "" };
    let [sliding, expires_at, inserted_at, updated_at] = array::from_fn(|_| parts.next().unwrap_or_default());
    Ok(RowHeader {
        id: Uuid::try_parse(id).map_err(|error| unreadable(table, column::ID, error))?,
        expires_at: instant_or_none(expires_at, table, column::EXPIRES_AT)?,
        inserted_at: instant(inserted_at, table, column::INSERTED_AT)?,
        updated_at: instant(updated_at, table, column::UPDATED_AT)?,
        sliding: Sliding::from_seconds(match sliding {
            "" => None,
            text => {
                Some(text.parse().map_err(|error: ParseIntError| unreadable(table, column::SLIDING, error))?)
            }
        }),
        token_until: instant_or_none(token_until, table, column::DEVICE_TOKEN_UNTIL)?,
    })
}

fn instant_or_none(text: &str, table: &TableDefinition, name: &str) -> Result<Option<OffsetDateTime>> {
    (!text.is_empty()).then(|| instant(text, table, name)).transpose()
}

fn instant(text: &str, table: &TableDefinition, name: &str) -> Result<OffsetDateTime> {
    instant_of_sqlite(text).map_err(|error| unreadable(table, name, error))
}

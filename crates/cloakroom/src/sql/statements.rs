//! The SQL that the operations share, and the statements with a fixed text.

use std::error::Error as StdError;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sea_query::{
    CaseStatement, Condition, Expr, ExprTrait, Func, IntoTableRef, JoinType, LockBehavior, LockType, Query,
    SelectStatement, TableRef,
};
use time::OffsetDateTime;
use uuid::Uuid;

#[cfg(feature = "sqlite")]
use super::looked_up_row::select_one_by_one;
use super::looked_up_row::{select_found, width_side_by_side};
use crate::clock::LAST;
use crate::config::Config;
use crate::config::MAX_BATCH;
use crate::database::{Backend, FieldValue, Row, guard_rows};
use crate::error::{Error, ErrorKind, Result};
use crate::session::data::StoredData;
use crate::session::{Session, SessionData, SessionRow, Sliding, Status, Stored, expiry};
use crate::sql::{Bindings, StatementsByShape, ending, identifier};
use crate::table::{BUILT_IN_COLUMNS, FieldReader, Role, SessionFields, TableDefinition, column};

/// The columns that are read of every session, before its data and fields.
const HEADER: [&str; 5] =
    [column::ID, column::EXPIRES_AT, column::INSERTED_AT, column::UPDATED_AT, column::SLIDING];

/// Returns the columns that are read of a session before its fields.
fn read_columns(table: &TableDefinition) -> impl Iterator<Item = &'static str> {
    let of_devices = table.binds_devices().then_some(column::DEVICE_TOKEN_UNTIL);
    HEADER.into_iter().chain(of_devices).chain([column::DATA])
}

/// The statements with a fixed text, written once for a handle.
pub(crate) struct Statements {
    /// For the pool: it says whether it was a transaction of its own.
    pub(crate) by_id: Arc<str>,
    pub(crate) by_id_within: Arc<str>,
    /// The columns of [`select_columns`], with commas, for a query whose other parts are written anew each time.
    pub(crate) columns: Arc<str>,
    /// Those of lists.
    pub(crate) by_shape: StatementsByShape,
    /// Ends the session with one id, with a reason if the table has a column for it.
    pub(crate) expire: Arc<str>,
    /// Does the same without a reason.
    pub(crate) end_lapsed: Arc<str>,
    /// How many digests a token may have.
    schemes: usize,
    /// Whether the table has the column for a span of the session's own.
    has_sliding: bool,
    find: Finds,
    find_newest: Finds,
    insert: BySize,
    insert_at_once: BySize,
    extend: BySize,
    delete: BySize,
    end: BySize,
    pub(super) record_uses: BySize,
    pub(super) record_uses_waiting: BySize,
}

/// Statements that differ only in the number of their rows, each written when it is first needed. The numbers are
/// powers of two, so that there are few statements and the connections remember them all.
#[derive(Default)]
pub(super) struct BySize([OnceLock<Arc<str>>; MAX_BATCH.ilog2() as usize + 1]);

/// The statements that find sessions: those that say whether they were a transaction of their own, those that do not, and
/// the one that is read past SQLite's driver.
#[derive(Default)]
struct Finds {
    guarded: BySize,
    plain: BySize,
    #[cfg(feature = "sqlite")]
    direct: OnceLock<Arc<str>>,
}

/// Which of a token's digests a statement looks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Under {
    /// The newest alone.
    Newest,
    /// Those of all schemes.
    All,
}

impl BySize {
    pub(super) fn get(&self, size: usize, write: impl FnOnce() -> Arc<str>) -> Arc<str> {
        debug_assert!(size.is_power_of_two());
        match self.0.get(size.ilog2() as usize) {
            Some(text) => text.get_or_init(write).clone(),
            None => write(),
        }
    }
}

impl Statements {
    /// Writes the statements for a table in which a token may be stored under any of `schemes` schemes. Those of a table
    /// that was not migrated, and so [has no column](Bindings::has_sliding) for sliding, do not name it.
    pub(crate) fn new(table: &TableDefinition, backend: Backend, schemes: usize, has_sliding: bool) -> Self {
        let bindings = &mut Bindings::new(table, backend).has_sliding(has_sliding);
        let mut by_id = Query::select();
        select_columns(bindings, &mut by_id);
        let id = bindings.expr(value());
        by_id.from(table_ref(table)).and_where(bindings.column(column::ID).eq(id));
        let by_id_within = bindings.build(&by_id).sql;
        let mut columns = Query::select();
        select_columns(bindings, &mut columns);
        let columns = bindings.build(&columns).sql;
        let columns = columns.strip_prefix("SELECT ").unwrap_or(&columns).into();
        guard_rows(backend, &mut by_id);

        let by_id = bindings.build(&by_id).sql;
        let mut text = |reason: Option<FieldValue>| {
            let expire = ending::expire_update_by_id(bindings, reason);
            bindings.build(&expire).sql
        };
        let (expire, end_lapsed) = (text(Some(value())), text(None));
        Self {
            by_id,
            by_id_within,
            columns,
            by_shape: StatementsByShape::default(),
            expire,
            end_lapsed,
            schemes,
            has_sliding,
            find: Finds::default(),
            find_newest: Finds::default(),
            insert: BySize::default(),
            insert_at_once: BySize::default(),
            extend: BySize::default(),
            delete: BySize::default(),
            end: BySize::default(),
            record_uses: BySize::default(),
            record_uses_waiting: BySize::default(),
        }
    }

    /// Returns the statement that reads the valid sessions with any of `size` digests, each as [`select_found`] selects
    /// it. The values are the digests, as [`Bindings::is_among`] takes them, and `now`. With a size of 1 it reads the
    /// session of a single token, whose digests under all schemes are bound one by one.
    ///
    /// With `is_guarded`, each row says whether the statement was a transaction of its own. On PostgreSQL, a statement
    /// for a single digest returns a row of nulls if there is no session, so that it can say so too. For more digests
    /// that would cost more to plan.
    ///
    /// On SQLite the answer is one row that holds the sessions side by side, in the order of the digests, with nulls if
    /// there is no session, and [no more](most_side_by_side) than fit. The values are `now` and the digests, those of one
    /// token under all schemes after those of another. The driver passes row by row from one thread to another, and
    /// waking the other thread costs more than looking a session up.
    pub(crate) fn find(
        &self,
        table: &TableDefinition,
        backend: Backend,
        size: usize,
        under: Under,
        is_guarded: bool,
    ) -> Arc<str> {
        let (schemes, finds) = self.finds(under);
        let texts = if is_guarded { &finds.guarded } else { &finds.plain };
        texts.get(size, || {
            let bindings = &mut self.bindings(table, backend);
            if let Some(most) = most_side_by_side(table, backend)
                && size > 1
            {
                return find_side_by_side(bindings, size.min(most), schemes);
            }
            let is_it = if size == 1 {
                has_digest(bindings, schemes)
            } else {
                let digest = bindings.column(column::DIGEST);
                bindings.is_among(digest, vec![value(); size])
            };
            let is_found = Condition::all().add(is_it).add(is_valid(bindings, value()));
            let mut find = Query::select();
            if backend.dialect().returns_a_row_for_a_miss() && size == 1 && is_guarded {
                let mut row = Query::select();
                row.expr(Expr::cust("1"));
                find.from_subquery(row, identifier("one"));
                find.join(JoinType::LeftJoin, table_ref(table), is_found);
            } else {
                // MariaDB would make a table of the row first, which costs as much as a third of the lookup.
                find.from(table_ref(table)).cond_where(is_found);
            }
            select_found(bindings, &mut find);
            if is_guarded {
                guard_rows(backend, &mut find);
            }
            bindings.build(&find).sql
        })
    }

    /// Returns the statement that reads the session of a single token past SQLite's driver. The values are its digests and
    /// `now`.
    #[cfg(feature = "sqlite")]
    pub(crate) fn find_directly(&self, table: &TableDefinition, backend: Backend, under: Under) -> Arc<str> {
        let (schemes, finds) = self.finds(under);
        let text = finds.direct.get_or_init(|| {
            let bindings = &mut self.bindings(table, backend);
            let is_it = has_digest(bindings, schemes);
            let is_found = Condition::all().add(is_it).add(is_valid(bindings, value()));
            let mut find = Query::select();
            select_one_by_one(bindings, find.from(table_ref(table)).cond_where(is_found));
            bindings.build(&find).sql
        });
        text.clone()
    }

    /// Returns how many digests of a token are looked for, and the statements that do so.
    fn finds(&self, under: Under) -> (usize, &Finds) {
        let schemes = if under == Under::All { self.schemes } else { 1 };
        (schemes, if schemes == 1 { &self.find_newest } else { &self.find })
    }

    pub(crate) fn has_sliding(&self) -> bool {
        self.has_sliding
    }

    fn bindings<'t>(&self, table: &'t TableDefinition, backend: Backend) -> Bindings<'t> {
        Bindings::new(table, backend).has_sliding(self.has_sliding)
    }

    /// Returns the statement that inserts `size` rows. The values are those of the columns that the table has, row by
    /// row.
    pub(crate) fn insert(&self, table: &TableDefinition, backend: Backend, size: usize) -> Arc<str> {
        self.insert.get(size, || {
            backend.dialect().strictly(insert(&mut self.bindings(table, backend), size, |id| id))
        })
    }

    /// Returns the same statement, but on PostgreSQL and MariaDB it hardly waits for rows that another transaction has
    /// locked, such as the row of a user that one of the new rows refers to.
    pub(crate) fn insert_at_once(&self, table: &TableDefinition, backend: Backend, size: usize) -> Arc<str> {
        let dialect = backend.dialect();
        if !dialect.locks_rows() {
            return self.insert(table, backend, size);
        }
        self.insert_at_once.get(size, || {
            let at_once = |id| dialect.at_once_from(id);
            dialect.strictly_at_once(insert(&mut self.bindings(table, backend), size, at_once))
        })
    }
}

impl Statements {
    /// Returns the statement that moves the expiries of `size` sessions, if their rows are as they were read. The
    /// values are the id and new expiry of each, the id and new `updated_at` of each, the id of each, and, for each,
    /// the id and the `updated_at` and `expires_at` that were read. For a single session they are the new expiry and
    /// `updated_at`, the id, and the `updated_at` and `expires_at` that were read.
    ///
    /// On PostgreSQL a statement that `is_shared` waits for no row: it skips locked ones. On MariaDB it fails instead.
    /// For one handle all of them are shared, or none is.
    pub(crate) fn extend(
        &self,
        table: &TableDefinition,
        backend: Backend,
        size: usize,
        is_shared: bool,
    ) -> Arc<str> {
        self.extend.get(size, || move_expiries(table, backend, size, is_shared, None))
    }

    /// Returns the shared statement that moves the expiries of `size` sessions to their end, if their rows are as they
    /// were read, and writes why. The values are those of [`extend`](Self::extend), with the id and reason of each, or
    /// the reason of a single session, after its new `updated_at` if the table has a column for the reason.
    pub(crate) fn end(&self, table: &TableDefinition, backend: Backend, size: usize) -> Arc<str> {
        match table.field_for(Role::EndedBecause) {
            Some(field) => {
                self.end.get(size, || move_expiries(table, backend, size, true, Some(field.name())))
            }
            None => self.extend(table, backend, size, true),
        }
    }
}

/// See [`Statements::extend`] and [`Statements::end`]. `reason` is the column for the reason, if one is written.
fn move_expiries(
    table: &TableDefinition,
    backend: Backend,
    size: usize,
    is_shared: bool,
    reason: Option<&str>,
) -> Arc<str> {
    let bindings = &mut Bindings::new(table, backend);
    let mut update = Query::update();
    update.table(table_ref(table));
    for name in [column::EXPIRES_AT, column::UPDATED_AT].into_iter().chain(reason) {
        let new = if size == 1 { bindings.stored_in(name, value()) } else { by_id(bindings, size, name) };
        update.value(identifier(name), new);
    }
    let is_it = is_as_read(bindings, size);
    if is_shared && backend.dialect().skips_locked_rows() {
        // A row that another transaction is writing is left to it, so that no other call of this statement
        // waits.
        let mut free = Query::select();
        free.expr(bindings.column(column::ID))
            .from(table_ref(table))
            .cond_where(is_it)
            .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
        let id = bindings.column(column::ID);
        // A list of one would be sorted out for doubles, and joined.
        update.and_where(if size == 1 { id.eq(free) } else { id.in_subquery(free) });
    } else {
        update.cond_where(is_it);
    }
    update.and_where_option(backend.dialect().place_of_condition());
    let update = bindings.build(&update).sql;
    if is_shared { backend.dialect().at_once(update) } else { update }
}

/// Returns the condition that a row is one of so many sessions, and as it was read.
fn is_as_read(bindings: &mut Bindings<'_>, size: usize) -> Condition {
    let is_unchanged = |bindings: &mut Bindings<'_>| {
        let updated_at = bindings.column(column::UPDATED_AT).eq(bindings.expr(value()));
        // MariaDB may take a bare column for a reason to look for the row in the index on the expiry.
        let expires_at = bindings.column(column::EXPIRES_AT);
        let expires_at = Func::coalesce([expires_at.clone(), expires_at]);
        updated_at.and(expires_at.eq(bindings.expr(value())))
    };
    if size == 1 {
        let is_it = bindings.column(column::ID).eq(bindings.expr(value()));
        return Condition::all().add(is_it).add(is_unchanged(bindings));
    }
    let ids: Vec<_> = (0..size).map(|_| bindings.expr(value())).collect();
    let are_named = bindings.column(column::ID).is_in(ids);
    let mut as_read = CaseStatement::new();
    for _ in 0..size {
        let is_it = bindings.column(column::ID).eq(bindings.expr(value()));
        as_read = as_read.case(is_it, is_unchanged(bindings));
    }
    let as_read: Expr = as_read.into();
    Condition::all().add(are_named).add(as_read)
}

impl Statements {
    /// Returns the statement that deletes any of `size` sessions, by their ids. On PostgreSQL it skips rows that another
    /// transaction has locked.
    pub(crate) fn delete(&self, table: &TableDefinition, backend: Backend, size: usize) -> Arc<str> {
        self.delete.get(size, || {
            let bindings = &mut Bindings::new(table, backend);
            let ids: Vec<_> = (0..size).map(|_| bindings.expr(value())).collect();
            let are_named = bindings.column(column::ID).is_in(ids);
            let mut delete = Query::delete();
            delete.from_table(table_ref(table));
            if backend.dialect().skips_locked_rows() {
                let mut free = Query::select();
                free.expr(bindings.column(column::ID))
                    .from(table_ref(table))
                    .and_where(are_named)
                    .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
                delete.and_where(bindings.column(column::ID).in_subquery(free));
            } else {
                delete.and_where(are_named);
            }
            bindings.build(&delete).sql
        })
    }
}

/// Builds the statement that inserts `size` rows. `first_id` wraps the id of the first row.
fn insert(bindings: &mut Bindings<'_>, size: usize, first_id: impl FnOnce(Expr) -> Expr) -> Arc<str> {
    let table = bindings.table();
    let fields = table.fields.iter().map(|field| &*field.name);
    let is_there = |name: &&str| *name != column::SLIDING || bindings.knows_sliding();
    let built_in = BUILT_IN_COLUMNS.iter().map(|built_in| built_in.name).filter(is_there);
    let names: Vec<_> = built_in.chain(fields).collect();
    let columns: Vec<_> = names.iter().copied().map(identifier).collect();
    let mut insert = Query::insert();
    insert.into_table(table_ref(table)).columns(columns);
    let mut first_id = Some(first_id);
    for _ in 0..size {
        let mut row: Vec<_> = names.iter().map(|name| bindings.stored_in(name, value())).collect();
        if let (Some(first_id), Some(id)) = (first_id.take(), row.first_mut()) {
            *id = first_id(id.clone());
        }
        insert.values_panic(row);
    }
    bindings.build(&insert).sql
}

/// Returns how many sessions the database can read side by side, in one row, or `None` if it reads each as a row.
pub(crate) fn most_side_by_side(table: &TableDefinition, backend: Backend) -> Option<usize> {
    backend.dialect().side_by_side(width_side_by_side(table))
}

/// Returns the condition that a row holds any of a token's digests, which are bound one by one.
fn has_digest(bindings: &mut Bindings<'_>, schemes: usize) -> Expr {
    let digest = bindings.column(column::DIGEST);
    match schemes {
        1 => digest.eq(bindings.expr(value())),
        _ => digest.is_in((0..schemes).map(|_| bindings.expr(value())).collect::<Vec<_>>()),
    }
}

/// Returns the first of a token's digests under which a valid session is stored, or the last one if none is. The others
/// are not looked for once one is found; for `IN` SQLite would look for all of them, and sort them first.
fn first_stored(
    bindings: &mut Bindings<'_>,
    schemes: usize,
    now: &Expr,
    seen_as: impl Fn(Expr) -> Expr,
) -> Expr {
    let (alias, digest) = (identifier("stored"), identifier(column::DIGEST));
    let mut digests: Vec<Expr> = (1..schemes)
        .map(|_| {
            let stored = Expr::col((alias.clone(), digest.clone()));
            let is_it = stored.clone().eq(seen_as(bindings.expr(value())));
            let expires_at = Expr::col((alias.clone(), identifier(column::EXPIRES_AT)));
            let is_found = Condition::all().add(is_it).add(is_later(expires_at, now.clone()));
            let mut find = Query::select();
            find.expr(stored).from_as(table_ref(bindings.table()), alias.clone()).cond_where(is_found);
            Expr::from(find)
        })
        .collect();
    let last = seen_as(bindings.expr(value()));
    if digests.is_empty() {
        return last;
    }
    digests.push(last);
    Func::coalesce(digests).into()
}

fn find_side_by_side(bindings: &mut Bindings<'_>, size: usize, schemes: usize) -> Arc<str> {
    // If SQLite knows how a table's values are distributed, it plans a join anew for each bound value. It does not look
    // at the value of an expression.
    let unseen = |value: Expr| Expr::cust_with_expr("CAST(? AS TEXT)", value);
    let (one, now) = (identifier("one"), identifier("now"));
    let mut row = Query::select();
    row.expr_as(unseen(bindings.expr(value())), now.clone());
    let mut find = Query::select();
    find.from_subquery(row, one.clone());
    let now = Expr::col((one, now));
    for number in 0..size {
        let alias = identifier(&format!("s{number}"));
        bindings.call(alias.clone());
        let stored = first_stored(bindings, schemes, &now, unseen);
        let is_it = bindings.column(column::DIGEST).eq(stored);
        let is_valid = is_later(bindings.column(column::EXPIRES_AT), now.clone());
        let is_found = Condition::all().add(is_it).add(is_valid);
        find.join_as(JoinType::LeftJoin, table_ref(bindings.table()), alias, is_found);
        select_found(bindings, &mut find);
    }
    bindings.build(&find).sql
}

/// Returns, for each of `size` ids, the value that is bound after it, and for any other row the value that `column`
/// holds.
fn by_id(bindings: &mut Bindings<'_>, size: usize, column: &str) -> Expr {
    let mut new = CaseStatement::new();
    for _ in 0..size {
        let is_it = bindings.column(column::ID).eq(bindings.expr(value()));
        let then = bindings.stored_in(column, value());
        new = new.case(is_it, then);
    }
    new.finally(bindings.column(column)).into()
}

/// Stands for a value in a statement that is written beforehand. Only its place matters.
pub(crate) fn value() -> FieldValue {
    FieldValue::plain("")
}

pub(crate) fn table_ref(table: &TableDefinition) -> TableRef {
    table_ref_beside(table, &table.table)
}

/// Returns the table of this name in the schema of a session table.
pub(super) fn table_ref_beside(table: &TableDefinition, name: &str) -> TableRef {
    match table.schema_name() {
        Some(schema) => (identifier(schema), identifier(name)).into_table_ref(),
        None => identifier(name).into_table_ref(),
    }
}

/// Returns a column of the one table that a statement is about.
pub(super) fn unqualified(name: &str) -> Expr {
    Expr::col(identifier(name))
}

pub(crate) fn select_columns(bindings: &Bindings<'_>, select: &mut SelectStatement) {
    select_all(bindings, select, read_columns(bindings.table()));
}

/// Selects the columns of version 1, which every table has, and the fields.
pub(crate) fn select_first_columns(bindings: &Bindings<'_>, select: &mut SelectStatement) {
    select_all(bindings, select, read_columns(bindings.table()).filter(|name| *name != column::SLIDING));
}

fn select_all(
    bindings: &Bindings<'_>,
    select: &mut SelectStatement,
    built_in: impl Iterator<Item = &'static str>,
) {
    let fields = bindings.table().fields.iter().map(|field| &*field.name);
    for name in built_in {
        select.expr(read_column(bindings, name));
    }
    for name in fields {
        if bindings.table().foreign(name, bindings.backend()).is_some() {
            // The column keeps its name, for callers that compose the statement further.
            select.expr_as(bindings.selected(name), identifier(name));
        } else {
            select.expr(bindings.column(name));
        }
    }
}

fn read_column(bindings: &Bindings<'_>, name: &str) -> Expr {
    if name == column::SLIDING { bindings.sliding() } else { bindings.column(name) }
}

/// Returns the columns of [`select_columns`], for a write that returns them.
pub(crate) fn returned_columns(bindings: &Bindings<'_>) -> Vec<Expr> {
    let built_in = read_columns(bindings.table()).map(|name| read_column(bindings, name));
    let fields = bindings.table().fields.iter().map(|field| bindings.selected(&field.name));
    built_in.chain(fields).collect()
}

/// The columns that come before the data.
pub(crate) struct RowHeader {
    pub(crate) id: Uuid,
    pub(crate) expires_at: Option<OffsetDateTime>,
    pub(crate) inserted_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) sliding: Sliding,
    /// Until when the present token is good, if the session is bound to a device.
    pub(crate) token_until: Option<OffsetDateTime>,
}

impl RowHeader {
    /// Returns how many columns that are.
    pub(crate) fn width(table: &TableDefinition) -> usize {
        HEADER.len() + usize::from(table.binds_devices())
    }

    /// See [`expiry::is_over`]. A session has also ended if it is older than the configuration lets sessions become,
    /// whatever its row says.
    pub(crate) fn is_over(&self, config: &Config, now: OffsetDateTime) -> bool {
        expiry::is_over(self.end(config), self.updated_at, now)
    }

    fn end(&self, config: &Config) -> Option<OffsetDateTime> {
        expiry::capped(config, self.inserted_at, self.expires_at)
    }

    /// Reads the columns from `first` on.
    pub(crate) fn read(table: &TableDefinition, row: &Row, first: usize) -> Result<Self> {
        let failed = |index: usize, error| unreadable(table, HEADER[index], error);
        let required = |index: usize| {
            let instant = row.timestamp(first + index).and_then(|it| it.ok_or_else(unexpected_null));
            instant.map_err(|error| failed(index, error))
        };
        Ok(Self {
            id: row.uuid(first).map_err(|error| failed(0, error))?,
            expires_at: row.expiry(first + 1).map_err(|error| failed(1, error))?,
            inserted_at: required(2)?,
            updated_at: required(3)?,
            sliding: Sliding::from_seconds(row.integer(first + 4).map_err(|error| failed(4, error))?),
            token_until: if table.binds_devices() {
                let until = row.timestamp(first + HEADER.len());
                until.map_err(|error| unreadable(table, column::DEVICE_TOKEN_UNTIL, error))?
            } else {
                None
            },
        })
    }
}

impl RowHeader {
    /// Reads the header as far as it decodes, if its id does. An instant that does not decode becomes the last instant
    /// there is.
    pub(crate) fn read_in_part(table: &TableDefinition, row: &Row) -> Result<Self> {
        let id = row.uuid(0).map_err(|error| unreadable(table, column::ID, error))?;
        let required = |index: usize| row.timestamp(index).ok().flatten().unwrap_or(LAST);
        let expires_at = row.expiry(1).unwrap_or(Some(LAST));
        let sliding = Sliding::from_seconds(row.integer(4).unwrap_or_default());
        Ok(Self {
            id,
            expires_at,
            inserted_at: required(2),
            updated_at: required(3),
            sliding,
            token_until: None,
        })
    }
}

/// Reads the session in a row that [`select_columns`] selected.
pub(crate) fn read_session<T: SessionFields>(
    table: &TableDefinition,
    config: &Config,
    row: &Row,
) -> Result<Session<T>> {
    read_rest(&RowHeader::read(table, row, 0)?, table, config, row, RowHeader::width(table))
}

/// Reads the session with this header, and with the data and fields in the columns from `first` on.
pub(crate) fn read_rest<T: SessionFields>(
    head: &RowHeader,
    table: &TableDefinition,
    config: &Config,
    row: &Row,
    first: usize,
) -> Result<Session<T>> {
    let RowHeader { id, expires_at, inserted_at, updated_at, sliding, token_until } = *head;
    let data = row.json(first).and_then(|data| data.ok_or_else(unexpected_null));
    let stored = StoredData::from_database(data.map_err(|error| unreadable(table, column::DATA, error))?);
    let data = SessionData::read(stored).map_err(|error| unreadable(table, column::DATA, error))?;
    Ok(Session::from(SessionRow {
        id,
        fields: T::from_row(&FieldReader::new(row, table, first + 1))?,
        data,
        expires_at: head.end(config),
        inserted_at,
        updated_at,
        stored: Stored { expires_at, updated_at, sliding, fields: None, old_token_until: None, token_until },
    }))
}

fn unexpected_null() -> sqlx::Error {
    sqlx::Error::Decode("unexpected null".into())
}

pub(crate) fn unreadable(
    table: &TableDefinition,
    name: &str,
    error: impl Into<Box<dyn StdError + Send + Sync>>,
) -> Error {
    let message = format!("the column {name} of {table} does not hold what it should");
    Error::new(ErrorKind::Decode, message).with_source(error)
}

/// Returns the condition for a status at `now`, apart from the absolute lifetime. `All` has no condition.
///
/// It agrees with [`expiry::is_over`], which judges a session that was read.
pub(crate) fn has_status(bindings: &mut Bindings<'_>, status: Status, now: FieldValue) -> Option<Condition> {
    let expires_at = bindings.column(column::EXPIRES_AT);
    let updated_at = bindings.column(column::UPDATED_AT);
    match status {
        Status::Valid => {
            let never_expires = expires_at.clone().is_null();
            let is_valid = expires_at.clone().gt(bindings.expr(now)).and(expires_at.gt(updated_at));
            Some(Condition::any().add(never_expires).add(is_valid))
        }
        Status::Expired => {
            let is_expired = expires_at.clone().lte(bindings.expr(now));
            Some(Condition::any().add(is_expired).add(expires_at.lte(updated_at)))
        }
        Status::All => None,
    }
}

/// Returns the condition for a status at `now` by the absolute lifetime, if sessions have one: that they are no older, or
/// that they are.
pub(crate) fn is_of_age(
    bindings: &mut Bindings<'_>,
    status: Status,
    lifetime: Option<Duration>,
    now: OffsetDateTime,
) -> Option<Expr> {
    let oldest = FieldValue::plain(oldest_of_age(lifetime, now)?);
    let inserted_at = bindings.column(column::INSERTED_AT);
    match status {
        Status::Valid => Some(inserted_at.gt(bindings.expr(oldest))),
        Status::Expired => Some(inserted_at.lte(bindings.expr(oldest))),
        Status::All => None,
    }
}

/// Returns the instant since which a session must have been created to be valid at `now` by the absolute lifetime.
pub(crate) fn oldest_of_age(lifetime: Option<Duration>, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let lifetime = time::Duration::try_from(lifetime?).unwrap_or(time::Duration::MAX);
    Some(now.saturating_sub(lifetime))
}

/// Returns the condition of a lookup by digest. Whether the row has ended is checked when it is read.
fn is_valid(bindings: &mut Bindings<'_>, now: FieldValue) -> Condition {
    let expires_at = bindings.column(column::EXPIRES_AT);
    is_later(expires_at, bindings.expr(now))
}

/// Returns the condition that there is no expiry, or one after `now`.
fn is_later(expires_at: Expr, now: Expr) -> Condition {
    Condition::any().add(expires_at.clone().is_null()).add(expires_at.gt(now))
}

/// Returns the condition that a row has not been written since it was read. Every write of this library moves
/// `updated_at`.
pub(crate) fn as_it_was_read<T: SessionFields>(
    bindings: &mut Bindings<'_>,
    session: &Session<T>,
) -> Condition {
    let id = bindings.expr(FieldValue::plain(session.id));
    let updated_at = bindings.expr(FieldValue::plain(session.stored.updated_at));
    let expires_at = bindings.column(column::EXPIRES_AT);
    let same_expiry = match session.stored.expires_at {
        None => bindings.backend().dialect().is_never(expires_at),
        Some(instant) => expires_at.eq(bindings.expr(FieldValue::plain(instant))),
    };
    Condition::all()
        .add(bindings.column(column::ID).eq(id))
        .add(bindings.column(column::UPDATED_AT).eq(updated_at))
        .add(same_expiry)
}

/// Returns the new `updated_at` of a row if its last write is not known: `now`, or the instant after that write if the
/// clock has not moved past it.
pub(crate) fn written_at(bindings: &mut Bindings<'_>, now: FieldValue) -> Expr {
    let now = bindings.expr(now);
    let last = bindings.column(column::UPDATED_AT);
    bindings.backend().dialect().written_at(now, last)
}

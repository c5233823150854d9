//! The statements about tokens that sessions had before, and how their rows are read.

use sea_query::{
    Condition, DynIden, Expr, ExprTrait, JoinType, LockBehavior, LockType, Order, Query, SelectStatement,
    TableRef, UpdateStatement,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::statements::{table_ref_beside, unqualified};
use super::{Bindings, RowHeader, identifier, read_rest, select_columns, table_ref, unreadable};
use crate::config::Config;
use crate::database::{FieldValue, Row, Statement};
use crate::error::Result;
use crate::session::Session;
use crate::table::{SessionFields, TableDefinition, column, retired_column};
use crate::token::{PossibleDigests, TokenDigest};

/// The table's name in a statement that reads it beside the session table.
const ALIAS: &str = "retired";

/// A token that its session had before, as it is inserted.
pub(crate) struct NewRetired<'r> {
    pub(crate) digest: &'r TokenDigest,
    pub(crate) session: Uuid,
    pub(crate) retired_at: OffsetDateTime,
    /// `None` for one that is good for nothing but a renewal.
    pub(crate) usable_until: Option<OffsetDateTime>,
    pub(crate) hint: Option<String>,
    pub(crate) sealed: Option<Vec<u8>>,
}

/// Which of a session's old tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Those that were exchanged and whose successor is sealed.
    Sealed,
    /// Those that were rotated with a grace.
    Rotated,
}

fn retired_ref(table: &TableDefinition) -> TableRef {
    table_ref_beside(table, &table.retired_name())
}

fn retired(name: &str) -> Expr {
    Expr::col((identifier(ALIAS), identifier(name)))
}

impl Kind {
    fn condition(self) -> Condition {
        // Both are found by the index, in which the others have no instant.
        let sealed = unqualified(retired_column::SEALED);
        let is_of_it = if self == Self::Sealed { sealed.is_not_null() } else { sealed.is_null() };
        Condition::all().add(unqualified(retired_column::USABLE_UNTIL).is_not_null()).add(is_of_it)
    }
}

/// Returns the statement that records a token as retired.
pub(crate) fn insert(bindings: &mut Bindings<'_>, new: NewRetired<'_>) -> Statement {
    let names = TableDefinition::retired_columns().map(|column| identifier(column.name()));
    let columns = [identifier(retired_column::DIGEST)].into_iter().chain(names);
    let values = [
        FieldValue::plain(new.digest.expose()),
        FieldValue::plain(new.session),
        FieldValue::plain(new.retired_at),
        FieldValue::plain(new.usable_until),
        FieldValue::plain(new.hint),
        FieldValue::plain(new.sealed),
    ];
    let values: Vec<_> = values.into_iter().map(|value| bindings.expr(value)).collect();
    let mut insert = Query::insert();
    insert.into_table(retired_ref(bindings.table())).columns(columns).values_panic(values);
    bindings.build(&insert)
}

/// Returns the statement that wipes what is sealed for a session, except under one digest.
pub(crate) fn wipe(bindings: &mut Bindings<'_>, session: Uuid, except: Option<&TokenDigest>) -> Statement {
    let mut wipe = wiping(bindings.table());
    wipe.cond_where(of_session(bindings, session)).cond_where(Kind::Sealed.condition());
    if let Some(except) = except {
        let except = bindings.expr(FieldValue::plain(except.expose()));
        wipe.and_where(unqualified(retired_column::DIGEST).ne(except));
    }
    wipe.and_where_option(bindings.backend().dialect().place_of_condition());
    bindings.build(&wipe)
}

fn wiping(table: &TableDefinition) -> UpdateStatement {
    let mut wipe = Query::update();
    let null = || Expr::cust("NULL");
    wipe.table(retired_ref(table))
        .value(retired_column::SEALED, null())
        .value(retired_column::USABLE_UNTIL, null());
    wipe
}

/// Returns the statement that lets no old token of a session be good for longer than until `until`.
pub(crate) fn shorten(bindings: &mut Bindings<'_>, session: Uuid, until: OffsetDateTime) -> Statement {
    let mut shorten = Query::update();
    shorten
        .table(retired_ref(bindings.table()))
        .value(retired_column::USABLE_UNTIL, bindings.expr(FieldValue::plain(until)))
        .cond_where(of_session(bindings, session));
    if bindings.table().binds_devices() {
        shorten.and_where(unqualified(retired_column::USABLE_UNTIL).is_not_null());
    } else {
        shorten.cond_where(Kind::Rotated.condition());
    }
    let until = bindings.expr(FieldValue::plain(until));
    shorten.and_where(unqualified(retired_column::USABLE_UNTIL).gt(until));
    bindings.build(&shorten)
}

/// Returns the statement that seals another successor under an old token of a bound session. From `now` on it is good for
/// nothing but a renewal.
#[cfg(feature = "dbsc")]
pub(crate) fn seal_again(
    bindings: &mut Bindings<'_>,
    digest: &TokenDigest,
    sealed: Vec<u8>,
    now: OffsetDateTime,
) -> Statement {
    let mut seal = Query::update();
    seal.table(retired_ref(bindings.table()))
        .value(retired_column::SEALED, bindings.expr(FieldValue::plain(sealed)))
        .value(retired_column::USABLE_UNTIL, bindings.expr(FieldValue::plain(now)));
    let digest = bindings.expr(FieldValue::plain(digest.expose()));
    seal.and_where(unqualified(retired_column::DIGEST).eq(digest));
    seal.and_where_option(bindings.backend().dialect().place_of_condition());
    bindings.build(&seal)
}

/// Returns the statement that wipes what is sealed for a bound session, except under one digest. The tokens stay good for as
/// long as they were.
#[cfg(feature = "dbsc")]
pub(crate) fn unseal(bindings: &mut Bindings<'_>, session: Uuid, except: &TokenDigest) -> Statement {
    let mut unseal = Query::update();
    unseal
        .table(retired_ref(bindings.table()))
        .value(retired_column::SEALED, Expr::cust("NULL"))
        .cond_where(of_session(bindings, session))
        .and_where(unqualified(retired_column::SEALED).is_not_null());
    let except = bindings.expr(FieldValue::plain(except.expose()));
    unseal.and_where(unqualified(retired_column::DIGEST).ne(except));
    unseal.and_where_option(bindings.backend().dialect().place_of_condition());
    bindings.build(&unseal)
}

/// Returns the statement that deletes the old tokens of a bound session that are good no longer, except those with these
/// digests.
#[cfg(feature = "dbsc")]
pub(crate) fn forget_over(
    bindings: &mut Bindings<'_>,
    session: Uuid,
    except: [&TokenDigest; 2],
    now: OffsetDateTime,
) -> Statement {
    let is_over = Condition::any()
        .add(unqualified(retired_column::USABLE_UNTIL).is_null())
        .add(unqualified(retired_column::USABLE_UNTIL).lte(bindings.expr(FieldValue::plain(now))));
    let mut forget = Query::delete();
    forget.from_table(retired_ref(bindings.table())).cond_where(of_session(bindings, session));
    forget.cond_where(is_over);
    for digest in except {
        let digest = bindings.expr(FieldValue::plain(digest.expose()));
        forget.and_where(unqualified(retired_column::DIGEST).ne(digest));
    }
    forget.and_where_option(bindings.backend().dialect().place_of_condition());
    bindings.build(&forget)
}

fn of_session(bindings: &mut Bindings<'_>, session: Uuid) -> Condition {
    let session = bindings.expr(FieldValue::plain(session));
    Condition::all().add(unqualified(retired_column::SESSION_ID).eq(session))
}

/// Returns the query for the old tokens with any of these digests, each with the session that had it.
pub(crate) fn find(bindings: &mut Bindings<'_>, digests: &PossibleDigests) -> SelectStatement {
    let values = digests.iter().map(|digest| FieldValue::plain(digest.expose()));
    let digests: Vec<_> = values.map(|value| bindings.expr(value)).collect();
    let mut find = Query::select();
    for name in [retired_column::DIGEST, retired_column::USABLE_UNTIL, retired_column::SEALED] {
        find.expr(retired(name));
    }
    find.expr(bindings.column(column::DIGEST));
    select_columns(bindings, &mut find);
    let is_of_it = bindings.column(column::ID).eq(retired(retired_column::SESSION_ID));
    find.from_as(retired_ref(bindings.table()), identifier(ALIAS))
        .join(JoinType::InnerJoin, table_ref(bindings.table()), is_of_it)
        .and_where(retired(retired_column::DIGEST).is_in(digests));
    find
}

/// Returns the query for those of them that are good at `now` all the same.
pub(crate) fn find_usable(
    bindings: &mut Bindings<'_>,
    digests: &PossibleDigests,
    now: OffsetDateTime,
) -> SelectStatement {
    let mut find = find(bindings, digests);
    let now = bindings.expr(FieldValue::plain(now));
    find.and_where(retired(retired_column::USABLE_UNTIL).gt(now));
    if !bindings.table().binds_devices() {
        // A token that was exchanged is good for nothing else.
        find.and_where(retired(retired_column::SEALED).is_null());
    }
    find
}

/// An old token, with the session that had it.
pub(crate) struct RetiredRow<'r> {
    row: &'r Row,
    pub(crate) session: RowHeader,
    /// The digest of the session's present token.
    pub(crate) current: String,
    pub(crate) usable_until: Option<OffsetDateTime>,
    pub(crate) sealed: Option<Vec<u8>>,
}

impl<'r> RetiredRow<'r> {
    const SESSION: usize = 4;

    /// Returns the row among `rows` that has one of these digests, and which it is. The database compares by its own
    /// rules, which may ignore case; here there is one rule.
    pub(crate) fn among<'d>(
        rows: &'r [Row],
        digests: &'d PossibleDigests,
        table: &TableDefinition,
    ) -> Result<Option<(Self, &'d TokenDigest)>> {
        for row in rows {
            let failed = |name: &str, error| unreadable(table, name, error);
            let stored = row.text(0).map_err(|error| failed(retired_column::DIGEST, error))?;
            let Some(digest) =
                digests.iter().find(|digest| stored.as_ref().is_some_and(|it| digest.matches(it)))
            else {
                continue;
            };
            let usable_until =
                row.timestamp(1).map_err(|error| failed(retired_column::USABLE_UNTIL, error))?;
            let sealed = row.get(2).map_err(|error| failed(retired_column::SEALED, error))?;
            let current = row.text(3).map_err(|error| failed(column::DIGEST, error))?;
            let session = RowHeader::read(table, row, Self::SESSION)?;
            let current = current.unwrap_or_default();
            return Ok(Some((Self { row, session, current, usable_until, sealed }, digest)));
        }
        Ok(None)
    }

    pub(crate) fn session<T: SessionFields>(
        &self,
        table: &TableDefinition,
        config: &Config,
    ) -> Result<Session<T>> {
        read_rest(&self.session, table, config, self.row, Self::SESSION + RowHeader::width(table))
    }
}

/// Returns the query for a session's old tokens that are good at `now`: when each was retired, until when it is good, and
/// its hint. Those that were retired last come first.
pub(crate) fn list(bindings: &mut Bindings<'_>, session: Uuid, now: OffsetDateTime) -> SelectStatement {
    let mut list = Query::select();
    for name in [retired_column::RETIRED_AT, retired_column::USABLE_UNTIL, retired_column::HINT] {
        list.expr(unqualified(name));
    }
    let session = of_session(bindings, session);
    let now = bindings.expr(FieldValue::plain(now));
    list.from(retired_ref(bindings.table()))
        .cond_where(session)
        .cond_where(Kind::Rotated.condition())
        .and_where(unqualified(retired_column::USABLE_UNTIL).gt(now))
        .order_by(identifier(retired_column::RETIRED_AT), Order::Desc);
    list
}

/// Returns the query for the digest of a session's present token, if its row is as `condition` says.
pub(crate) fn current_digest(bindings: &Bindings<'_>, condition: Condition) -> SelectStatement {
    let mut current = Query::select();
    current.expr(bindings.column(column::DIGEST)).from(table_ref(bindings.table())).cond_where(condition);
    current
}

/// Returns the statement that wipes at most `limit` seals, or deletes at most `limit` tokens that were rotated with a
/// grace, whose time was over by `until`.
pub(crate) fn end_graces(
    bindings: &mut Bindings<'_>,
    kind: Kind,
    until: OffsetDateTime,
    limit: u64,
) -> Statement {
    let (dialect, until) = (bindings.backend().dialect(), bindings.expr(FieldValue::plain(until)));
    let is_over = || kind.condition().add(unqualified(retired_column::USABLE_UNTIL).lte(until.clone()));
    let mut first = Query::select();
    first
        .column(identifier(retired_column::DIGEST))
        .from(retired_ref(bindings.table()))
        .cond_where(is_over());
    first.limit(limit);
    if dialect.skips_locked_rows() {
        first.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    let is_one = |first| dialect.is_in_subquery(unqualified(retired_column::DIGEST), first);
    if kind == Kind::Sealed {
        let mut wipe = wiping(bindings.table());
        if dialect.writes_in_order() {
            wipe.cond_where(is_over()).limit(limit);
        } else {
            wipe.and_where(is_one(first.into()));
        }
        wipe.and_where_option(dialect.place_of_condition());
        return bindings.build(&wipe);
    }
    let mut delete = Query::delete();
    delete.from_table(retired_ref(bindings.table()));
    if dialect.writes_in_order() {
        delete.cond_where(is_over()).limit(limit);
    } else {
        delete.and_where(is_one(first.into()));
    }
    delete.and_where_option(dialect.place_of_condition());
    bindings.build(&delete)
}

/// Returns the query for the ids of the next `limit` sessions after `after` that have old tokens, in order, and for each
/// of them its id once more, or null if the session is gone.
pub(crate) fn sessions_after(
    bindings: &mut Bindings<'_>,
    after: Option<Uuid>,
    limit: u64,
) -> SelectStatement {
    let page: DynIden = identifier("page");
    let mut ids = Query::select();
    ids.distinct()
        .column(identifier(retired_column::SESSION_ID))
        .from(retired_ref(bindings.table()))
        .order_by(identifier(retired_column::SESSION_ID), Order::Asc)
        .limit(limit);
    if let Some(after) = after {
        let after = bindings.expr(FieldValue::plain(after));
        ids.and_where(unqualified(retired_column::SESSION_ID).gt(after));
    }
    let of_page = Expr::col((page.clone(), identifier(retired_column::SESSION_ID)));
    let mut sessions = Query::select();
    sessions
        .expr(of_page.clone())
        .expr(bindings.column(column::ID))
        .from_subquery(ids, page)
        .join(
            JoinType::LeftJoin,
            table_ref(bindings.table()),
            bindings.column(column::ID).eq(of_page.clone()),
        )
        .order_by_expr(of_page, Order::Asc);
    sessions
}

/// Returns the statement that deletes the old tokens of these sessions.
pub(crate) fn delete_of(bindings: &mut Bindings<'_>, sessions: &[Uuid]) -> Statement {
    let ids: Vec<_> = sessions.iter().map(|id| bindings.expr(FieldValue::plain(*id))).collect();
    let mut delete = Query::delete();
    delete
        .from_table(retired_ref(bindings.table()))
        .and_where(unqualified(retired_column::SESSION_ID).is_in(ids))
        .and_where_option(bindings.backend().dialect().place_of_condition());
    bindings.build(&delete)
}

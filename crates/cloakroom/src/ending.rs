//! Ends sessions by every clock: a machine that is ahead ends what another, which is behind, would still accept.
//!
//! A row whose expiry is not after its last write has [ended](crate::expiry::is_over) for everybody. One that
//! has expired by this machine's clock, but not by its own last write, has *lapsed*: a clock that is behind may
//! still accept and extend it. It is written once more, its expiry left as it is; then it has ended, and nobody
//! writes it again.
//!
//! What has lapsed goes first, in a statement of its own, so that the number of those that were ended is that of
//! the sessions that were valid here. What comes between the two, the second finds: it takes whatever has not
//! ended, since an extension may have brought a lapsed session back meanwhile.

use sea_query::{CaseStatement, Expr, ExprTrait, Query, UpdateStatement};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::{Bindings, Statement, place_of_condition};
use crate::error::Result;
use crate::field::FieldValue;
use crate::lookup::Revoked;
use crate::operations::Operations;
use crate::statements::{Which, has, table_ref, value, written_at};
use crate::table::{SessionFields, column};

/// Sets the end of rows that have not ended, to `now` or where it lies before that.
pub(crate) fn expire(bindings: &mut Bindings<'_>, now: &FieldValue) -> UpdateStatement {
    let expires_at = bindings.column(column::EXPIRES_AT);
    let is_before = expires_at.clone().lt(bindings.expr(now.clone()));
    let earlier: Expr =
        CaseStatement::new().case(is_before, expires_at).finally(bindings.expr(now.clone())).into();
    let mut update = Query::update();
    update
        .table(table_ref(bindings.table()))
        .value(column::EXPIRES_AT, earlier)
        .value(column::UPDATED_AT, written_at(bindings, now.clone()))
        .and_where_option(place_of_condition(bindings.backend()));
    update
}

/// Writes rows that have lapsed, so that they have ended.
pub(crate) fn lapse(bindings: &mut Bindings<'_>, now: &FieldValue) -> UpdateStatement {
    let mut update = Query::update();
    update
        .table(table_ref(bindings.table()))
        .value(column::UPDATED_AT, written_at(bindings, now.clone()))
        .and_where_option(place_of_condition(bindings.backend()));
    update
}

/// The two statements on the row with one id. The values of the first are `now` and the id, and `now` again;
/// those of the second `now` three times, and the id.
pub(crate) fn by_id(bindings: &mut Bindings<'_>) -> [UpdateStatement; 2] {
    let mut lapse = lapse(bindings, &value());
    let id = bindings.expr(value());
    lapse.and_where(bindings.column(column::ID).eq(id));
    if let Some(has_lapsed) = has(bindings, Which::HasLapsed, value()) {
        lapse.cond_where(has_lapsed);
    }
    let mut expire = expire(bindings, &value());
    let id = bindings.expr(value());
    expire.and_where(bindings.column(column::ID).eq(id));
    if let Some(has_not_ended) = has(bindings, Which::HasNotEnded, value()) {
        expire.cond_where(has_not_ended);
    }
    [lapse, expire]
}

impl<T: SessionFields> Operations<'_, T> {
    /// Ends the session by every clock, whoever has written it meanwhile; whether it was valid by this one.
    pub(crate) async fn expire_by_id(&mut self, id: Uuid, now: OffsetDateTime) -> Result<bool> {
        let (id, revoked, now) = (FieldValue::plain(id), Revoked::Session(id), FieldValue::plain(now));
        let statements = &self.sessions().store().statements;
        let lapse = Statement::new(statements.lapse.clone(), vec![now.clone(), id.clone(), now.clone()]);
        let expire = Statement::new(statements.expire.clone(), vec![now.clone(), now.clone(), now, id]);
        self.execute_revoking(lapse, revoked).await?;
        Ok(self.execute_revoking(expire, revoked).await? > 0)
    }
}

//! Storing a session under the newest scheme, once its token is known.

use sea_query::{ExprTrait, UpdateStatement};

use super::Operations;
use super::guarded::Effect;
use crate::database::FieldValue;
use crate::error::ErrorKind;
use crate::session::Session;
use crate::sql::Bindings;
use crate::table::{SessionFields, column};
use crate::token::TokenDigest;

impl<T: SessionFields> Operations<'_, T> {
    /// Stores a session that was read under the newest digest of its token, if the row is as it was read. The token and
    /// the session stay the same. Returns the session as a read returns it, or `None` if another caller wrote the row
    /// meanwhile: then the session must be read again.
    ///
    /// A failure is reported to `tracing` and does not fail the read. Inside a transaction of the caller's, which a
    /// failed statement may end, the row stays as it is.
    pub(super) async fn store_under_newest(
        &mut self,
        mut session: Session<T>,
        stored: &TokenDigest,
        newest: &TokenDigest,
    ) -> Option<Session<T>> {
        let is_refused = self.handle().extensions().is_known(self.config().monotonic());
        if is_refused || !self.connection().is_pool() {
            return Some(session);
        }
        let set = |update: &mut UpdateStatement, bindings: &mut Bindings<'_>| {
            update.value(column::DIGEST, bindings.expr(FieldValue::plain(newest.expose())));
            let is_stored =
                bindings.column(column::DIGEST).eq(bindings.expr(FieldValue::plain(stored.expose())));
            update.and_where(is_stored);
        };
        let (now, expires_at) = (self.config().now(), session.stored.expires_at);
        match self.write(&mut session, now, expires_at, Effect::Revokes, None, set).await {
            Ok(is_written) => is_written.then_some(session),
            Err(error) => {
                let is_read_only = error.kind() == ErrorKind::ReadOnly;
                // A database that takes no writes is reported once.
                if !is_read_only || self.handle().extensions().refused(self.config().monotonic()) {
                    tracing::warn!(
                        table = %self.table(),
                        session = %session.id,
                        error = &error as &dyn std::error::Error,
                        "a session was read but could not be stored under the newest scheme",
                    );
                }
                (!self.is_over(&session, self.config().now())).then_some(session)
            }
        }
    }
}

//! Counting by the scheme under which sessions are stored.

use sea_query::{CaseStatement, Expr, ExprTrait, Query};

use super::SessionQuery;
use super::count_by::{count_of_valid, read_count};
use crate::error::Result;
use crate::observe::Operation;
use crate::table::{SessionFields, column};
use crate::token::{DigestForm, MAX_TAG_LENGTH, MIN_DIGEST_LENGTH};

/// How many sessions are stored under one scheme. Returned by
/// [`Sessions::count_by_scheme`](crate::Sessions::count_by_scheme).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemeCount {
    /// The [name](crate::Scheme::name) of the scheme. Digests without a name are told apart by their length alone, so
    /// this may name several hashes, as in `sha256 or sha3-256`.
    pub scheme: String,
    /// Whether the configuration has this scheme. A session under another is unknown: its token is accepted by no call.
    pub is_configured: bool,
    /// How many sessions are stored under it.
    pub count: u64,
    /// How many of them are valid.
    pub valid: u64,
}

impl<T: SessionFields> SessionQuery<'_, T> {
    pub(crate) async fn count_by_scheme(mut self) -> Result<Vec<SchemeCount>> {
        self.read_as_list();
        self.operations.call(Operation::CountBy).of(self.count_rows_by_scheme()).await
    }

    async fn count_rows_by_scheme(&mut self) -> Result<Vec<SchemeCount>> {
        let now = self.operations.config().now();
        let dialect = self.operations.handle().backend().dialect();
        let mut bindings = self.operations.bindings();
        let valid = count_of_valid(&mut bindings, now);
        let digest = || bindings.column(column::DIGEST);
        let number = |number: usize| Expr::cust(number.to_string());
        let place = || dialect.place_of_dollar(digest());
        let length = || substituted("LENGTH", [digest()]);
        // Only what has the form of a tag is read as one: the text may be a plaintext token.
        let is_tagged = place()
            .between(number(2), number(MAX_TAG_LENGTH + 1))
            .and(length().sub(place()).gte(number(2 * MIN_DIGEST_LENGTH)))
            .and(dialect.is_hex(substituted("SUBSTR", [digest(), place().add(number(1))])));
        let tag = substituted("SUBSTR", [digest(), number(1), place().sub(number(1))]);
        let tag: Expr = CaseStatement::new().case(is_tagged, tag).finally(Expr::cust("''")).into();
        let hex: Expr =
            CaseStatement::new().case(dialect.is_hex(digest()), length()).finally(number(0)).into();
        let mut count = Query::select();
        count
            .expr(tag)
            .expr(hex)
            .expr(Expr::cust("COUNT(*)"))
            .expr(valid)
            .from(self.operations.table_ref())
            .add_group_by([number(1), number(2)]);
        let guard = self.operations.guard(&mut count);
        let statement = bindings.build(&count).guarded(guard);
        let rows = self.operations.fetch_all(&statement).await?;
        let schemes = self.operations.config().schemes();
        let configured = schemes.as_slice().iter().map(|scheme| schemes.label(&scheme.form()));
        let mut counts: Vec<SchemeCount> = Vec::new();
        for scheme in configured {
            add(&mut counts, scheme, true, [0, 0]);
        }
        for row in &rows {
            let read = || -> Result<_, sqlx::Error> {
                let tag = row.text(0)?.unwrap_or_default();
                Ok((DigestForm::of(tag, read_count(row, 1)?), [read_count(row, 2)?, read_count(row, 3)?]))
            };
            let (form, found) = read().map_err(|error| self.operations.failed(error))?;
            add(&mut counts, schemes.label(&form), schemes.has(&form), found);
        }
        self.warn_of_unknown(&counts);
        Ok(counts)
    }

    /// Says once for each scheme that its sessions are unknown.
    fn warn_of_unknown(&self, counts: &[SchemeCount]) {
        for count in counts.iter().filter(|count| !count.is_configured && count.valid > 0) {
            if self.operations.handle().is_new_unknown_scheme(&count.scheme) {
                tracing::warn!(
                    table = %self.operations.table(),
                    scheme = count.scheme,
                    sessions = count.valid,
                    "sessions are unknown, since they are stored under a scheme that is not among the configured digests",
                );
            }
        }
    }
}

fn add(counts: &mut Vec<SchemeCount>, scheme: String, is_configured: bool, [count, valid]: [u64; 2]) {
    match counts.iter_mut().find(|known| known.scheme == scheme && known.is_configured == is_configured) {
        Some(known) => {
            known.count += count;
            known.valid += valid;
        }
        None => counts.push(SchemeCount { scheme, is_configured, count, valid }),
    }
}

/// Returns the call of a function that has one form on all databases.
fn substituted<const N: usize>(function: &'static str, arguments: [Expr; N]) -> Expr {
    sea_query::Func::cust(function).args(arguments).into()
}

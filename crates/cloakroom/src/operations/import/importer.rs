//! Importing any number of sessions, in transactions of bounded size.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_core::Stream;
use futures_util::{StreamExt, stream};

use super::ImportedSession;
use super::error::{ImportError, ImportProgress};
use super::present::Known;
use crate::error::{Error, ErrorKind, Result};
use crate::observe::Operation;
use crate::operations::{Handle, Operations, bounded};
use crate::table::SessionFields;

/// The most bytes of rows that one transaction writes.
const MAX_TRANSACTION: usize = 16 * 1024 * 1024;

/// After so many new sessions the database's statistics of the table are out of date.
const MANY: u64 = 1_000;

/// The longest pause between two transactions in an embedded database.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Returns how many sessions one transaction writes by default. In an embedded database all other writers wait
/// meanwhile.
fn default_batch(is_embedded: bool) -> usize {
    if is_embedded { 2_000 } else { 5_000 }
}

/// Imports any number of sessions that another system has made, in transactions of bounded size. Made by
/// [`Sessions::importer`](crate::Sessions::importer).
///
/// An import that was stopped is run again from its start: a session that is in the table already is left as it is, and
/// counted. Which sessions those are is decided like this:
///
/// - The row has one of the digests that the session's token may be stored under, or, for a session with a
///   [digest](ImportedSession::with_digest), that digest, or the id that an importer gives to a session with this digest.
///   By that id it is known too if its token has been used since the first run, so that it is stored under the newest
///   scheme now.
/// - What was given agrees with the row: the id, the creation, and the indexed fields. If it does not, the row is that of
///   another session, and the import stops with an error.
///
/// What the table no longer has is imported again: a session that was deleted between two runs is valid again after the
/// second. A session that was ended and kept stays ended. So let an import come to its end before sessions are deleted
/// or pruned.
///
/// An expired session is imported as it is, even if it expired before its creation. A token is stored under the newest
/// scheme at once, a digest under the scheme that it is of.
///
/// ```
/// # use cloakroom::{Hashing, ImportedSession, NewSession, Reading, Scheme, SessionTable, Sessions};
/// # #[derive(Clone, SessionTable)]
/// # struct ApiToken { #[session(index)] user_id: i64 }
/// # async fn example(
/// #     sessions: Sessions<ApiToken>,
/// #     rows: impl futures_core::Stream<Item = Result<(String, i64), sqlx::Error>>,
/// # ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use futures_util::StreamExt;
///
/// let knox = Scheme::adopted("knox5", Reading::of(Hashing::Sha512));
/// let rows = rows.map(|row| {
///     let (digest, user_id) = row?;
///     let new = NewSession::new(ApiToken { user_id }).never_expires();
///     let imported = ImportedSession::with_digest(new, knox.parse_digest(&digest)?);
///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(imported)
/// });
/// let done = sessions.importer().on_progress(|progress| eprintln!("{}", progress.read)).run(rows).await?;
/// println!("{} imported, {} were there", done.imported, done.already_there);
/// # Ok(())
/// # }
/// ```
#[must_use = "an importer does nothing until it runs"]
pub struct Importer<'p, T: SessionFields> {
    pub(super) handle: Arc<Handle>,
    batch: usize,
    pub(super) is_dry_run: bool,
    on_progress: Box<dyn FnMut(ImportProgress) + Send + 'p>,
    of: PhantomData<fn() -> T>,
}

impl<T: SessionFields> Importer<'static, T> {
    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        let batch = default_batch(handle.backend().dialect().is_embedded());
        Self { handle, batch, is_dry_run: false, on_progress: Box::new(|_| {}), of: PhantomData }
    }
}

impl<T: SessionFields> Importer<'_, T> {
    /// Sets how many sessions one transaction writes. Default 5,000, on SQLite 2,000; at least 1. A transaction also
    /// ends with the session with which its rows reach 16 MiB.
    pub fn batch(self, sessions: usize) -> Self {
        Self { batch: sessions.max(1), ..self }
    }

    /// Sets what is called after each transaction.
    pub fn on_progress<'q>(self, on_progress: impl FnMut(ImportProgress) + Send + 'q) -> Importer<'q, T> {
        let Self { handle, batch, is_dry_run, .. } = self;
        Importer { handle, batch, is_dry_run, on_progress: Box::new(on_progress), of: PhantomData }
    }

    /// Tries everything, in the database too, and rolls each transaction back. What was done counts as if it had been
    /// committed. A session that is twice in the stream, in two transactions, is not noticed.
    pub fn dry_run(self) -> Self {
        Self { is_dry_run: true, ..self }
    }

    /// Imports the sessions of a stream, which may fail itself.
    ///
    /// On PostgreSQL the table is analyzed after many sessions, if the role may do that: until then every connection would
    /// go on with plans for the table as it was before, which read all of it if it was empty.
    ///
    /// A transaction begins only after the sessions for it were read. On SQLite the import pauses after each for as long
    /// as it took, up to 100 ms, so that other writers have their turn. A transaction that lost to another is run again.
    /// The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// What was committed before remains, and [`ImportError::progress`] says how much it is; the transaction of the error
    /// is rolled back. The errors are those of [`Sessions::import`](crate::Sessions::import), with
    /// [`DuplicateToken`](ErrorKind::DuplicateToken) if another session in the table has the token, and
    /// [`Constraint`](ErrorKind::Constraint) if it has the id. If the stream fails, the error is
    /// [`Unavailable`](ErrorKind::Unavailable), with the stream's error as its source.
    pub async fn run<E>(
        mut self,
        sessions: impl Stream<Item = Result<ImportedSession<T>, E>>,
    ) -> Result<ImportProgress, ImportError>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let (mut row, mut progress) = (None, ImportProgress::default());
        let call = self.on_pool().long_call(Operation::Import);
        match call.of(self.import_all(sessions, &mut progress, &mut row)).await {
            Ok(()) => {
                if progress.imported >= MANY && !self.is_dry_run {
                    self.update_statistics().await;
                }
                Ok(progress)
            }
            Err(error) => Err(ImportError { row, progress, error }),
        }
    }

    /// Imports the sessions that an iterator returns. See [`run`](Self::run).
    pub async fn run_iter(
        self,
        sessions: impl IntoIterator<Item = ImportedSession<T>>,
    ) -> Result<ImportProgress, ImportError> {
        self.run(stream::iter(sessions).map(Ok::<_, Infallible>)).await
    }

    async fn import_all<E>(
        &mut self,
        sessions: impl Stream<Item = Result<ImportedSession<T>, E>>,
        progress: &mut ImportProgress,
        failed_row: &mut Option<u64>,
    ) -> Result<()>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let mut sessions = pin!(sessions);
        let mut is_over = false;
        while !is_over {
            let (mut batch, mut size) = (Vec::new(), 0);
            while batch.len() < self.batch && size < MAX_TRANSACTION {
                let Some(session) = sessions.next().await else {
                    is_over = true;
                    break;
                };
                let known = match session {
                    Ok(session) => self.known(session).await,
                    Err(error) => Err(unreadable(error)),
                };
                let known = known.inspect_err(|_| *failed_row = Some(progress.read + batch.len() as u64))?;
                size += known.row.size();
                batch.push(known);
            }
            if batch.is_empty() {
                break;
            }
            let begun = Instant::now();
            let written = self.write(&batch).await.map_err(|refused| {
                *failed_row = refused.row().map(|row| progress.read + row as u64);
                refused.error
            })?;
            progress.read += batch.len() as u64;
            progress.imported += written;
            progress.already_there += batch.len() as u64 - written;
            (self.on_progress)(*progress);
            if !is_over && self.handle.backend().dialect().is_embedded() {
                tokio::time::sleep(begun.elapsed().min(LONGEST_PAUSE)).await;
            }
        }
        Ok(())
    }

    /// Returns a session as its row, with that by which it is known.
    async fn known(&self, session: ImportedSession<T>) -> Result<Known<T>> {
        let mut on_pool = self.on_pool();
        let row = on_pool.unplaced_row(session)?;
        let fitting = async {
            on_pool.check_sliding_of(&row).await?;
            on_pool.fitting_values(&row.fields).await
        };
        let (fields, _) = bounded(self.handle.config().timeout(), fitting).await?;
        Known::new(self.handle.config(), row, |row, id| on_pool.placed_row(row, id, fields))
    }

    fn on_pool(&self) -> Operations<'static, T> {
        Operations::new(Arc::clone(&self.handle), self.handle.store().pool())
    }
}

fn unreadable(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Unavailable, "the sessions to import could not be read").with_source(error)
}

impl<T: SessionFields> fmt::Debug for Importer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Importer")
            .field("sessions", &self.handle)
            .field("batch", &self.batch)
            .field("is_dry_run", &self.is_dry_run)
            .finish_non_exhaustive()
    }
}

//! Writes the uses, many in a statement.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Recorder;
use super::entries::{Use, Used};
use crate::clock::instant_of;
use crate::database::{FieldValue, Row};
use crate::deadline;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::observe::Recorded;
use crate::session::seen::Client;
use crate::sql::{MAX_USES, TEXTS, UseToRecord, uses_to_record};
use crate::store::{Columns, Waits};
use crate::table::Role;

/// How long a statement may take if the configuration has no bound.
const LONGEST: Duration = Duration::from_secs(10);

/// The longest pause between two statements. A long write works half of the time, and leaves the other half to requests.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How many sessions whose use the database refuses are left out in one go. If it refuses more, the reason is not theirs.
const MOST_REFUSED: usize = 8;

/// How a write treats the rows that another transaction has locked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Locked {
    /// Their uses are written the next time.
    Later,
    /// It waits for them, for as long as a call waits for the database.
    WaitFor,
}

/// What became of the uses that a statement was to write.
enum Sent {
    /// It is certain that these need not be written any more.
    Done { written: u64, left: HashSet<Uuid> },
    /// A row is locked.
    Locked,
    /// Perhaps one of them is refused.
    Refused(Error),
}

impl Recorder {
    /// Writes all uses that were noted before the call. Returns how many rows were written. What fails is kept.
    pub(super) async fn write_all(&self, locked: Locked, mut goes_on: impl FnMut()) -> Result<u64> {
        let all = self.entries.all();
        if all.is_empty() {
            return Ok(0);
        }
        let columns = self.columns().await?;
        let mut write =
            Write { recorder: self, columns: columns.as_deref(), written: 0, refused: 0, left: Vec::new() };
        let chunks = all.chunks(MAX_USES);
        let mut rest = chunks.len();
        for chunk in chunks {
            let begun = Instant::now();
            write.chunk(chunk).await?;
            goes_on();
            rest -= 1;
            if rest > 0 && locked == Locked::Later {
                tokio::time::sleep(begun.elapsed().min(LONGEST_PAUSE)).await;
            }
        }
        if locked == Locked::WaitFor {
            write.left(goes_on).await?;
        }
        Ok(write.written)
    }

    /// Returns what the table's columns hold, if there are texts to write.
    async fn columns(&self) -> Result<Option<Arc<Columns>>> {
        if TEXTS.into_iter().all(|role| self.store.table.field_for(role).is_none()) {
            return Ok(None);
        }
        let mut connection = self.store.pool();
        self.bounded(self.store.known.columns(&mut connection, &self.store.table)).await
    }

    /// Runs a step, which takes no longer than a call waits for the database.
    async fn bounded<R>(&self, step: impl Future<Output = Result<R>>) -> Result<R> {
        let limit = self.store.config.timeout().unwrap_or(LONGEST);
        deadline::within(Some(limit), step).await
    }
}

/// A write that is under way.
struct Write<'r> {
    recorder: &'r Recorder,
    columns: Option<&'r Columns>,
    written: u64,
    refused: usize,
    /// Uses of sessions whose rows were locked.
    left: Vec<Used>,
}

impl Write<'_> {
    /// Writes these uses. If the statement fails, perhaps because of one of them, each half is sent by itself.
    async fn chunk(&mut self, chunk: &[Used]) -> Result<()> {
        let mut parts = vec![chunk];
        while let Some(part) = parts.pop() {
            match self.send(part, Locked::Later).await? {
                Sent::Done { written, left } => self.done(part, written, &left),
                Sent::Locked | Sent::Refused(_) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Sent::Locked => self.left.extend_from_slice(part),
                Sent::Refused(error) => self.without_texts(part, error).await?,
            }
        }
        Ok(())
    }

    /// Writes what is left, and waits for locked rows one at a time: a statement that waits for several may be in a deadlock.
    /// The transaction that holds one of them, often the task's own write, is likely to hold the others too. So they are
    /// tried together when the first wait is over.
    async fn left(&mut self, mut goes_on: impl FnMut()) -> Result<()> {
        let mut left = std::mem::take(&mut self.left);
        let Some(first) = left.pop() else { return Ok(()) };
        self.waiting(&first).await?;
        goes_on();
        for chunk in left.chunks(MAX_USES) {
            self.chunk(chunk).await?;
            goes_on();
        }
        for used in std::mem::take(&mut self.left) {
            self.waiting(&used).await?;
            goes_on();
        }
        Ok(())
    }

    /// Writes one use and waits for its row.
    async fn waiting(&mut self, used: &Used) -> Result<()> {
        let part = std::slice::from_ref(used);
        match self.send(part, Locked::WaitFor).await? {
            Sent::Done { written, left } => self.done(part, written, &left),
            Sent::Locked => return Err(locked()),
            Sent::Refused(error) => self.without_texts(part, error).await?,
        }
        Ok(())
    }

    /// Writes only the instant of a use that was refused: what the client said of itself may not suit a constraint of the
    /// application's. A use that is refused all the same is given up.
    async fn without_texts(&mut self, part: &[Used], error: Error) -> Result<()> {
        let mut error = error;
        let bare: Vec<Used> =
            part.iter().map(|(id, known)| (*id, Use { at: known.at, client: None })).collect();
        if part.iter().any(|(_, known)| known.client.is_some()) {
            match self.send(&bare, Locked::Later).await? {
                Sent::Done { written, left } => {
                    self.done(part, written, &left);
                    return Ok(());
                }
                Sent::Locked => {
                    self.left.extend_from_slice(part);
                    return Ok(());
                }
                Sent::Refused(again) => error = again,
            }
        }
        if self.refused == MOST_REFUSED {
            return Err(error);
        }
        self.refused += 1;
        self.recorder.entries.forget(part);
        self.recorder.metrics().recorded(Recorded::Dropped, 1);
        for (id, _) in part {
            tracing::warn!(
                table = %self.recorder.store.table,
                session = %id,
                error = &error as &dyn std::error::Error,
                "the last use of a session is not recorded: the database refuses it",
            );
        }
        Ok(())
    }

    fn done(&mut self, part: &[Used], written: u64, left: &HashSet<Uuid>) {
        self.written += written;
        self.recorder.metrics().recorded(Recorded::Written, written);
        let (left, done): (Vec<&Used>, Vec<&Used>) = part.iter().partition(|(id, _)| left.contains(id));
        self.recorder.entries.forget(done);
        self.left.extend(left.into_iter().cloned());
    }

    async fn send(&self, part: &[Used], locked: Locked) -> Result<Sent> {
        let Recorder { store, .. } = self.recorder;
        let uses: Vec<_> = part.iter().map(|used| self.to_record(used)).collect();
        let backend = store.backend();
        let waits = locked == Locked::WaitFor || !backend.dialect().locks_rows();
        let statement = store.record_uses(&uses, waits);
        store.instruments.metrics.sent_uses(part.len());
        let sent = self.recorder.bounded(async {
            let waits_for = if locked == Locked::WaitFor { Waits::ForLocks } else { Waits::ForNone };
            let mut writing = store.acquire_to_write(waits_for, store.until()).await?;
            let mut connection = writing.connection.connection();
            if waits || !backend.dialect().skips_locked_rows() {
                let written = store.execute(connection, &statement).await?;
                return Ok(Sent::Done { written, left: HashSet::new() });
            }
            // A row that is not written may be locked, gone, or have a later use.
            let failed = |error| store.failed(error);
            let rows =
                connection.execute_returning(&statement.returning_ids(backend)).await.map_err(failed)?;
            let ids = |rows: Vec<Row>| {
                rows.iter()
                    .map(|row| row.uuid(0))
                    .collect::<std::result::Result<HashSet<_>, _>>()
                    .map_err(failed)
            };
            let written = ids(rows)?;
            let others: Vec<_> = part.iter().filter(|(id, _)| !written.contains(id)).collect();
            let left = if others.is_empty() {
                HashSet::new()
            } else {
                let others: Vec<_> = others.into_iter().map(|used| self.to_record(used)).collect();
                let statement = uses_to_record(&store.table, backend, &others);
                ids(store.fetch_all(&mut writing.connection, &statement).await?)?
            };
            Ok(Sent::Done { written: written.len() as u64, left })
        });
        match sent.await {
            Err(error) if is_locked(&error, backend.dialect().is_embedded()) => Ok(Sent::Locked),
            Err(error) if is_refused(&error) => Ok(Sent::Refused(error)),
            sent => sent,
        }
    }

    fn to_record(&self, (id, known): &Used) -> UseToRecord {
        let client = known.client.as_deref();
        let address = client.and_then(|client| client.address).map(|address| address.to_string());
        let user_agent = client.and_then(|client: &Client| client.user_agent.as_deref());
        UseToRecord {
            id: FieldValue::plain(*id),
            at: FieldValue::plain(instant_of(known.at)),
            texts: [
                address.and_then(|address| self.fitting(Role::LastAddress, &address)),
                user_agent.and_then(|text| self.fitting(Role::LastUserAgent, text)),
            ],
        }
    }

    /// Returns as much of a text as the column with this role holds.
    fn fitting(&self, role: Role, text: &str) -> Option<String> {
        let field = self.recorder.store.table.place_for(role)?;
        match self.columns {
            Some(columns) => columns.cut(field, text).map(str::to_owned),
            None => Some(text.to_owned()),
        }
    }
}

/// Returns `true` if a row is locked. SQLite locks the whole file.
fn is_locked(error: &Error, is_embedded: bool) -> bool {
    error.kind() == ErrorKind::LockTimeout && !is_embedded
}

/// Returns `true` if the database may have refused one of the rows.
fn is_refused(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Constraint | ErrorKind::InvalidField | ErrorKind::InvalidData => true,
        ErrorKind::Database => error.is_reported(),
        _ => false,
    }
}

fn locked() -> Error {
    let message = "the row of a session that was used is locked by another transaction";
    Error::new(ErrorKind::LockTimeout, message).with_outcome(Outcome::NotDone)
}

//! Reads rows in the calling thread, past the pool.
//!
//! The driver has a thread for each connection. It hands each statement to that thread and takes each row from it, which
//! costs several times what SQLite needs to find a row by an index. So lookups have connections of their own, on the
//! same file, and the calling thread uses them itself.
//!
//! **When it is safe.** A read in WAL mode waits for no lock. It sees what was committed before it began, as a read by
//! the pool does. So these connections are opened only for a file in WAL mode, in the normal locking mode, by the
//! system's own VFS, with no other database attached; [`survey`] asks a connection of the pool. They never wait, and
//! cannot write.
//!
//! **When it is not used.** The caller asks the pool instead whenever anything is odd: no connection is free, the file
//! was replaced or removed, SQLite answers with any error, or the pages are not at hand, so that reads are slow. A list
//! that takes more than [so many steps](STEPS) or [bytes](MOST_BYTES) is given up, since the calling thread has other tasks.
//!
//! **What it must not hold up.** Between two reads no lock is held, so that checkpoints go on and the log is reset. The
//! connections are closed when the pool is closed, and when they were not used for [a while](IDLE). Until then they are
//! like idle connections of the pool: the last connection to close removes the log (unless another closes at the same
//! moment: then SQLite leaves it to the next one), and SQLite does not leave WAL mode while another connection is open.

use std::collections::HashMap;
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::types::{Null, ToSql, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, Rows};
use sea_query::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Row as _, SqlitePool};
use tokio::runtime::Handle;

use super::dialect::timestamp_text;
use super::row::{SqliteRow, Stored};
use crate::clock;
use crate::database::row::Row;
use crate::database::{FieldValue, Repr, Statement};
use crate::sync::Mutex;

/// How long connections stay open that are not used.
const IDLE: Duration = Duration::from_secs(10);

/// How often a connection looks whether its file is still the one at its path.
const LOOK: Duration = Duration::from_millis(10);

/// If reads take longer than this, they wait for the disk. That is a mean over about [so many](MEAN_OVER) reads, because
/// a single one may have waited for a processor.
const SLOW: Duration = Duration::from_millis(1);

const MEAN_OVER: u32 = 16;

/// For how long reads go to the pool when they are slow, at first and at most. If they are slow afterwards, it doubles.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(5)];

/// After how many steps of SQLite's machine a list is given up. It does so many in about a millisecond, and some hundred
/// for the sessions of one user.
const STEPS: u32 = 20 * STEPS_AT_ONCE;

/// After how many steps SQLite asks whether it is to go on.
const STEPS_AT_ONCE: u32 = 1000;

/// After how many bytes a list is given up, and after what time. Steps say nothing about large values, nor about pages
/// that are not at hand.
const MOST_BYTES: usize = 1 << 20;
const MOST_TIME: Duration = Duration::from_millis(5);

/// For how long the pool is asked for a list that takes too many steps or bytes, or could not be read.
const LEFT: Duration = Duration::from_mins(1);

/// How many such lists are known at most.
const MOST_LEFT: usize = 1000;

/// How long the first connection waits for one of the pool's, to ask about the file.
const SHORT_WAIT: Duration = Duration::from_millis(20);

/// After how long it is tried again to open the file: at first, if the pool had no connection; at first, if the file must
/// not be opened; and at most.
const RETRY_AFTER_SHORTAGE: Duration = Duration::from_millis(200);
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(5)];

/// The connections of one handle. They are opened by the first read.
#[derive(Clone)]
pub(crate) struct DirectReads(Arc<Shared>);

struct Shared {
    pool: SqlitePool,
    /// How many connections there are at most: as many as can be in use at once, since no caller waits while it has one.
    most: usize,
    state: Mutex<State>,
}

enum State {
    /// There are none. It is tried again at an instant, which was put off by a span.
    Closed { again: Instant, retry: Duration },
    /// A caller is opening the first. If it finds that it must not, others try again after twice this span.
    Opening { retry: Duration },
    /// There are some.
    Open(Open),
}

impl State {
    fn new() -> Self {
        Self::Closed { again: Instant::now(), retry: Duration::ZERO }
    }
}

struct Open {
    file: Arc<File>,
    /// Those that no caller is using.
    free: Vec<Reader>,
    /// How many there are, in use or not.
    count: usize,
    /// When one was last used.
    used: Instant,
    speed: Speed,
    /// Lists for which the pool is asked, and until when.
    left_to_the_pool: HashMap<Arc<str>, Instant>,
}

/// How long reads take, and what follows from it.
struct Speed {
    /// The mean of the last reads, of which later ones count for more.
    mean: Duration,
    /// Until when the pool is asked.
    paused_until: Option<Instant>,
    /// For how long it is asked next time.
    pause: Duration,
}

/// The database file, and which of all files that have had its path it is.
#[derive(PartialEq, Eq)]
struct File {
    path: PathBuf,
    identity: (u64, u64),
}

struct Reader {
    connection: Connection,
    file: Arc<File>,
    looked: Instant,
    /// How often SQLite may still ask whether it is to go on.
    remaining: Arc<AtomicU32>,
}

/// A read that goes to the pool.
#[derive(Debug)]
pub(crate) struct AskThePool;

/// Why a read was not done.
enum Refusal {
    /// Another connection has the file locked for the moment, or it takes too long.
    NotNow,
    /// The connections are of no use, or of none for this list.
    Odd,
}

impl DirectReads {
    /// Makes the connections of a pool, none of which is open yet. Returns `None` if they could not tell a file from
    /// another that has taken its path.
    pub(crate) fn new(pool: SqlitePool) -> Option<Self> {
        let most = thread::available_parallelism().map_or(1, |threads| threads.get().min(16));
        cfg!(unix).then(|| Self(Arc::new(Shared { pool, most, state: Mutex::new(State::new()) })))
    }

    /// Runs a statement that reads one row.
    pub(crate) async fn fetch_optional(&self, statement: &Statement) -> Result<Option<Row>, AskThePool> {
        let reader = self.reader(None).await?;
        self.0.read(reader, None, |reader| reader.fetch_optional(statement))
    }

    /// Runs a statement that reads any number of rows, if that takes few steps.
    pub(crate) async fn fetch_all(&self, statement: &Statement) -> Result<Vec<Row>, AskThePool> {
        let reader = self.reader(Some(statement)).await?;
        self.0.read(reader, Some(statement), |reader| reader.fetch_all(statement))
    }

    /// Takes a connection, for a list if one is given.
    async fn reader(&self, list: Option<&Statement>) -> Result<Reader, AskThePool> {
        // A call that is always answered at once would never let another task have its turn.
        tokio::task::coop::consume_budget().await;
        match self.0.take(list) {
            Taken::Reader(reader) => Ok(reader),
            Taken::First => self.open().await.ok_or(AskThePool),
            Taken::None => Err(AskThePool),
        }
    }

    /// Opens the first connection, if all is as it must be.
    async fn open(&self) -> Option<Reader> {
        let opening = Opening(&self.0);
        let runtime = Handle::try_current().ok()?;
        let reader = match survey(&self.0.pool).await {
            Survey::Possible(path) => File::at(path).and_then(|file| Reader::open(Arc::new(file)).ok()),
            Survey::Impossible => None,
            Survey::NotNow => {
                opening.put_off();
                return None;
            }
        };
        let Some(reader) = reader else {
            self.0.close();
            return None;
        };
        opening.succeed(reader.file.clone());
        let last = CloseAtTheEnd { shared: Arc::downgrade(&self.0), file: reader.file.clone() };
        runtime.spawn(last.in_time(self.0.pool.close_event()));
        Some(reader)
    }
}

#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
enum Taken {
    Reader(Reader),
    /// The caller is to open the first connection.
    First,
    None,
}

impl Shared {
    fn take(&self, list: Option<&Statement>) -> Taken {
        if self.pool.is_closed() {
            return Taken::None;
        }
        let file = {
            let mut state = self.state.lock();
            match &mut *state {
                State::Closed { again, retry } if Instant::now() >= *again => {
                    *state = State::Opening { retry: *retry };
                    return Taken::First;
                }
                State::Closed { .. } | State::Opening { .. } => return Taken::None,
                State::Open(open) if open.speed.is_paused() => return Taken::None,
                State::Open(open) if list.is_some_and(|list| open.leaves_to_the_pool(list)) => {
                    return Taken::None;
                }
                State::Open(open) => match open.free.pop() {
                    Some(reader) => return Taken::Reader(reader),
                    None if open.count >= self.most => return Taken::None,
                    None => {
                        open.count += 1;
                        open.file.clone()
                    }
                },
            }
        };
        if let Ok(reader) = Reader::open(file) {
            return Taken::Reader(reader);
        }
        self.close();
        Taken::None
    }

    /// Runs what reads by the connection, and gives the connection back.
    fn read<R>(
        &self,
        mut reader: Reader,
        list: Option<&Statement>,
        read: impl FnOnce(&mut Reader) -> Result<R, Refusal>,
    ) -> Result<R, AskThePool> {
        let begun = Instant::now();
        if begun.duration_since(reader.looked) >= LOOK && !reader.is_of_the_same_file(begun) {
            self.close();
            return Err(AskThePool);
        }
        let answer = read(&mut reader);
        let ended = Instant::now();
        match answer {
            Ok(answer) => {
                self.give_back(reader, ended, ended.duration_since(begun));
                return Ok(answer);
            }
            Err(Refusal::NotNow) => self.give_back(reader, ended, ended.duration_since(begun)),
            Err(Refusal::Odd) => match list {
                Some(list) => {
                    self.leave_to_the_pool(list, ended);
                    self.give_back(reader, ended, Duration::ZERO);
                }
                None => self.close(),
            },
        }
        Err(AskThePool)
    }

    fn leave_to_the_pool(&self, list: &Statement, now: Instant) {
        if let State::Open(open) = &mut *self.state.lock() {
            if open.left_to_the_pool.len() >= MOST_LEFT {
                open.left_to_the_pool.clear();
            }
            open.left_to_the_pool.insert(list.sql.clone(), now + LEFT);
        }
    }

    fn give_back(&self, reader: Reader, now: Instant, took: Duration) {
        let mut state = self.state.lock();
        // If the connections were closed meanwhile, so is this one.
        if let State::Open(open) = &mut *state
            && Arc::ptr_eq(&open.file, &reader.file)
        {
            open.used = now;
            open.speed.note(took, now);
            open.free.push(reader);
        }
    }

    /// Closes those that are open, and those that are in use as soon as they come back.
    fn close(&self) {
        let mut state = self.state.lock();
        let retry = match &*state {
            State::Opening { retry } => (*retry * 2).clamp(RETRIES[0], RETRIES[1]),
            State::Closed { .. } | State::Open(_) => RETRIES[0],
        };
        let closed = mem::replace(&mut *state, State::Closed { again: Instant::now() + retry, retry });
        drop(state);
        drop(closed);
    }

    /// Returns `true` if the connections that were opened to this file are open, and were used lately.
    fn uses(&self, file: &Arc<File>) -> bool {
        matches!(
            &*self.state.lock(),
            State::Open(open) if Arc::ptr_eq(&open.file, file) && open.used.elapsed() < IDLE
        )
    }
}

/// Closes the connections that were opened to one file, unless they were closed before.
struct CloseAtTheEnd {
    shared: Weak<Shared>,
    file: Arc<File>,
}

impl CloseAtTheEnd {
    /// Closes them when the pool is closed, when they were not used for long, or when the runtime ends.
    async fn in_time(self, pool_is_closed: impl Future<Output = ()>) {
        let mut pool_is_closed = pin!(pool_is_closed);
        while tokio::time::timeout(IDLE, &mut pool_is_closed).await.is_err() {
            if !self.shared.upgrade().is_some_and(|shared| shared.uses(&self.file)) {
                return;
            }
        }
    }
}

impl Drop for CloseAtTheEnd {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let mut state = shared.state.lock();
        if matches!(&*state, State::Open(open) if Arc::ptr_eq(&open.file, &self.file)) {
            *state = State::new();
        }
    }
}

impl Open {
    /// Returns `true` if the pool is asked for this list.
    fn leaves_to_the_pool(&self, list: &Statement) -> bool {
        self.left_to_the_pool.get(&list.sql).is_some_and(|until| Instant::now() < *until)
    }
}

impl Speed {
    fn new() -> Self {
        Self { mean: Duration::ZERO, paused_until: None, pause: PAUSES[0] }
    }

    fn is_paused(&self) -> bool {
        self.paused_until.is_some_and(|until| Instant::now() < until)
    }

    fn note(&mut self, took: Duration, now: Instant) {
        self.mean = (self.mean * (MEAN_OVER - 1) + took) / MEAN_OVER;
        if self.mean >= SLOW {
            self.paused_until = Some(now + self.pause);
            self.pause = (self.pause * 2).min(PAUSES[1]);
            // The next reads show whether they are slow still.
            self.mean = SLOW / 2;
        } else {
            self.paused_until = None;
            if self.mean < SLOW / 4 {
                self.pause = PAUSES[0];
            }
        }
    }
}

/// The duty of a caller that opens the first connection. If it goes away, the next one tries.
struct Opening<'s>(&'s Shared);

impl Opening<'_> {
    fn succeed(self, file: Arc<File>) {
        let now = Instant::now();
        let (free, speed, left_to_the_pool) = (Vec::new(), Speed::new(), HashMap::new());
        let open = Open { file, free, count: 1, used: now, speed, left_to_the_pool };
        *self.0.state.lock() = State::Open(open);
    }

    /// Lets no caller try for a while, which is longer each time.
    fn put_off(self) {
        self.close(|retry| (retry * 2).clamp(RETRY_AFTER_SHORTAGE, RETRIES[1]));
    }

    /// Says for how long no caller tries, unless the connections were opened or closed meanwhile.
    fn close(&self, pause: impl FnOnce(Duration) -> Duration) {
        let mut state = self.0.state.lock();
        if let State::Opening { retry } = &*state {
            let pause = pause(*retry);
            *state = State::Closed { again: Instant::now() + pause, retry: Duration::max(*retry, pause) };
        }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.close(|_| Duration::ZERO);
    }
}

/// Whether reads can go past the pool.
enum Survey {
    Possible(PathBuf),
    Impossible,
    /// No connection of the pool could be had in a short time.
    NotNow,
}

async fn survey(pool: &SqlitePool) -> Survey {
    if !is_ordinary(&pool.connect_options()) {
        return Survey::Impossible;
    }
    // Lookups that follow each other keep the pool's only connection for themselves, until it opens another.
    let Ok(Ok(mut connection)) = tokio::time::timeout(SHORT_WAIT, pool.acquire()).await else {
        return Survey::NotNow;
    };
    let mut word = async |sql: &'static str| {
        let row = sqlx::query(sql).persistent(false).fetch_one(&mut *connection).await.ok()?;
        row.try_get_unchecked::<String, _>(0).ok()
    };
    let is_wal = word("PRAGMA journal_mode").await.is_some_and(|mode| mode == "wal");
    if !is_wal || word("PRAGMA locking_mode").await.is_none_or(|mode| mode != "normal") {
        return Survey::Impossible;
    }
    // If another database is attached, that of temporary tables included, there are more lines.
    match word("SELECT group_concat(file, char(10)) FROM pragma_database_list").await {
        Some(path) if !path.is_empty() && !path.contains('\n') => Survey::Possible(path.into()),
        _ => Survey::Impossible,
    }
}

/// Returns `true` if the file is opened as it is by default. Another VFS may lock it in another way, or keep another
/// form of it.
///
/// The driver shows these options only through `Debug`, and in a URL, which it cannot write for every name of a file (sqlx
/// 0.9.0). A test below checks the form.
fn is_ordinary(options: &SqliteConnectOptions) -> bool {
    let options = format!("{options:?}");
    ["in_memory: false", "read_only: false", "shared_cache: false", "immutable: false", "vfs: None"]
        .iter()
        .all(|option| options.contains(option))
}

impl File {
    fn at(path: PathBuf) -> Option<Self> {
        let identity = identity(&path)?;
        Some(Self { path, identity })
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Path) -> Option<(u64, u64)> {
    None
}

impl Reader {
    fn open(file: Arc<File>) -> rusqlite::Result<Self> {
        // A connection that could not write could not remove the log either, if it is the last to close.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file.path, flags)?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "query_only", true)?;
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(rusqlite::Error::InvalidQuery);
        }
        let remaining = Arc::new(AtomicU32::new(u32::MAX));
        let counted = Arc::clone(&remaining);
        let is_to_end = move || counted.fetch_sub(1, Ordering::Relaxed) == 0;
        // Older versions return nothing here.
        #[allow(clippy::let_unit_value, reason = "it is a result in newer versions")]
        let _ = connection.progress_handler(STEPS_AT_ONCE.cast_signed(), Some(is_to_end));
        Ok(Self { connection, file, looked: Instant::now(), remaining })
    }

    /// Returns `false` if another file is at the path by now, or none.
    fn is_of_the_same_file(&mut self, now: Instant) -> bool {
        self.looked = now;
        identity(&self.file.path) == Some(self.file.identity)
    }

    fn fetch_optional(&mut self, statement: &Statement) -> Result<Option<Row>, Refusal> {
        self.remaining.store(u32::MAX, Ordering::Relaxed);
        let mut prepared = self.prepare(statement)?;
        let width = prepared.column_count();
        Ok(next(&mut prepared.raw_query(), width)?.map(row))
    }

    fn fetch_all(&mut self, statement: &Statement) -> Result<Vec<Row>, Refusal> {
        self.remaining.store(STEPS / STEPS_AT_ONCE, Ordering::Relaxed);
        let mut prepared = self.prepare(statement)?;
        let width = prepared.column_count();
        let mut found = prepared.raw_query();
        let (begun, mut bytes, mut rows) = (Instant::now(), 0, Vec::new());
        while let Some(values) = next(&mut found, width)? {
            bytes += values.iter().map(Stored::len).sum::<usize>();
            rows.push(row(values));
            if bytes > MOST_BYTES {
                return Err(Refusal::Odd);
            }
            if begun.elapsed() > MOST_TIME {
                return Err(Refusal::NotNow);
            }
        }
        Ok(rows)
    }

    fn prepare(&self, statement: &Statement) -> Result<CachedStatement<'_>, Refusal> {
        let mut prepared = self.connection.prepare_cached(&statement.sql)?;
        for (place, value) in statement.values.iter().enumerate() {
            bind(&mut prepared, place + 1, value)?;
        }
        Ok(prepared)
    }
}

fn next(rows: &mut Rows<'_>, width: usize) -> Result<Option<Box<[Stored]>>, Refusal> {
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    (0..width).map(|place| Ok(stored(row.get_ref(place)?))).collect::<Result<_, Refusal>>().map(Some)
}

fn row(values: Box<[Stored]>) -> Row {
    Row::Sqlite(SqliteRow::Direct(values))
}

/// Binds a value as the driver does, if it is of a type that built-in columns and most fields have.
fn bind(to: &mut CachedStatement<'_>, place: usize, value: &FieldValue) -> Result<(), Refusal> {
    let Repr::Plain(value) = &value.0 else {
        return Err(Refusal::Odd);
    };
    let mut bind = |value: &dyn ToSql| to.raw_bind_parameter(place, value);
    match value {
        Value::String(Some(text)) => bind(text),
        Value::TimeDateTimeWithTimeZone(Some(instant)) => {
            bind(&timestamp_text(clock::to_stored_precision(*instant)))
        }
        Value::Uuid(Some(id)) => bind(&id.as_bytes().as_slice()),
        Value::BigInt(Some(number)) => bind(number),
        Value::BigUnsigned(Some(number)) => bind(&i64::try_from(*number).map_err(|_| Refusal::Odd)?),
        Value::String(None) | Value::TimeDateTimeWithTimeZone(None) => bind(&Null),
        _ => return Err(Refusal::Odd),
    }?;
    Ok(())
}

fn stored(value: ValueRef<'_>) -> Stored {
    match value {
        ValueRef::Null => Stored::Null,
        ValueRef::Integer(integer) => Stored::Integer(integer),
        ValueRef::Real(float) => Stored::Real(float),
        // As the driver does, which refuses other text when it is decoded.
        ValueRef::Text(text) => match str::from_utf8(text) {
            Ok(text) => Stored::Text(text.to_owned()),
            Err(_) => Stored::Blob(text.to_owned()),
        },
        ValueRef::Blob(bytes) => Stored::Blob(bytes.to_owned()),
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::NotNow,
            _ => Self::Odd,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_from_ordinary_ones() {
        let options = || SqliteConnectOptions::new().filename("sessions.db");
        assert!(is_ordinary(&options()));
        assert!(is_ordinary(&options().filename("a b").create_if_missing(true)));
        let odd = [
            options().in_memory(true),
            options().read_only(true),
            options().shared_cache(true),
            options().immutable(true),
            options().vfs("unix-none"),
            "sqlite::memory:".parse().unwrap(),
        ];
        assert!(!odd.iter().any(is_ordinary));
    }

    #[test]
    fn reads_that_are_slow_pause_for_longer_and_longer() {
        let (mut speed, begun) = (Speed::new(), Instant::now());
        let [fast, late, slow] = [7, 12_000, 3_000].map(Duration::from_micros);
        for read in 0..1000 {
            // One had to wait for a processor.
            speed.note(if read % 100 == 0 { late } else { fast }, begun);
            assert_eq!(speed.paused_until, None);
        }
        let mut pause = PAUSES[0];
        for _ in 0..12 {
            let reads = (1..=2 * MEAN_OVER).find(|_| {
                speed.note(slow, begun);
                speed.paused_until.is_some()
            });
            assert!(reads.is_some_and(|reads| reads <= MEAN_OVER));
            assert_eq!(speed.paused_until, Some(begun + pause));
            pause = (pause * 2).min(PAUSES[1]);
        }
        assert_eq!(pause, PAUSES[1]);
        (0..100).for_each(|_| speed.note(fast, begun));
        assert_eq!((speed.paused_until, speed.pause), (None, PAUSES[0]));
    }
}

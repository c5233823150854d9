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
//! that takes more than [so many steps](reader::STEPS) or [bytes](reader::MOST_BYTES) is given up, since the calling
//! thread has other tasks.
//!
//! **What the application has set.** If the connection that is asked maps the file into memory (`PRAGMA mmap_size`), so do
//! these. They then copy few pages, and seldom use SQLite's page cache, which in the build that comes with the driver has one
//! lock for the whole process.
//!
//! **What it must not hold up.** Between two reads no lock is held, so that checkpoints go on and the log is reset. The
//! connections are closed when the pool is closed, and when they were not used for [a while](IDLE). Until then they are
//! like idle connections of the pool: the last connection to close removes the log (unless another closes at the same
//! moment: then SQLite leaves it to the next one), and SQLite does not leave WAL mode while another connection is open.

mod reader;
mod row;
mod speed;
mod survey;

use std::collections::HashMap;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use sqlx::SqlitePool;
use tokio::runtime::Handle;

use self::reader::{File, Reader, Refusal};
pub(super) use self::row::DirectRow;
use self::speed::Speed;
use self::survey::{Survey, survey};
use crate::database::Statement;
use crate::database::row::Row;
use crate::sync::Mutex;

/// How long connections stay open that are not used.
const IDLE: Duration = Duration::from_secs(10);

/// For how long the pool is asked for a list that takes too many steps or bytes, or could not be read.
const LEFT: Duration = Duration::from_mins(1);

/// How many such lists are known at most.
const MOST_LEFT: usize = 1000;

/// After how long it is tried again to open the file if it must not be opened, at first and at most.
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(5)];

/// After how long it is tried again if the pool had no connection to ask. A caller has waited for one in vain each time.
const SHORTAGE: Duration = Duration::from_secs(1);

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

/// A connection stays where it was made, since it is handed on at each read.
#[expect(clippy::vec_box, reason = "a connection is large")]
struct Open {
    file: Arc<File>,
    /// Those that no caller is using.
    free: Vec<Box<Reader>>,
    /// How many there are, in use or not.
    count: usize,
    /// When one was last used.
    used: Instant,
    speed: Speed,
    /// Lists for which the pool is asked, and until when.
    left_to_the_pool: HashMap<Arc<str>, Instant>,
}

/// A read that goes to the pool.
#[derive(Debug)]
pub(crate) struct AskThePool;

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
    async fn reader(&self, list: Option<&Statement>) -> Result<Box<Reader>, AskThePool> {
        // A call that is always answered at once would never let another task have its turn.
        tokio::task::coop::consume_budget().await;
        match self.0.take(list) {
            Taken::Reader(reader) => Ok(reader),
            // This is rare, and its future is larger than that of the read.
            Taken::First => Box::pin(self.open()).await.ok_or(AskThePool),
            Taken::None => Err(AskThePool),
        }
    }

    /// Opens the first connection, if all is as it must be.
    async fn open(&self) -> Option<Box<Reader>> {
        let opening = Opening(&self.0);
        let runtime = Handle::try_current().ok()?;
        let reader = match survey(&self.0.pool).await {
            Survey::Possible { path, mapped } => {
                File::at(path, mapped).and_then(|file| Reader::open(Arc::new(file)).ok())
            }
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
        Some(Box::new(reader))
    }
}

enum Taken {
    Reader(Box<Reader>),
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
                State::Open(open) => match open.take_free() {
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
            return Taken::Reader(Box::new(reader));
        }
        self.close();
        Taken::None
    }

    /// Runs what reads by the connection, and gives the connection back.
    fn read<R>(
        &self,
        mut reader: Box<Reader>,
        list: Option<&Statement>,
        read: impl FnOnce(&mut Reader) -> Result<R, Refusal>,
    ) -> Result<R, AskThePool> {
        let begun = Instant::now();
        if !reader.is_of_the_same_file(begun) {
            self.close();
            return Err(AskThePool);
        }
        let answer = read(&mut reader);
        let ended = Instant::now();
        // A list takes long because it is long, which says nothing about the disk.
        let took = list.is_none().then(|| ended.duration_since(begun));
        match answer {
            Ok(answer) => {
                self.give_back(reader, ended, took);
                return Ok(answer);
            }
            Err(Refusal::NotNow) => self.give_back(reader, ended, took),
            Err(Refusal::Odd) => match list {
                Some(list) => {
                    self.leave_to_the_pool(list, ended);
                    self.give_back(reader, ended, None);
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

    /// Gives a connection back whose read took this long, if that tells how fast reads are.
    fn give_back(&self, reader: Box<Reader>, now: Instant, took: Option<Duration>) {
        let mut state = self.state.lock();
        // If the connections were closed meanwhile, so is this one.
        if let State::Open(open) = &mut *state
            && Arc::ptr_eq(&open.file, &reader.file)
        {
            open.used = now;
            if let Some(took) = took {
                open.speed.note(took, now);
            }
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
    /// Takes a connection, if one is free: that of this thread's last read if it can be had, since all of it that SQLite looks
    /// at is in the cache of this thread's processor.
    fn take_free(&mut self) -> Option<Box<Reader>> {
        let here = thread::current().id();
        let place = self.free.iter().rposition(|reader| reader.thread == here);
        let mut reader = match place {
            Some(place) => self.free.swap_remove(place),
            None => self.free.pop()?,
        };
        reader.thread = here;
        Some(reader)
    }

    /// Returns `true` if the pool is asked for this list.
    fn leaves_to_the_pool(&self, list: &Statement) -> bool {
        self.left_to_the_pool.get(&list.sql).is_some_and(|until| Instant::now() < *until)
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

    fn put_off(self) {
        self.close(SHORTAGE);
    }

    /// Lets no caller try for this long, unless the connections were opened or closed meanwhile.
    fn close(&self, pause: Duration) {
        let mut state = self.0.state.lock();
        if let State::Opening { retry } = &*state {
            *state = State::Closed { again: Instant::now() + pause, retry: *retry };
        }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_takes_the_connection_that_it_used_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.db");
        let mode = "PRAGMA journal_mode = WAL";
        let first = rusqlite::Connection::open(&path).unwrap();
        first.query_row(mode, [], |row| row.get::<_, String>(0)).unwrap();
        let file = Arc::new(File::at(path, 0).unwrap());
        let reader = || Box::new(Reader::open(file.clone()).unwrap());
        let elsewhere = || thread::scope(|scope| scope.spawn(reader).join().unwrap());
        let mut open = Open {
            file: file.clone(),
            free: vec![elsewhere(), reader(), elsewhere()],
            count: 3,
            used: Instant::now(),
            speed: Speed::new(),
            left_to_the_pool: HashMap::new(),
        };
        let own = open.free[1].thread;
        let taken = open.take_free().unwrap();
        assert_eq!((taken.thread, open.free.len()), (own, 2));
        // Without one it takes any, which is its own from then on.
        let other = open.take_free().unwrap();
        assert_eq!((other.thread, open.free.len()), (own, 1));
        open.free.push(other);
        open.free.swap(0, 1);
        assert_eq!(open.take_free().unwrap().thread, own);
        assert!(open.free.iter().all(|reader| reader.thread != own));
    }
}

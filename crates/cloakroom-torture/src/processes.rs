//! Workers in processes of their own, which are killed: each has a handle, a clock and a journal.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cloakroom_testing::servers;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use crate::clock::SteppingClock;
use crate::journal_file::{JournalFile, Line, Reader};
use crate::pools::{self, Room};
use crate::run::{self, Role};
use crate::settings::{Kind, Settings};
use crate::worker::{Shared, Worker};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How often a process reads what the others tell.
const LISTENING: Duration = Duration::from_millis(20);

/// How long a process may take to end by itself.
const ENDING: Duration = Duration::from_secs(90);

/// What a process that works is told. It stops when its standard input ends.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The database.
    pub kind: Kind,
    /// How to reach it.
    pub url: String,
    /// Where the journals are.
    pub directory: PathBuf,
    /// A number that no other process of this run has.
    pub process: u64,
    /// Whether it has a cache.
    pub is_cached: bool,
    /// By how many seconds its clock is ahead of the right time.
    pub clock: i64,
    /// How many tasks work, and how.
    pub settings: Settings,
}

impl Orders {
    /// Returns the arguments of the process, which the program's command line reads.
    fn arguments(&self) -> Vec<String> {
        let Settings {
            seed,
            workers,
            connections,
            latency,
            dropped,
            faults,
            begins_by_library,
            is_relaxed,
            ..
        } = &self.settings;
        let mut arguments = vec![
            "worker".to_owned(),
            format!("--database={}", self.kind.word()),
            format!("--url={}", self.url),
            format!("--directory={}", self.directory.display()),
            format!("--process={}", self.process),
            format!("--clock={}", self.clock),
            format!("--seed={seed}"),
            format!("--workers={workers}"),
            format!("--connections={connections}"),
            format!("--latency={}", latency.as_micros()),
            format!("--dropped={dropped}"),
        ];
        arguments.extend(begins_by_library.then(|| "--begins-by-library".to_owned()));
        arguments.extend(is_relaxed.then(|| "--relaxed".to_owned()));
        arguments.extend(self.is_cached.then(|| "--cached".to_owned()));
        arguments.extend(faults.iter().map(|fault| format!("--fault={fault}")));
        arguments
    }
}

/// Works as a process of its own, until its standard input ends.
///
/// # Errors
///
/// If it cannot begin.
pub async fn work(orders: Orders) -> Result<()> {
    let clock = SteppingClock::default();
    clock.set(orders.clock);
    let room = Room::enough();
    let Settings { connections, is_relaxed, .. } = orders.settings;
    let database = pools::open(orders.kind, &orders.url, connections, &room, is_relaxed).await?;
    let number = usize::try_from(orders.process)?;
    let handle = run::handle(&database, Role { number, is_cached: orders.is_cached, clock })?;
    let journal = JournalFile::create(&orders.directory, orders.process)?;
    let shared = Arc::new(Shared::of_process(orders.settings.clone(), orders.process, Some(journal)));
    let mut workers = JoinSet::new();
    for number in 0..orders.settings.workers {
        let worker = Worker::new(u64::try_from(number)?, handle.clone(), Arc::clone(&shared));
        workers.spawn(worker.work());
    }
    let mut reader = Reader::new(&orders.directory, Some(orders.process));
    let (mut stdin, mut byte) = (tokio::io::stdin(), [0; 1]);
    loop {
        tokio::select! {
            _ = stdin.read(&mut byte) => break,
            () = tokio::time::sleep(LISTENING) => {}
        }
        reader.each_new(|line| {
            if let Line::Learned(news) = line {
                shared.hear(news);
            }
        })?;
    }
    shared.left.store(0, Ordering::SeqCst);
    while let Some(worked) = workers.join_next().await {
        worked?;
    }
    Ok(())
}

/// The processes of a run, each in its place.
#[derive(Debug)]
pub(crate) struct Processes {
    program: PathBuf,
    orders: Orders,
    /// Of the nodes. Each process works on one of them.
    urls: Vec<String>,
    running: Vec<(Child, u64)>,
    random: fastrand::Rng,
}

impl Processes {
    /// Starts so many processes, every other one with a cache.
    pub(crate) fn start(program: &Path, orders: Orders, urls: Vec<String>, count: usize) -> Result<Self> {
        let random = fastrand::Rng::with_seed(orders.settings.seed);
        let mut processes = Self { program: program.to_owned(), orders, urls, running: Vec::new(), random };
        for place in 0..count {
            let first = u64::try_from(place)? * 10_000 + 1;
            let started = processes.spawn(first)?;
            processes.running.push((started, first));
        }
        Ok(processes)
    }

    /// Kills one of them, and starts another one in its place.
    pub(crate) fn kill_one(&mut self) -> std::result::Result<(), String> {
        let place = self.random.usize(0..self.running.len());
        self.kill(place)?;
        self.replace(place)
    }

    /// Lets all of them stand still.
    pub(crate) fn freeze_all(&self) {
        servers::freeze(&self.ids());
    }

    /// Lets all of them go on.
    pub(crate) fn thaw_all(&self) {
        servers::thaw(&self.ids());
    }

    fn ids(&self) -> Vec<u32> {
        self.running.iter().map(|(child, _)| child.id()).collect()
    }

    /// Kills all of them.
    pub(crate) fn kill_all(&mut self) -> std::result::Result<(), String> {
        (0..self.running.len()).try_for_each(|place| self.kill(place))
    }

    /// Starts others in the places of those that were [killed](Self::kill_all).
    pub(crate) fn start_all(&mut self) -> std::result::Result<(), String> {
        (0..self.running.len()).try_for_each(|place| self.replace(place))
    }

    fn kill(&mut self, place: usize) -> std::result::Result<(), String> {
        let (child, _) = &mut self.running[place];
        child.kill().and_then(|()| child.wait()).map(drop).map_err(|error| error.to_string())
    }

    fn replace(&mut self, place: usize) -> std::result::Result<(), String> {
        let next = self.running[place].1 + 1;
        let started = self.spawn(next).map_err(|error| error.to_string())?;
        self.running[place] = (started, next);
        Ok(())
    }

    fn spawn(&mut self, process: u64) -> Result<Child> {
        let mut orders = self.orders.clone();
        orders.process = process;
        let place = process / 10_000;
        orders.url.clone_from(&self.urls[usize::try_from(place)? % self.urls.len()]);
        orders.is_cached = place % 2 == 1;
        orders.settings.seed = self.random.u64(..);
        orders.clock = if process % 10_000 == 1 { 0 } else { self.random.i64(-20..=20) };
        let command = &mut Command::new(&self.program);
        Ok(command.args(orders.arguments()).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?)
    }

    /// Lets them end by themselves. Returns how many did not.
    pub(crate) fn stop(mut self) -> usize {
        for (child, _) in &mut self.running {
            drop(child.stdin.take());
        }
        let begun = Instant::now();
        let mut left = 0;
        for (mut child, _) in self.running.drain(..) {
            while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < ENDING {
                std::thread::sleep(Duration::from_millis(20));
            }
            if matches!(child.try_wait(), Ok(None)) {
                left += 1;
                let _ = child.kill();
            }
            let _ = child.wait();
        }
        left
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for (child, _) in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

//! The memory of a session in a cache: the growth of a separate process while a hundred thousand sessions come into
//! its cache, divided by their number. It includes the session, its JSON, the cache's own places, and the allocator's
//! rounding.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use cloakroom::{Cache, Config, Sessions};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tower_sessions::SessionStore;
use tower_sessions_moka_store::MokaStore;

use super::cached::{CAPACITY, MAX_STALENESS};
use crate::catalogue::name;
use crate::contestants::tower_sessions::record;
use crate::context::{Context, ROWS};
use crate::database::pools;
use crate::database::sqlite_file::{File, Synchronous};
use crate::dataset::{UserSession, token};
use crate::failure::Outcome;
use crate::results::{Measure, Row, Table};

/// The argument that makes a process measure its own memory. The contestant and the file's path follow it.
pub const ARGUMENT: &str = "measure-own-memory";

const CONTESTANTS: &[&str] = &[name::CACHED, name::CACHED_AND_READ, name::TOWER_CACHED];

pub fn run(context: &mut Context) -> Outcome<Vec<Table>> {
    if resident().is_none() {
        // The memory of a process is only read on Linux.
        return Ok(Vec::new());
    }
    let path = context.sqlite_peers()?.file.path;
    let mut rows = Vec::new();
    for contestant in CONTESTANTS {
        let mut values = Vec::new();
        for round in 0..if context.plan.quick { 1 } else { context.plan.rounds } {
            context.progress.step(&format!("{contestant}, round {}", round + 1));
            let output =
                Command::new(env::current_exe()?).args([ARGUMENT, contestant]).arg(&path).output()?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into());
            }
            values.push(String::from_utf8(output.stdout)?.trim().parse()?);
        }
        rows.push(Row { contestant: (*contestant).to_owned(), values, latency: None });
    }
    Ok(vec![Table {
        name: "memory/cached".to_owned(),
        title: "memory for each cached session".to_owned(),
        measure: Measure::Bytes,
        rows,
        notes: vec![
            "A user, a role, an object of three keys, an expiry; in a cache with room for twice as many. Cloakroom keeps \
             the object as its text until something reads it: in the second row the data of every cached session was \
             read. tower-sessions keeps its records in moka."
                .to_owned(),
        ],
    }])
}

/// Prints the bytes for each cached session.
pub fn measure_own(arguments: &[String]) -> Outcome {
    let [contestant, path] = arguments else {
        return Err("a contestant and a file are needed".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let growth = match contestant.as_str() {
        name::TOWER_CACHED => runtime.block_on(of_records())?,
        contestant => runtime.block_on(of_sessions(path.into(), contestant == name::CACHED_AND_READ))?,
    };
    println!("{}", growth / ROWS);
    Ok(())
}

async fn of_sessions(path: PathBuf, is_read: bool) -> Outcome<u64> {
    let pool = pools::sqlite(File::new(path, Synchronous::Normal)?.options()).await?;
    let cache = Cache::new(CAPACITY).max_staleness(MAX_STALENESS);
    let caching = Config::builder().cache(cache).build()?;
    // Once without the cache, to subtract what is allocated in any case.
    look_up_all(&Sessions::new(pool.clone(), Config::default())?, is_read).await?;
    let before = resident().ok_or("unknown memory")?;
    let sessions = Sessions::new(pool, caching)?;
    look_up_all(&sessions, is_read).await?;
    Ok(resident().ok_or("unknown memory")?.saturating_sub(before))
}

async fn look_up_all(sessions: &Sessions<UserSession>, is_read: bool) -> Outcome {
    let lookups = (0..ROWS).map(|row| sessions.authenticate(token(row)));
    let all = stream::iter(lookups).buffer_unordered(64);
    let found = all.try_fold(0, async |found, session| {
        let is_found = session.is_some_and(|session| !is_read || session.data["remember"] == true);
        Ok(found + u64::from(is_found))
    });
    if found.await? == ROWS { Ok(()) } else { Err("a valid session was refused".into()) }
}

async fn of_records() -> Outcome<u64> {
    for row in 0..ROWS {
        std::hint::black_box(record(row));
    }
    let before = resident().ok_or("unknown memory")?;
    let store = MokaStore::new(Some(CAPACITY as u64));
    for row in 0..ROWS {
        store.save(&record(row)).await?;
    }
    let after = resident().ok_or("unknown memory")?;
    for row in 0..ROWS {
        store.load(&record(row).id).await?.ok_or("moka has let a record go")?;
    }
    Ok(after.saturating_sub(before))
}

/// Returns the bytes of this process that are in memory.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

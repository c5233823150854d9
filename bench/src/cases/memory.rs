//! The memory of a session in the cache: the growth of a separate process while a hundred thousand sessions come into
//! its cache, divided by their number. It includes the session, its JSON, the map's places, and the allocator's
//! rounding.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use cloakroom::{Cache, Config, Sessions};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::catalogue::name;
use crate::context::{Context, ROWS};
use crate::database::pools;
use crate::database::sqlite_file::{File, Synchronous};
use crate::dataset::{UserSession, token};
use crate::failure::Outcome;
use crate::results::{Measure, Row, Table};

/// The argument that makes a process measure its own memory. The file's path follows it.
pub const ARGUMENT: &str = "measure-own-memory";

pub fn run(context: &mut Context) -> Outcome<Vec<Table>> {
    if resident().is_none() {
        // The memory of a process is only read on Linux.
        return Ok(Vec::new());
    }
    let path = context.sqlite_peers()?.file.path;
    let mut values = Vec::new();
    for round in 0..if context.plan.quick { 1 } else { context.plan.rounds } {
        context.progress.step(&format!("round {}", round + 1));
        let output = Command::new(env::current_exe()?).arg(ARGUMENT).arg(&path).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        values.push(String::from_utf8(output.stdout)?.trim().parse()?);
    }
    let contestant = name::CACHED.to_owned();
    Ok(vec![Table {
        name: "memory/cached".to_owned(),
        title: "memory for each cached session".to_owned(),
        measure: Measure::Bytes,
        rows: vec![Row { contestant, values, latency: None }],
        notes: vec![
            "A user, a role, an object of three keys, an expiry; in a cache with room for twice as many."
                .to_owned(),
        ],
    }])
}

/// Prints the bytes for each cached session.
pub fn measure_own(path: &Path) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let per_session = runtime.block_on(async {
        let file = File::new(path.to_owned(), Synchronous::Normal)?;
        let pool = pools::sqlite(file.options()).await?;
        let cache = Cache::new(2 * ROWS as usize).max_staleness(std::time::Duration::from_hours(1));
        let caching = Config::builder().cache(cache).build()?;
        // Once without the cache, to subtract what is allocated in any case.
        look_up_all(&Sessions::new(pool.clone(), Config::default())?).await?;
        let before = resident().ok_or("unknown memory")?;
        let sessions = Sessions::new(pool, caching)?;
        look_up_all(&sessions).await?;
        Outcome::Ok(resident().ok_or("unknown memory")?.saturating_sub(before) / ROWS)
    })?;
    println!("{per_session}");
    Ok(())
}

async fn look_up_all(sessions: &Sessions<UserSession>) -> Outcome {
    let lookups = (0..ROWS).map(|row| sessions.authenticate(token(row)));
    let all = stream::iter(lookups).buffer_unordered(64);
    let found = all.try_fold(0, async |found, session| Ok(found + u64::from(session.is_some()))).await?;
    if found == ROWS { Ok(()) } else { Err("a valid session was refused".into()) }
}

/// Returns the bytes of this process that are in memory.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

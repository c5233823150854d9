//! Authenticate without asking the database: the cache, its lower bound, and tokens that are verified without a store.
//! Every session is in the cache beforehand and stays there. In real use `max_staleness` decides how often a session is
//! read anew.

use std::time::Duration;

use cloakroom::{Cache, Config};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::catalogue::name;
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::in_memory::{Harness, Owned, Shared};
use crate::contestants::jwt::Jwt;
use crate::contestants::{Authenticate, performing};
use crate::context::{Context, ROWS};
use crate::dataset::token;
use crate::failure::Outcome;
use crate::format::{callers, grouped};
use crate::results::Table;

/// Twice as many places as sessions, so that no session pushes out another.
pub const CAPACITY: usize = 2 * ROWS as usize;

/// So long that no session is read anew because of its age: this case measures the cost of a hit.
pub const MAX_STALENESS: Duration = Duration::from_hours(1);

pub fn run(context: &mut Context) -> Outcome<Vec<Table>> {
    let peers = context.postgres_peers()?;
    let tokens = &peers.tokens;
    let cache = Cache::new(CAPACITY).max_staleness(MAX_STALENESS);
    let caching = Config::builder().cache(cache).build()?;
    let cached = context.runtime.block_on(async {
        let cached = Cloakroom::new(peers.cloakroom, caching, tokens)?;
        fill(&cached).await?;
        Outcome::Ok(cached)
    })?;
    context.progress.step("signing tokens");
    let shared = Shared::new(ROWS, tokens);
    let contestants = [
        performing::<Authenticate, _>(name::CACHED, cached),
        performing::<Authenticate, _>(name::SHARED, shared.clone()),
        performing::<Authenticate, _>(name::OWNED, Owned(shared)),
        performing::<Authenticate, _>(name::HS256, Jwt::hs256()?),
        performing::<Authenticate, _>(name::EDDSA, Jwt::eddsa()?),
        performing::<Authenticate, _>(name::HARNESS, Harness(tokens.clone())),
    ];
    let numbers: &[usize] = if context.plan.quick { &[1, 128] } else { &[1, 16, 128, 1024] };
    let compare = |number: &usize| {
        let title = format!("authenticate without the database, {}", callers(*number));
        let mut table = context.compare_untimed(format!("cached/{number}"), title, &contestants, *number)?;
        table.notes.push(note());
        Ok(table)
    };
    numbers.iter().map(compare).collect()
}

fn note() -> String {
    format!(
        "The cache has {} places for {} sessions, and a `max_staleness` of an hour. All sessions were looked up twice \
         beforehand. The harness picks a row, reads its token and counts: that is in every row. Cloakroom is judged \
         against the hash and the map with it taken off both.",
        grouped(CAPACITY as f64),
        grouped(ROWS as f64)
    )
}

/// Twice, because answers from before the listener hears from the server are not kept.
pub(super) async fn fill(cached: &Cloakroom) -> Outcome {
    for _ in 0..2 {
        let lookups = (0..ROWS).map(|row| cached.sessions.authenticate(token(row)));
        stream::iter(lookups).buffer_unordered(256).try_for_each(async |_| Ok(())).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

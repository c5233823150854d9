//! End sessions one by one, by many callers at once, while other nodes listen for what is revoked. PostgreSQL lets only one
//! commit that notifies go at a time, in the whole cluster, and wakes every listener for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloakroom::{Cache, Config, Session, Sessions};
use futures_util::future::try_join_all;
use sqlx::PgPool;
use tokio::runtime::Runtime;

use super::revocation::wait_until_cached;
use crate::catalogue::name;
use crate::contestants::cloakroom::one_by_one;
use crate::contestants::{Expire, Performs, performing};
use crate::context::Context;
use crate::database::pools;
use crate::dataset::UserSession;
use crate::failure::Outcome;
use crate::load::{self, LIFETIME};
use crate::results::Table;

const CALLERS: usize = 128;

/// How many nodes listen. The names of the tables have the same numbers.
const LISTENERS: [usize; 3] = [0, 10, 50];

/// More than can be ended in all rounds together.
fn rows(context: &Context) -> u64 {
    if context.plan.quick { 80_000 } else { 400_000 }
}

/// Gives out each session once, to whichever contestant asks.
#[derive(Clone)]
struct Expiring {
    sessions: Sessions<UserSession>,
    valid: Arc<[Session<UserSession>]>,
    next: Arc<AtomicUsize>,
}

impl Performs<Expire> for Expiring {
    async fn perform(&self, _random: u64) -> Outcome {
        let next = self.valid.get(self.next.fetch_add(1, Ordering::Relaxed));
        let mut session = next.ok_or("there are too few sessions to end")?.clone();
        if self.sessions.expire(&mut session).await? {
            Ok(())
        } else {
            Err("a session had ended before".into())
        }
    }
}

pub fn postgres(context: &mut Context) -> Outcome<Vec<Table>> {
    LISTENERS.into_iter().map(|listeners| beside(context, listeners)).collect()
}

fn beside(context: &mut Context, listeners: usize) -> Outcome<Table> {
    let url = context.postgres(&format!("expire_{listeners}"))?;
    let rows = rows(context);
    context.progress.step("loading the sessions to end");
    let own = context.runtime.block_on(async {
        let own = pools::postgres(&url).await?;
        load::postgres::cloakroom(&own, rows, LIFETIME).await?;
        Outcome::Ok(own)
    })?;
    context.progress.step(&format!("{listeners} nodes begin to listen"));
    let listening = Listening::begin(&url, &own, listeners)?;
    let (own, alone, valid) = context.runtime.block_on(async {
        let own = Sessions::<UserSession>::new(own, Config::default())?;
        let valid = own.query().fetch_all().await?;
        Outcome::Ok((own, Sessions::new(pools::postgres(&url).await?, one_by_one()?)?, valid))
    })?;
    let (valid, next): (Arc<[_]>, _) = (valid.into(), Arc::default());
    let expiring = |sessions| Expiring { sessions, valid: Arc::clone(&valid), next: Arc::clone(&next) };
    let contestants = [
        performing::<Expire, _>(name::CLOAKROOM, expiring(own)),
        performing::<Expire, _>(name::ONE_BY_ONE, expiring(alone)),
    ];
    let title = format!("expire, announced, PostgreSQL, {CALLERS} callers, {listeners} other nodes listen");
    let table = context.compare(format!("expire-postgres/{listeners}"), title, &contestants, CALLERS);
    drop(listening);
    table
}

/// Other nodes, each with a cache, on a thread of their own.
struct Listening {
    runtime: Runtime,
    nodes: Vec<Sessions<UserSession>>,
}

impl Listening {
    /// Returns once each node hears what is revoked.
    fn begin(url: &str, pool: &PgPool, nodes: usize) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let nodes = runtime.block_on(async {
            let begin = (0..nodes as u64).map(async |node| {
                let config = Config::builder().cache(Cache::new(1000)).build()?;
                let sessions = Sessions::new(pools::postgres_of(url, 2).await?, config)?;
                // Each by a row of its own: what another one writes would be taken for its own.
                wait_until_cached(&sessions, pool, node).await?;
                Outcome::Ok(sessions)
            });
            try_join_all(begin).await
        })?;
        Ok(Self { runtime, nodes })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.runtime.block_on(async {
            for node in &self.nodes {
                // What it cannot write any more is of no interest.
                let _ = node.close().await;
            }
        });
    }
}

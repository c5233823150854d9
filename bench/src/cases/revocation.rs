//! How long after one node has revoked a session does another node, which has the session in its cache, still accept
//! it? The time counts from the return of the revoking call, a moment after the commit. It ends with the answer of the
//! first call that is refused. If the other node does not hear of the revocation, it ends with the beginning of the
//! last call that is accepted. Calls are made without pause. The nodes are two handles with pools of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use cloakroom::{Cache, Config, Sessions};
use futures_util::future::try_join_all;
use sqlx::PgPool;

use crate::catalogue::name;
use crate::catalogue::row::revocation::{
    BOUND, BUSY_MOST, BUSY_P50, BUSY_P99, CUT, HEARD, LEASE_MOST, LEASE_P50, QUIET_MOST, QUIET_P50,
    QUIET_P99, STALENESS_MOST, STALENESS_P50,
};
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::{Authenticate, performing};
use crate::context::{Context, ROWS};
use crate::database::{CONNECTIONS, pools};
use crate::dataset::{Tokens, UserSession, token};
use crate::failure::Outcome;
use crate::measure::Load;
use crate::network::proxy::{Proxy, Spared};
use crate::results::{Measure, Row, Table};
use crate::statistics::{histogram, microseconds as at};

const MAX_STALENESS: Duration = Duration::from_secs(2);

type Node = Sessions<UserSession>;

/// The first sessions are looked up and never revoked.
const LOOKED_UP: u64 = 1000;

/// Gives out the sessions to revoke, each once.
struct Rows(u64);

impl Rows {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        assert!(self.0 < ROWS, "there are enough rows for all trials");
        self.0
    }
}

pub fn run(context: &mut Context) -> Outcome<Vec<Table>> {
    let url = context.postgres("delay")?;
    let pool = context.runtime.block_on(pools::postgres(&url))?;
    context.progress.step("loading 100,000 rows");
    context.runtime.block_on(crate::load::postgres::cloakroom(&pool, ROWS, crate::load::LIFETIME))?;
    let mut rows = Rows(LOOKED_UP);
    Ok(vec![heard(context, &url, &pool, &mut rows)?, cut_off(context, &url, &pool, &mut rows)?])
}

fn heard(context: &Context, url: &str, pool: &PgPool, rows: &mut Rows) -> Outcome<Table> {
    let trials = if context.plan.quick { 200 } else { 1000 };
    let runtime = &context.runtime;
    let (here, there) = runtime.block_on(async {
        let there = Node::new(pools::postgres(url).await?, caching(Cache::new(100_000))?)?;
        wait_until_cached(&there, pool, rows.next()).await?;
        Outcome::Ok((Node::new(pool.clone(), Config::default())?, there))
    })?;
    context.progress.step("revoking, the other node quiet");
    let quiet = histogram(&runtime.block_on(revoke_each(&here, &there, rows, trials))?);
    context.progress.step("revoking, the other node busy");
    let lookups = Cloakroom::with(there.clone(), &Tokens::of(LOOKED_UP));
    let load =
        Load { callers: 16, warm_up: context.plan.warm_up, span: Duration::ZERO, round: 0, latencies: false };
    let mut busy = Ok(Vec::new());
    performing::<Authenticate, _>(name::CACHED, lookups).sample_during(runtime, &load, &mut || {
        busy = runtime.block_on(revoke_each(&here, &there, rows, trials));
    })?;
    let busy = histogram(&busy?);
    Ok(table(
        HEARD,
        "from a revocation to the refusal on another node, PostgreSQL",
        vec![
            row(QUIET_P50, at(&quiet, 50.0)),
            row(QUIET_P99, at(&quiet, 99.0)),
            row(QUIET_MOST, at(&quiet, 100.0)),
            row(BUSY_P50, at(&busy, 50.0)),
            row(BUSY_P99, at(&busy, 99.0)),
            row(BUSY_MOST, at(&busy, 100.0)),
        ],
        format!("{trials} revocations each. The busy node answers 16 callers without pause."),
    ))
}

/// Revokes one session after another. Returns how long the other node took to refuse each, in microseconds.
async fn revoke_each(here: &Node, there: &Node, rows: &mut Rows, trials: usize) -> Outcome<Vec<u32>> {
    let mut delays = Vec::with_capacity(trials);
    for _ in 0..trials {
        let token = token(rows.next());
        accepted(there, &token).await?;
        delays.push(revoke(here, there, &token).await?.refused);
    }
    Ok(delays)
}

/// The calls of another node after a revocation, in microseconds.
struct Delay {
    /// When the last accepted call began.
    accepted: u32,
    /// When the first refused call had its answer.
    refused: u32,
}

async fn revoke(here: &Node, there: &Node, token: &str) -> Outcome<Delay> {
    let mut session = here.authenticate(token).await?.ok_or("the session is not there to revoke")?;
    here.expire(&mut session).await?;
    let revoked = Instant::now();
    let since = || u32::try_from(revoked.elapsed().as_micros()).unwrap_or(u32::MAX);
    let mut accepted = 0;
    loop {
        let asked = since();
        if there.authenticate(token).await?.is_none() {
            return Ok(Delay { accepted, refused: since() });
        }
        accepted = asked;
        tokio::task::yield_now().await;
    }
}

async fn accepted(node: &Node, token: &str) -> Outcome {
    match node.authenticate(token).await? {
        Some(_) => Ok(()),
        None => Err("a valid session was refused".into()),
    }
}

fn cut_off(context: &Context, url: &str, pool: &PgPool, rows: &mut Rows) -> Outcome<Table> {
    let cuts = if context.plan.quick { 1 } else { 10 };
    let here = Node::new(pool.clone(), Config::default())?;
    let cache = Cache::new(100_000).max_staleness(MAX_STALENESS);
    // Longer than any entry is kept, so that it does not limit anything.
    let no_lease = cache.lease(MAX_STALENESS * 10);
    let mut delays = [Vec::new(), Vec::new()];
    for cut in 0..cuts {
        for (cache, delays) in [cache, no_lease].into_iter().zip(&mut delays) {
            context.progress.step(&format!("cutting the listener off, {} of {cuts}", cut + 1));
            delays.extend(context.runtime.block_on(cut_once(&here, url, pool, cache, rows))?);
        }
    }
    let [lease, staleness] = delays.map(|delays| histogram(&delays));
    Ok(table(
        CUT,
        "from a revocation to the last call that is accepted on another node whose listener has been cut off, PostgreSQL",
        vec![
            row(LEASE_P50, at(&lease, 50.0)),
            row(LEASE_MOST, at(&lease, 100.0)),
            row(STALENESS_P50, at(&staleness, 50.0)),
            row(STALENESS_MOST, at(&staleness, 100.0)),
            row(BOUND, Some(MAX_STALENESS.as_secs_f64() * 1e3)),
        ],
        format!(
            "{cuts} cuts each, {AT_A_CUT} sessions revoked after each. The listener's connection, and every further \
             one, falls silent without being closed; the pool's connections still work."
        ),
    ))
}

/// How many sessions are revoked after a cut.
const AT_A_CUT: usize = 20;

async fn cut_once(here: &Node, url: &str, pool: &PgPool, cache: Cache, rows: &mut Rows) -> Outcome<Vec<u32>> {
    let (before, port_and_database) = url.rsplit_once(':').ok_or("the server's URL names no port")?;
    let (port, database) = port_and_database.split_once('/').ok_or("the server's URL names no database")?;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let proxy = Proxy::start(server, Spared(CONNECTIONS as usize)).await?;
    let there = pools::postgres(&format!("{before}:{}/{database}", proxy.address.port())).await?;
    // All of the pool's connections are open before the listener's.
    while there.size() < CONNECTIONS {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let there = Node::new(there, caching(cache)?)?;
    wait_until_cached(&there, pool, rows.next()).await?;
    let tokens: Vec<String> = (0..AT_A_CUT).map(|_| token(rows.next())).collect();
    for token in &tokens {
        accepted(&there, token).await?;
    }
    proxy.cut();
    let delays = try_join_all(tokens.iter().map(|token| revoke(here, &there, token))).await?;
    Ok(delays.into_iter().map(|delay| delay.accepted).collect())
}

fn caching(cache: Cache) -> Outcome<Config> {
    Ok(Config::builder().cache(cache).build()?)
}

/// A change by SQL, past the library, is visible at once unless the cache answers.
pub async fn wait_until_cached(node: &Node, pool: &PgPool, row: u64) -> Outcome {
    let token = token(row);
    let digest = crate::dataset::digest(token.as_bytes());
    for attempt in 0..1000 {
        accepted(node, &token).await?;
        let role = format!("attempt {attempt}");
        sqlx::query("UPDATE sessions SET role = $1 WHERE auth_token_digest = $2")
            .bind(&role)
            .bind(&digest)
            .execute(pool)
            .await?;
        let session = node.authenticate(&token).await?.ok_or("a valid session was refused")?;
        if session.fields.role != role {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the cache did not begin to answer".into())
}

fn row(contestant: &str, value: Option<f64>) -> Row {
    Row { contestant: contestant.to_owned(), values: value.into_iter().collect(), latency: None }
}

fn table(name: &str, title: &str, rows: Vec<Row>, note: String) -> Table {
    let (name, title) = (name.to_owned(), title.to_owned());
    Table { name, title, measure: Measure::Milliseconds, rows, notes: vec![note] }
}

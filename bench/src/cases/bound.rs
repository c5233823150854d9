//! Sessions that are bound to a device, each with a key of its own: what a renewal costs, and what other requests notice of
//! renewals. The clients speak the protocol over loopback, as a browser does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom::{Config, Sessions, Token};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::task::JoinSet;

use crate::catalogue::row::bound::{
    BESIDE, CORE, KEY, NO_COLUMN, NO_KEY, QUIET, RENEWALS, RENEWING, REQUESTS, REQUESTS_UNBOUND, UNBOUND,
};
use crate::contestants::bound::{self, BoundSession, Known, OfUser};
use crate::contestants::{Authenticate, performing, pick};
use crate::context::Context;
use crate::database::pools;
use crate::dataset::UserSession;
use crate::failure::Outcome;
use crate::format::{callers, grouped, significant};
use crate::load;
use crate::measure::{self, Contestant, Load};
use crate::network::browser::Browser;
use crate::network::connections::Connections;
use crate::network::one_core::OneCore;
use crate::results::{Latency, Measure, Row, Table};
use crate::statistics::{histogram, median, microseconds};

/// How many sessions there are of each sort.
fn sessions(context: &Context) -> u64 {
    if context.plan.quick { 1_000 } else { 5_000 }
}

const CALLERS: usize = 16;

/// How many renewals a second there are beside other requests. In use, 5,000 browsers renew 8.3 times a second if all of
/// them are open all the time.
const RENEWALS_A_SECOND: u32 = 200;

/// How long a token is good for, as by default.
const TOKEN_TTL: Duration = Duration::from_mins(10);

/// How many browsers log in at the same time.
const AT_ONCE: usize = 64;

pub fn run(context: &mut Context) -> Outcome<Vec<Table>> {
    if !OneCore::can_be_timed() {
        // A thread's time on a core is only read on Linux.
        return Ok(Vec::new());
    }
    let url = context.postgres("bound")?;
    let scene = Scene::set(context, &url)?;
    // First, while the rows lie as they were inserted.
    let mut tables = keys(context, &scene, &url)?;
    tables.extend([of_one_core(context, &scene)?, beside(context, &scene)?]);
    Ok(tables)
}

/// Both applications, and the browsers of each.
struct Scene {
    sessions: u64,
    bound: OneCore,
    unbound: OneCore,
    bound_browsers: Arc<[Browser]>,
    unbound_browsers: Arc<[Browser]>,
}

impl Scene {
    fn set(context: &Context, url: &str) -> Outcome<Self> {
        let own = url.to_owned();
        let bound = OneCore::start(async move || Ok(bound::bound(open::<BoundSession>(&own).await?)))?;
        let own = url.to_owned();
        let unbound = OneCore::start(async move || Ok(bound::unbound(open::<UserSession>(&own).await?)))?;
        let sessions = sessions(context);
        context.progress.step(&format!("{} browsers log in", grouped(2.0 * sessions as f64)));
        context.runtime.block_on(async {
            let unbound_browsers = log_in(&unbound, sessions, false).await?;
            let bound_browsers = log_in(&bound, sessions, true).await?;
            let pool = pools::postgres(url).await?;
            for table in ["sessions", "bound_sessions", "bound_sessions_retired_tokens"] {
                load::postgres::settle(&pool, table).await?;
            }
            Ok(Self { sessions, bound, unbound, bound_browsers, unbound_browsers })
        })
    }
}

async fn open<T: OfUser>(url: &str) -> Outcome<Sessions<T>> {
    let sessions = Sessions::new(pools::postgres(url).await?, Config::default())?;
    sessions.migrate().await?;
    Ok(sessions)
}

async fn log_in(application: &OneCore, sessions: u64, binds: bool) -> Outcome<Arc<[Browser]>> {
    let connections = Connections::new(application.address);
    let browsers = (0..sessions).map(|row| {
        let browser = Browser::new(&connections);
        async move {
            browser.log_in(&row.to_string()).await?;
            if binds {
                browser.register().await?;
            }
            Outcome::Ok(browser)
        }
    });
    let browsers: Vec<_> = stream::iter(browsers).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(browsers.into())
}

fn visits(name: &str, browsers: &Arc<[Browser]>) -> Contestant {
    let browsers = Arc::clone(browsers);
    Contestant::new(name, move |random| {
        let browsers = Arc::clone(&browsers);
        async move { pick(&browsers, random).visit().await }
    })
}

fn renewals(name: &str, browsers: &Arc<[Browser]>) -> Contestant {
    let browsers = Arc::clone(browsers);
    Contestant::new(name, move |random| {
        let browsers = Arc::clone(&browsers);
        async move { pick(&browsers, random).renew().await }
    })
}

/// Divides the calls by the time of the application's thread on a core, whatever else runs on the machine.
fn of_one_core(context: &Context, scene: &Scene) -> Outcome<Table> {
    let contestants = [
        renewals(RENEWALS, &scene.bound_browsers),
        visits(REQUESTS, &scene.bound_browsers),
        visits(REQUESTS_UNBOUND, &scene.unbound_browsers),
    ];
    let span = if context.plan.quick { Duration::from_millis(150) } else { Duration::from_secs(1) };
    let warm_up = context.plan.warm_up;
    let mut rows = contestants.each_ref().map(|contestant| Row {
        contestant: contestant.name.clone(),
        values: Vec::new(),
        latency: None,
    });
    let mut by_the_clock = contestants.each_ref().map(|_| Vec::new());
    let rounds = context.plan.rounds;
    measure::rounds(&contestants, rounds, |round, contestant| {
        context.progress.step(&format!("{CORE}: {}, round {} of {rounds}", contestant.name, round + 1));
        let application = if contestant.name == REQUESTS_UNBOUND { &scene.unbound } else { &scene.bound };
        let load = Load { callers: CALLERS, warm_up, span, round, latencies: false };
        let mut time = Ok(Duration::ZERO);
        let sample = contestant.sample_during(&context.runtime, &load, &mut || {
            let before = application.time();
            std::thread::sleep(span);
            time = application.time().and_then(|after| Ok(after.saturating_sub(before?)));
        })?;
        let at = contestants.iter().position(|one| one.name == contestant.name).unwrap_or_default();
        rows[at].values.push(sample.calls as f64 / time?.as_secs_f64());
        by_the_clock[at].push(sample.per_second());
        Ok(sample)
    })?;
    let by_the_clock = contestants.iter().zip(&by_the_clock).map(|(contestant, rates)| {
        let rate = median(rates).map_or("–".to_owned(), grouped);
        format!("{} {rate} a second", contestant.name)
    });
    let notes = vec![
        "The application has one thread. Its calls are divided by the time for which that thread was on a core, as the \
         system tells it. It does not contain the client's work, which signs, nor PostgreSQL's."
            .to_owned(),
        format!(
            "By the clock, with the client and PostgreSQL on the same cores: {}.",
            by_the_clock.collect::<Vec<_>>().join("; ")
        ),
    ];
    let title = format!(
        "renewals and requests by one core of the application, {} sessions, PostgreSQL, strict, {}",
        grouped(scene.sessions as f64),
        callers(CALLERS)
    );
    Ok(Table { name: CORE.to_owned(), title, measure: Measure::PerSecond, rows: rows.into(), notes })
}

/// The same requests by sessions that are not bound, by those that are, and by those while they renew.
fn beside(context: &Context, scene: &Scene) -> Outcome<Table> {
    let contestants = [
        visits(UNBOUND, &scene.unbound_browsers),
        visits(QUIET, &scene.bound_browsers),
        visits(RENEWING, &scene.bound_browsers),
    ];
    let span = if context.plan.quick { Duration::from_millis(250) } else { Duration::from_secs(2) };
    let (warm_up, rounds) = (context.plan.warm_up, context.plan.rounds);
    let mut next = 0;
    let mut renewed = Vec::new();
    let samples = measure::rounds(&contestants, rounds, |round, contestant| {
        context.progress.step(&format!("{BESIDE}: {}, round {} of {rounds}", contestant.name, round + 1));
        let load = Load { callers: CALLERS, warm_up, span, round, latencies: true };
        if contestant.name != RENEWING {
            return contestant.sample(&context.runtime, &load);
        }
        let mut rate = Ok(0.0);
        let sample = contestant.sample_during(&context.runtime, &load, &mut || {
            rate = context.runtime.block_on(keep_renewing(&scene.bound_browsers, &mut next, span));
        })?;
        renewed.push(rate?);
        Ok(sample)
    })?;
    let rows = contestants.iter().zip(&samples).map(|(contestant, samples)| {
        let p99 = |latencies: &[u32]| microseconds(&histogram(latencies), 99.0);
        let values = samples.iter().filter_map(|sample| p99(&sample.latencies)).collect();
        let all: Vec<u32> = samples.iter().flat_map(|sample| sample.latencies.iter().copied()).collect();
        Row { contestant: contestant.name.clone(), values, latency: Latency::of(&histogram(&all)) }
    });
    let in_use = scene.sessions as f64 / TOKEN_TTL.as_secs_f64();
    let rate = median(&renewed).ok_or("there were no rounds")?;
    let notes = vec![
        "The first column is the median of the p99s of the rounds; p50 and p99 are over all rounds."
            .to_owned(),
        format!(
            "{} renewals a second beside the requests, {} times as many as these sessions need: {} a second, if all of \
             their browsers are open all the time.",
            significant(rate),
            grouped(rate / in_use),
            significant(in_use)
        ),
    ];
    let title = format!(
        "p99 of requests while their sessions renew, {} sessions, PostgreSQL, strict, {}",
        grouped(scene.sessions as f64),
        callers(CALLERS)
    );
    let measure = Measure::Microseconds;
    Ok(Table { name: BESIDE.to_owned(), title, measure, rows: rows.collect(), notes })
}

/// Renews one session after another for this long, without waiting for one before the next. Returns how many were renewed
/// in a second.
async fn keep_renewing(browsers: &Arc<[Browser]>, next: &mut u64, span: Duration) -> Outcome<f64> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RENEWALS_A_SECOND);
    let (start, mut renewals, mut count) = (Instant::now(), JoinSet::new(), 0);
    while start.elapsed() < span {
        ticks.tick().await;
        let (browsers, which) = (Arc::clone(browsers), *next);
        renewals.spawn(async move { pick(&browsers, which).renew().await });
        *next += 1;
        count += 1;
    }
    while let Some(renewed) = renewals.join_next().await {
        renewed??;
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

/// Lookups in a table whose rows have keys, in one that has none, and in one without the column.
fn keys(context: &Context, scene: &Scene, url: &str) -> Outcome<Vec<Table>> {
    let contestants = context.runtime.block_on(async {
        let (plain, bound) = (open::<UserSession>(url).await?, open::<BoundSession>(url).await?);
        let new = (0..scene.sessions).map(|row| bound.create(BoundSession::new(row)));
        let created: Vec<_> = stream::iter(new).buffer_unordered(AT_ONCE).try_collect().await?;
        let keyless = created.into_iter().map(|created| created.token).collect();
        // The rows with keys were written more than once. That is not what is to be compared.
        let pool = pools::postgres(url).await?;
        sqlx::query("VACUUM FULL bound_sessions").execute(&pool).await?;
        load::postgres::settle(&pool, "bound_sessions").await?;
        let without = Known { sessions: plain, tokens: tokens(&scene.unbound_browsers)? };
        let with = Known { sessions: bound.clone(), tokens: tokens(&scene.bound_browsers)? };
        Outcome::Ok([
            performing::<Authenticate, _>(NO_COLUMN, without),
            performing::<Authenticate, _>(NO_KEY, Known { sessions: bound, tokens: keyless }),
            performing::<Authenticate, _>(KEY, with),
        ])
    })?;
    let compare = |number: usize| {
        let title = format!(
            "authenticate with keys in the rows and without, PostgreSQL, strict, {}",
            callers(number)
        );
        context.compare(format!("bound-authenticate/{number}"), title, &contestants, number)
    };
    [1, 128].into_iter().map(compare).collect()
}

fn tokens(browsers: &[Browser]) -> Outcome<Arc<[Token]>> {
    let token = |browser: &Browser| Ok(Token::import(browser.token().ok_or("a browser has no token")?)?);
    browsers.iter().map(token).collect()
}

//! Delete hundreds of thousands of expired rows while lookups go on. How long do the slowest lookups take? The
//! reference was measured before; a measurement afterwards shows that nothing else has changed meanwhile.

use std::time::Duration;

use cloakroom::Config;

use crate::catalogue::name;
use crate::catalogue::row::prune::{AGAIN, ALONE, DURING};
use crate::contestants::cloakroom::Cloakroom;
use crate::contestants::{Authenticate, performing};
use crate::context::{Context, ROWS};
use crate::database::pools;
use crate::database::sqlite_file::{File, Synchronous};
use crate::dataset::Tokens;
use crate::failure::Outcome;
use crate::format::{grouped, significant};
use crate::load::{self, EXPIRED, LIFETIME};
use crate::measure::Load;
use crate::measure::windows::windows;
use crate::results::{Latency, Measure, Row, Table};
use crate::statistics::{corrected, histogram, microseconds, percentile};

/// Callers that look up without pause during the prune.
const CALLERS: usize = 16;

fn expired(context: &Context) -> u64 {
    if context.plan.quick { 30_000 } else { 1_000_000 }
}

pub fn postgres(context: &mut Context) -> Outcome<Vec<Table>> {
    let url = context.postgres("pruning")?;
    let expired = expired(context);
    context.progress.step(&format!("loading {} expired rows", grouped(expired as f64)));
    let own = context.runtime.block_on(async {
        let pool = pools::postgres(&url).await?;
        load::postgres::cloakroom(&pool, ROWS, LIFETIME).await?;
        load::postgres::append(&pool, ROWS..ROWS + expired, EXPIRED).await?;
        load::postgres::settle(&pool, "sessions").await?;
        Cloakroom::new(pool, Config::default(), &Tokens::of(ROWS))
    })?;
    measure(context, "prune-postgres", "PostgreSQL", &own, expired)
}

pub fn sqlite(context: &mut Context) -> Outcome<Vec<Table>> {
    let file = File::new(context.file("pruning.db")?, Synchronous::Normal)?;
    let expired = expired(context);
    context.progress.step(&format!("loading {} expired rows", grouped(expired as f64)));
    let own = context.runtime.block_on(async {
        let pool = pools::sqlite(file.options()).await?;
        load::sqlite::cloakroom(&pool, &file.path, ROWS, LIFETIME).await?;
        load::sqlite::expired(&file.path, ROWS..ROWS + expired)?;
        Cloakroom::new(pool, Config::default(), &Tokens::of(ROWS))
    })?;
    measure(context, "prune-sqlite", "SQLite", &own, expired)
}

fn measure(
    context: &Context,
    case: &str,
    database: &str,
    own: &Cloakroom,
    expired: u64,
) -> Outcome<Vec<Table>> {
    let (span, window) = if context.plan.quick { (1000, 250) } else { (5000, 1000) };
    let (span, window) = (Duration::from_millis(span), Duration::from_millis(window));
    let lookups = performing::<Authenticate, _>(name::CLOAKROOM, own.clone());
    let load = |round| Load { callers: CALLERS, warm_up: span / 5, span, round, latencies: true };
    context.progress.step(ALONE);
    let alone = lookups.sample(&context.runtime, &load(0))?;
    context.progress.step(DURING);
    let mut pruned = Ok(0);
    let during = lookups.sample_during(&context.runtime, &load(1), &mut || {
        pruned = context.runtime.block_on(own.sessions.delete_expired());
    })?;
    let pruned = pruned?;
    context.progress.step(AGAIN);
    let again = lookups.sample(&context.runtime, &load(2))?;
    if pruned != expired {
        return Err(format!("{pruned} rows were pruned, not {expired}").into());
    }
    let interval = percentile(&histogram(&alone.latencies), 50.0).ok_or("no lookup came back")?;
    let (mut rows, mut longest) = (Vec::new(), Vec::new());
    for (name, sample) in [(ALONE, &alone), (DURING, &during), (AGAIN, &again)] {
        let all = corrected(&sample.latencies, interval);
        let of_window = |window: &Vec<u32>| microseconds(&corrected(window, interval), 99.0);
        let values = windows(sample, window).iter().filter_map(of_window).collect();
        rows.push(Row { contestant: name.to_owned(), values, latency: Latency::of(&all) });
        let at = |percent| microseconds(&all, percent).map(significant);
        if let (Some(p999), Some(most)) = (at(99.9), at(100.0)) {
            longest.push(format!("{name}: p99.9 {p999} µs, longest {most} µs"));
        }
    }
    let seconds = during.elapsed.as_secs_f64();
    let notes = vec![
        format!(
            "{} expired rows were pruned in {seconds:.1} s: {} a second.",
            grouped(pruned as f64),
            grouped(pruned as f64 / seconds)
        ),
        format!("{}.", longest.join("; ")),
        format!(
            "The first column is the median of the p99s of windows of {} ms; p50 and p99 are of the whole time, and the \
             goal is judged by that p99. A lookup that takes longer than {} µs, the median of lookups alone, \
             also counts for those that its caller would have made meanwhile.",
            window.as_millis(),
            significant(f64::from(interval) / 1000.0)
        ),
    ];
    let (name, measure) = (format!("{case}/{CALLERS}"), Measure::Microseconds);
    let expired = grouped(expired as f64);
    let title = format!("p99 of lookups while pruning {expired} rows, {database}, {CALLERS} callers");
    Ok(vec![Table { name, title, measure, rows, notes }])
}

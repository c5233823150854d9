use cloakroom::sea_query::{Alias, Expr, Order};
use cloakroom::{Cursor, DynamicFields, SessionQuery};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;

use crate::args::{Count, List};
use crate::commands::one::find_each;
use crate::context::{Context, Table};
use crate::failure::Failure;
use crate::output::{Columns, Each, place};
use crate::value;

/// How many sessions a terminal shows by default.
const LIMIT_ON_TERMINAL: u64 = 100;

/// How many sessions that do not decode are named one by one.
const NAMED: usize = 5;

const NO_PAGE: &str = "no page can begin after a session whose inserted_at cannot be read";

pub(crate) async fn list(context: &Context, list: List) -> Result<(), Failure> {
    let sessions = context.sessions().await?;
    let columns = Columns::new(&list.columns, sessions.definition(), context.output.style)?;
    let limit = list.limit.or_else(|| context.output.is_table().then_some(LIMIT_ON_TERMINAL));
    let mut query = list.filter.query(&sessions)?.status(list.status.into());
    let order = order(&sessions, list.sort.as_deref())?;
    if let Some(after) = &list.after {
        if matches!(order, Sorted::By(..)) {
            return Err(Failure::usage("there are pages only in the order of inserted_at: leave --sort out"));
        }
        query = query.after(cursor(&sessions, after).await?);
    }
    if let Some(limit) = limit {
        // One more, to learn if there are more.
        query = query.limit(limit.saturating_add(1));
    }
    let (is_paged, found) = order.run(query).await?;

    let now = sessions.config().now();
    let (mut found_so_far, mut end) = (0, None);
    let mut unreadable = Vec::new();
    let shown = found.try_filter_map(|each| {
        found_so_far += 1;
        let is_shown = limit.is_none_or(|limit| found_so_far <= limit);
        if is_shown {
            end = Some(place(&each));
            unreadable.extend(each.as_ref().err().map(|session| session.id));
        }
        std::future::ready(Ok(is_shown.then_some(each)))
    });
    context.output.sessions(&columns, shown, now).await?;

    if let Some(limit) = limit.filter(|limit| found_so_far > *limit) {
        if list.limit.is_none() {
            let all = list.filter.query(&sessions)?.status(list.status.into()).count().await?;
            eprintln!("{limit} of {all}; --limit shows more");
        }
        match end.filter(|_| is_paged) {
            Some(Some(end)) => eprintln!("the next page: --after {end}"),
            Some(None) => eprintln!("{NO_PAGE}; a greater --limit shows more"),
            None => {}
        }
    }
    if !unreadable.is_empty() {
        let ids: Vec<String> = unreadable.iter().take(NAMED).map(ToString::to_string).collect();
        let others = if unreadable.len() > NAMED { ", …" } else { "" };
        eprintln!(
            "{} of them could not be read, and are shown without fields and data: {}{others}; they can be ended and \
             deleted by --id",
            unreadable.len(),
            ids.join(", "),
        );
    }
    Ok(())
}

/// The order in which sessions are listed.
enum Sorted {
    NewestFirst,
    OldestFirst,
    By(Expr, Order),
}

impl Sorted {
    /// Returns the sessions in this order, and whether there are pages of them.
    async fn run(
        self,
        query: SessionQuery<'static, DynamicFields>,
    ) -> Result<(bool, BoxStream<'static, Result<Each, Failure>>), Failure> {
        let query = match self {
            Self::NewestFirst => query,
            Self::OldestFirst => query.oldest_first(),
            Self::By(column, order) => {
                let id = Expr::col(Alias::new("id"));
                let found = query.order_by(column, order.clone()).order_by(id, order).fetch_each().await?;
                return Ok((false, stream::iter(found.into_iter().map(Ok)).boxed()));
            }
        };
        Ok((true, query.stream_each().map_err(Failure::from).boxed()))
    }
}

fn order(sessions: &Table, sort: Option<&str>) -> Result<Sorted, Failure> {
    let Some(sort) = sort else {
        return Ok(Sorted::NewestFirst);
    };
    let (name, order) = match sort.strip_prefix('-') {
        Some(name) => (name, Order::Desc),
        None => (sort, Order::Asc),
    };
    value::column_type(sessions.definition(), sessions.backend(), name)?;
    Ok(match (name, order) {
        ("inserted_at", Order::Desc) => Sorted::NewestFirst,
        ("inserted_at", _) => Sorted::OldestFirst,
        (name, order) => Sorted::By(Expr::col(Alias::new(name)), order),
    })
}

/// Returns a cursor, or the cursor of the session with this id.
async fn cursor(sessions: &Table, after: &str) -> Result<Cursor, Failure> {
    if let Ok(cursor) = after.parse() {
        return Ok(cursor);
    }
    let id = after.parse().map_err(|_| {
        Failure::usage("--after takes the cursor that a page ended with, or the id of its last session")
    })?;
    place(&find_each(sessions, id).await?).ok_or_else(|| Failure::usage(NO_PAGE))
}

pub(crate) async fn count(context: &Context, count: Count) -> Result<(), Failure> {
    let sessions = context.sessions().await?;
    let mut query = count.filter.query(&sessions)?.status(count.status.into());
    if let Some(limit) = count.limit {
        query = query.limit(limit);
    }
    let count = query.count().await?;
    context.output.answer(&json!({"count": count}), count)
}

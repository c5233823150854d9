//! The page with the number of sessions, and how many began and ended each day.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use cloakroom::{Backend, SessionFields, Sessions, Status};
use sqlx::AssertSqlSafe;
use time::{Date, Duration, OffsetDateTime};

use super::{Frame, LoggedIn, Page, page};
use crate::app::App;
use crate::chart::{Chart, Day};
use crate::error::PageError;
use crate::notice::Told;
use crate::users::on_pool;

/// How many days the chart shows.
const DAYS: i64 = 30;

#[derive(Template)]
#[template(path = "statistics.html")]
struct StatisticsPage {
    frame: Frame,
    sessions: Totals,
    keys: Totals,
    chart: Chart,
}

struct Totals {
    valid: u64,
    expired: u64,
}

impl Totals {
    async fn of<T: SessionFields>(sessions: &Sessions<T>) -> cloakroom::Result<Self> {
        let valid = sessions.query().count().await?;
        let expired = sessions.query().status(Status::Expired).count().await?;
        Ok(Self { valid, expired })
    }

    fn all(&self) -> u64 {
        self.valid + self.expired
    }
}

pub(crate) async fn show(State(app): State<App>, logged_in: Option<LoggedIn>, told: Told) -> Page {
    let sessions = Totals::of(&app.sessions).await?;
    let keys = Totals::of(&app.keys).await?;
    let now = app.sessions.config().now();
    let created = per_day(&app, "inserted_at", now).await?;
    let ended = per_day(&app, "expires_at", now).await?;
    let days = (0..DAYS).rev().map(|ago| {
        let date = now.date() - Duration::days(ago);
        let count =
            |counts: &HashMap<String, i64>| counts.get(&text(date)).copied().unwrap_or(0).unsigned_abs();
        Day { date, created: count(&created), ended: count(&ended) }
    });
    let chart = Chart::new(&days.collect::<Vec<_>>());
    let user = logged_in.map(|it| it.user.name);
    let frame = Frame { user, notice: told.0, here: "/statistics" };
    page(&StatisticsPage { frame, sessions, keys, chart })
}

/// Returns how many sessions have an instant in this column, for each day up to now. The library has no query for this,
/// but the table is the application's own, so SQL does it.
async fn per_day(
    app: &App,
    column: &'static str,
    now: OffsetDateTime,
) -> Result<HashMap<String, i64>, PageError> {
    // In the form `2026-11-23T01:48:09`, in UTC.
    let instant = match app.database.backend() {
        Backend::Sqlite => format!("substr({column}, 1, 19)"),
        Backend::Postgres => format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')"),
        // MariaDB and MySQL.
        _ => format!("DATE_FORMAT({column}, '%Y-%m-%dT%H:%i:%s')"),
    };
    let (from, to) = match app.database.backend() {
        Backend::MySql => ("?", "?"),
        _ => ("$1", "$2"),
    };
    // The column is one of the two names above, and the values are bound.
    let sql = AssertSqlSafe(format!(
        "SELECT day, COUNT(*) FROM (SELECT substr({instant}, 1, 10) AS day, {instant} AS instant \
         FROM user_sessions) AS instants WHERE instant >= {from} AND instant <= {to} GROUP BY day"
    ));
    let first = text(now.date() - Duration::days(DAYS));
    let last = super::Shown::from(now).machine.trim_end_matches('Z').to_owned();
    let rows: Vec<(String, i64)> =
        on_pool!(&app.database, |pool| { sqlx::query_as(sql).bind(first).bind(last).fetch_all(pool).await })?;
    Ok(rows.into_iter().collect())
}

fn text(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

//! Every device that the user is logged in on.

use std::cmp::Reverse;
use std::fmt::Write;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use cloakroom::{Cursor, EndReason, Session, Status};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Address, Frame, LoggedIn, Page, Shown, page};
use crate::app::App;
use crate::client;
use crate::error::PageError;
use crate::notice::Told;
use crate::tables::{PASSWORD_CHANGED, UserSession};

const PER_PAGE: usize = 20;

/// Of how many devices the last used are found; older ones are left to the other orders, which the database sorts.
const SORTED: u64 = 500;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    devices: Vec<Device>,
    view: View,
    next: Option<String>,
}

/// A row of the page's table.
struct Device {
    id: Uuid,
    name: String,
    label: String,
    user_agent: String,
    address: Address,
    used: Option<Shown>,
    /// From where, if it is not where the log-in came from.
    used_from: Option<Address>,
    created: Shown,
    expires: Option<Shown>,
    is_current: bool,
    is_bound: bool,
    /// Why it is logged out, if it is.
    ended: Option<&'static str>,
}

/// What of the list is shown, and in which order. The page's links say the same in their queries.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct View {
    #[serde(default)]
    sort: Sort,
    #[serde(default)]
    ended: Ended,
    /// For the orders of the database: the last device of the page before.
    after: Option<String>,
    /// For the others: how many pages are before this one.
    page: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sort {
    #[default]
    Newest,
    Oldest,
    Used,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Ended {
    #[default]
    Shown,
    Hidden,
}

impl View {
    fn is_first(&self) -> bool {
        self.after.is_none() && self.page.is_none()
    }

    fn hides_ended(&self) -> bool {
        self.ended == Ended::Hidden
    }

    /// Each order, with its address and whether it is the present one.
    fn orders(&self) -> Vec<(&'static str, String, bool)> {
        let order = |sort, name| (name, self.first().sorted(sort).path(), self.sort == sort);
        vec![order(Sort::Newest, "Newest"), order(Sort::Oldest, "Oldest"), order(Sort::Used, "Last active")]
    }

    /// The address of the same order with the ended devices, or without.
    fn other_ended(&self) -> String {
        let ended = if self.hides_ended() { Ended::Shown } else { Ended::Hidden };
        Self { ended, ..self.first() }.path()
    }

    fn first(&self) -> Self {
        Self { sort: self.sort, ended: self.ended, after: None, page: None }
    }

    /// The address of the first page.
    fn start(&self) -> String {
        self.first().path()
    }

    fn sorted(self, sort: Sort) -> Self {
        Self { sort, ..self }
    }

    fn path(&self) -> String {
        let mut path = "/account".to_owned();
        let mut add = |name: &str, value: &str| {
            let separator = if path.contains('?') { '&' } else { '?' };
            // A string takes everything.
            let _ = write!(path, "{separator}{name}={value}");
        };
        match self.sort {
            Sort::Newest => {}
            Sort::Oldest => add("sort", "oldest"),
            Sort::Used => add("sort", "used"),
        }
        if self.hides_ended() {
            add("ended", "hidden");
        }
        if let Some(after) = &self.after {
            add("after", after);
        }
        if let Some(page) = self.page {
            add("page", &page.to_string());
        }
        path
    }
}

pub(crate) async fn show(
    State(app): State<App>,
    LoggedIn { session: here, user }: LoggedIn,
    told: Told,
    view: Result<Query<View>, QueryRejection>,
) -> Page {
    let Query(view) = view?;
    let (sessions, next) = match view.sort {
        Sort::Used => last_used(&app, &user.id, &view).await?,
        Sort::Newest | Sort::Oldest => in_order(&app, &user.id, &view).await?,
    };
    let now = app.sessions.config().now();
    let devices = sessions.iter().map(|session| device(&app, session, &here, now)).collect();
    let frame = Frame::of(user, told, "/account");
    page(&AccountPage { frame, devices, view, next: next.map(|view| view.path()) })
}

type Found = (Vec<Session<UserSession>>, Option<View>);

/// Returns the page in an order of the database, and the view of the next one.
async fn in_order(app: &App, user_id: &str, view: &View) -> Result<Found, PageError> {
    let after: Option<Cursor> = match &view.after {
        Some(after) => Some(after.parse().map_err(|_| PageError::BadRequest)?),
        None => None,
    };
    let mut query = app.sessions.query().owner(user_id).status(status(view));
    // One more than is shown, to learn if there is another page.
    query = query.limit(PER_PAGE as u64 + 1);
    if view.sort == Sort::Oldest {
        query = query.oldest_first();
    }
    if let Some(after) = after {
        query = query.after(after);
    }
    let mut sessions = query.fetch_all().await?;
    let has_more = sessions.len() > PER_PAGE;
    sessions.truncate(PER_PAGE);
    let last = sessions.last().filter(|_| has_more);
    let next = last.map(|last| View { after: Some(last.cursor().to_string()), ..view.clone() });
    Ok((sessions, next))
}

/// Returns the page of those that were used last. They are sorted here, because some uses are noted and not yet written.
async fn last_used(app: &App, user_id: &str, view: &View) -> Result<Found, PageError> {
    let query = app.sessions.query().owner(user_id).status(status(view)).limit(SORTED);
    let mut sessions = query.fetch_all().await?;
    sessions.sort_by_key(|session| Reverse(app.sessions.last_seen(session).unwrap_or(session.inserted_at)));
    let page = view.page.unwrap_or(0);
    let mut rest = sessions.into_iter().skip(page.saturating_mul(PER_PAGE));
    let shown = rest.by_ref().take(PER_PAGE).collect();
    let next = rest.next().map(|_| View { page: Some(page + 1), ..view.clone() });
    Ok((shown, next))
}

fn status(view: &View) -> Status {
    if view.hides_ended() { Status::Valid } else { Status::All }
}

fn device(
    app: &App,
    session: &Session<UserSession>,
    here: &Session<UserSession>,
    now: OffsetDateTime,
) -> Device {
    let fields = &session.fields;
    let address = fields.address.as_deref().unwrap_or_default();
    let elsewhere = fields.last_address.as_deref().filter(|last| *last != address);
    Device {
        id: session.id,
        name: name(session),
        label: fields.label.clone().unwrap_or_default(),
        user_agent: fields.user_agent.clone().unwrap_or_default(),
        address: address.into(),
        used: app.sessions.last_seen(session).map(Shown::from),
        used_from: elsewhere.map(Address::from),
        created: session.inserted_at.into(),
        expires: session.expires_at.map(Shown::from),
        is_current: session.id == here.id,
        is_bound: session.is_bound(),
        ended: (!session.is_valid(now)).then(|| why_ended(session.ended_because())),
    }
}

/// Returns the name that the user gave the device, or what the browser says that it is.
pub(crate) fn name(session: &Session<UserSession>) -> String {
    let fields = &session.fields;
    fields.label.clone().unwrap_or_else(|| client::device(fields.user_agent.as_deref()))
}

pub(crate) fn why_ended(reason: Option<&str>) -> &'static str {
    match reason {
        None => "expired",
        Some(reason) if PASSWORD_CHANGED == reason => "password changed",
        Some(reason) if EndReason::EVICTED == reason => "made room for another",
        Some(_) => "logged out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_say_what_the_page_shows() {
        let first = View::default();
        assert_eq!(first.path(), "/account");
        assert_eq!(first.other_ended(), "/account?ended=hidden");
        let view = View { sort: Sort::Used, ended: Ended::Hidden, after: None, page: Some(2) };
        assert_eq!(view.path(), "/account?sort=used&ended=hidden&page=2");
        assert_eq!(view.other_ended(), "/account?sort=used");
        let orders: Vec<_> = view.orders().into_iter().map(|(_, path, here)| (path, here)).collect();
        assert_eq!(
            orders,
            [
                ("/account?ended=hidden".to_owned(), false),
                ("/account?sort=oldest&ended=hidden".to_owned(), false),
                ("/account?sort=used&ended=hidden".to_owned(), true),
            ]
        );
    }
}

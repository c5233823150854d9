//! How long a browser is to keep the cookie: as long as the session can live, not as long as it does at present.
//!
//! A session is extended by whatever uses it: this browser's requests, a fetch of the server's own, an open
//! WebSocket, another layer, another process. The browser hears of the first alone. A cookie that ended with the
//! session's expiry as it was when the cookie was set would end days before the session, and its owner would be
//! logged out though they come every day. What a cookie was last told cannot be seen from a request either. So the
//! browser keeps it for as long as the session could be extended, and the server alone decides when it is over.

use cloakroom::{Config, Session, SessionFields};
use time::{Duration, OffsetDateTime};

/// Browsers keep no cookie for longer; one without an end would go when the browser is closed.
pub(crate) const LONGEST: Duration = Duration::days(400);

/// How often a cookie that may end before its session is sent again, and for how long then: twice the day after
/// which somebody who comes daily has come, whatever the hour.
const EVERY: i64 = 100;
const DAYS: i64 = 2;

/// `Max-Age`: to the end of the absolute lifetime, and no longer than browsers allow. Nothing for a session that
/// has ended.
pub(crate) fn max_age<T: SessionFields>(
    session: &Session<T>,
    config: &Config,
    now: OffsetDateTime,
) -> Duration {
    if !session.is_valid(now) {
        return Duration::ZERO;
    }
    let end = absolute_end(session, config);
    end.map_or(LONGEST, |end| end - now).clamp(Duration::ZERO, LONGEST)
}

/// Whether the cookie is to be sent again though nothing happened to the session: on two days of a hundred, so that
/// it does not end after 400 days where others extend the session and this browser never has to.
pub(crate) fn is_to_be_sent_again<T: SessionFields>(
    session: &Session<T>,
    config: &Config,
    now: OffsetDateTime,
) -> bool {
    let age = now - session.inserted_at;
    let ends_before = absolute_end(session, config).is_none_or(|end| end - session.inserted_at > LONGEST);
    ends_before && age.whole_days() >= EVERY && age.whole_days() % EVERY < DAYS
}

/// When no extension helps any more, if ever. A row of another origin may expire later still.
fn absolute_end<T: SessionFields>(session: &Session<T>, config: &Config) -> Option<OffsetDateTime> {
    let lifetime = Duration::try_from(config.max_lifetime()?).unwrap_or(Duration::MAX);
    let end = session.inserted_at.checked_add(lifetime)?;
    session.expires_at.map(|expires_at| Ord::max(end, expires_at))
}

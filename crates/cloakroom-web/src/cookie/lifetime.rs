//! How long a browser keeps the cookie: as long as the session can live, not as long as it lives at present.
//!
//! Any use of a session extends it: this browser's requests, a fetch by the server itself, an open WebSocket, another
//! layer, another process. The browser learns only of the first. A cookie that ended with the session's expiry at the
//! time when it was set would end days before the session, and would log out a user who comes every day. A request does
//! not show what `Max-Age` its cookie has, either. So the browser keeps the cookie for as long as the session could be
//! extended, and the server alone decides when the session is over. A session with a fixed end is never extended, and its
//! cookie ends with it.

use cloakroom::{Config, Session, SessionFields, Sliding};
use time::{Duration, OffsetDateTime};

/// Browsers keep no cookie for longer. A cookie without an end would go when the browser is closed.
pub(crate) const LONGEST: Duration = Duration::days(400);

/// How often a cookie that may end before its session is sent again, and for how long then. The span is twice the day
/// within which a daily user comes, at any hour.
const EVERY: i64 = 100;
const DAYS: i64 = 2;

/// Returns `Max-Age`: to the end of the absolute lifetime, and no longer than browsers allow. Returns nothing for a
/// session that has ended.
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

/// Returns `true` if the cookie is to be sent again though nothing happened to the session. This is so on two days of a
/// hundred, so that the cookie does not end after 400 days while only other uses extend the session.
pub(crate) fn is_to_be_sent_again<T: SessionFields>(
    session: &Session<T>,
    config: &Config,
    now: OffsetDateTime,
) -> bool {
    let age = now - session.inserted_at;
    let ends_before = absolute_end(session, config).is_none_or(|end| end - session.inserted_at > LONGEST);
    ends_before && age.whole_days() >= EVERY && age.whole_days() % EVERY < DAYS
}

/// When no extension helps any more, if ever.
fn absolute_end<T: SessionFields>(session: &Session<T>, config: &Config) -> Option<OffsetDateTime> {
    if session.sliding() == Sliding::Fixed {
        return session.expires_at;
    }
    let lifetime = Duration::try_from(config.max_lifetime()?).unwrap_or(Duration::MAX);
    let end = session.inserted_at.checked_add(lifetime)?;
    session.expires_at.map(|expires_at| Ord::max(end, expires_at))
}

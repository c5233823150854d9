//! Until when the token of a session is good that is bound to a device: pure functions of the time and the row.

use std::time::Duration;

use time::OffsetDateTime;

use super::expiry::later;
use crate::clock::earlier;

/// How far the clocks of two machines may be apart. A token, and a challenge, that another machine has issued is good for as
/// much longer.
pub(crate) const CLOCK_SLACK: Duration = Duration::from_mins(3);

/// Returns the instant from which a token that was given out until `until` is refused.
pub(crate) fn end(until: Option<OffsetDateTime>) -> Option<OffsetDateTime> {
    until.map(|until| later(until, CLOCK_SLACK))
}

/// Returns `true` if such a token is refused at `now`. Tokens of other sessions have no such end.
pub(crate) fn is_past(until: Option<OffsetDateTime>, now: OffsetDateTime) -> bool {
    end(until).is_some_and(|end| end <= now)
}

/// Returns the instant after which a token was given out that is good at `now`.
pub(crate) fn earliest(now: OffsetDateTime) -> OffsetDateTime {
    earlier(now, CLOCK_SLACK)
}

#[cfg(feature = "dbsc")]
mod issued {
    use std::time::Duration;

    use time::OffsetDateTime;

    use super::{CLOCK_SLACK, earlier, later};
    use crate::clock::unix_microseconds;
    use crate::device::Challenge;

    /// For how long a challenge that nobody has answered is given again, so that two requests at the same time get one.
    const NEW: Duration = Duration::from_mins(1);

    /// A challenge, and when it was issued: the text `<challenge> <microseconds since 1970>` of a column.
    pub(crate) struct Issued {
        pub(crate) challenge: Challenge,
        at: OffsetDateTime,
    }

    impl Issued {
        /// Returns the text of a challenge that is issued now.
        pub(crate) fn at(challenge: &Challenge, now: OffsetDateTime) -> String {
            format!("{} {}", challenge.as_str(), unix_microseconds(now))
        }

        /// Reads what is stored; `None` if there is no challenge, or text that is none.
        pub(crate) fn of(stored: Option<&str>) -> Option<Self> {
            let (challenge, microseconds) = stored?.split_once(' ')?;
            let nanoseconds = i128::from(microseconds.parse::<i64>().ok()?) * 1000;
            let at = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?;
            Some(Self { challenge: Challenge::from_stored(challenge)?, at })
        }

        /// Returns `true` if the challenge may be answered at `now`, by whichever clock it was issued, if that may be done
        /// for `age`.
        pub(crate) fn is_good(&self, now: OffsetDateTime, age: Duration) -> bool {
            let first = earlier(self.at, CLOCK_SLACK);
            let last = later(self.at, age.saturating_add(CLOCK_SLACK));
            (first..=last).contains(&now)
        }

        /// Returns `true` if it was issued a moment ago.
        pub(crate) fn is_new(&self, now: OffsetDateTime) -> bool {
            (self.at..=later(self.at, NEW)).contains(&now)
        }
    }
}

#[cfg(feature = "dbsc")]
pub(crate) use issued::Issued;

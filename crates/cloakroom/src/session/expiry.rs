//! The expiry policy: pure functions of the time, the row and the configuration.

use std::time::Duration;

use time::OffsetDateTime;

use super::Sliding;
use crate::clock::LAST;
use crate::config::Config;

/// Returns `true` if a session that expires at `expires_at` is valid at `now`. It is valid until that instant.
pub(crate) fn is_valid(expires_at: Option<OffsetDateTime>, now: OffsetDateTime) -> bool {
    expires_at.is_none_or(|expires_at| expires_at > now)
}

/// Returns `true` if a session has expired at `now`, or had already expired when it was last written. So a machine with
/// a clock behind that of the machine that ended the session neither accepts the session nor brings it back.
pub(crate) fn is_over(
    expires_at: Option<OffsetDateTime>,
    updated_at: OffsetDateTime,
    now: OffsetDateTime,
) -> bool {
    !is_valid(expires_at, Ord::max(now, updated_at))
}

/// Returns when a new session expires by default: after the time to live, or never if there is none.
pub(crate) fn by_default(config: &Config, now: OffsetDateTime) -> Option<OffsetDateTime> {
    config.ttl().map(|ttl| later(now, ttl))
}

/// Returns `expires_at`, or the end of the absolute lifetime if that comes first.
pub(crate) fn capped(
    config: &Config,
    inserted_at: OffsetDateTime,
    expires_at: Option<OffsetDateTime>,
) -> Option<OffsetDateTime> {
    let Some(lifetime) = config.max_lifetime() else {
        return expires_at;
    };
    let end = later(inserted_at, lifetime);
    Some(expires_at.map_or(end, |expires_at| expires_at.min(end)))
}

/// Returns `true` if a session has reached its absolute lifetime, whatever its row says.
pub(crate) fn is_too_old(config: &Config, inserted_at: OffsetDateTime, now: OffsetDateTime) -> bool {
    !is_valid(capped(config, inserted_at, None), now)
}

/// Returns the new expiry if an extension is due at `now`.
///
/// An extension is due if it gains more than `extend_after`: this keeps a busy session from writing at every request.
/// For a session that has expired or never expires, no extension is due. An expiry never moves back.
pub(crate) fn due_extension(
    config: &Config,
    now: OffsetDateTime,
    inserted_at: OffsetDateTime,
    expires_at: Option<OffsetDateTime>,
    sliding: Sliding,
) -> Option<OffsetDateTime> {
    let expires_at = expires_at.filter(|expires_at| *expires_at > now)?;
    // Without a span the proposed expiry would only be the cap, and a cap extends nothing.
    let Slide { span, extend_after } = Slide::of(config, sliding)?;
    let proposed = capped(config, inserted_at, Some(later(now, span)))?;
    (proposed > later(expires_at, extend_after)).then_some(proposed)
}

/// Returns the last instant at which no extension of a session that expires at `expires_at` is due, or `None` if none
/// ever becomes due. It agrees with [`due_extension`] at every instant.
pub(crate) fn last_before_extension(
    config: &Config,
    inserted_at: OffsetDateTime,
    expires_at: Option<OffsetDateTime>,
    sliding: Sliding,
) -> Option<OffsetDateTime> {
    let Slide { span, extend_after } = Slide::of(config, sliding)?;
    let span = time::Duration::try_from(span).unwrap_or(time::Duration::MAX);
    let threshold = later(expires_at?, extend_after);
    if capped(config, inserted_at, Some(LAST)) <= Some(threshold) {
        return None;
    }
    // If the time to live is longer than the calendar, an extension is due at once.
    Some(threshold.checked_sub(span).unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

/// By how much an extension moves an expiry beyond now, and how much it must gain.
struct Slide {
    span: Duration,
    extend_after: Duration,
}

impl Slide {
    /// Returns `None` if nothing extends the session.
    fn of(config: &Config, sliding: Sliding) -> Option<Self> {
        let extend_after = config.extend_after()?;
        match (sliding, config.ttl()) {
            (Sliding::Fixed, _) | (Sliding::AsConfigured, None) => None,
            (Sliding::AsConfigured, Some(ttl)) => Some(Self { span: ttl, extend_after }),
            (Sliding::By(span), ttl) => {
                // A span that is shorter than the threshold would never be extended.
                const WEEK: Duration = Duration::from_hours(7 * 24);
                let whole = ttl.unwrap_or(WEEK);
                let extend_after = if span < whole { share(extend_after, span, whole) } else { extend_after };
                Some(Self { span, extend_after })
            }
        }
    }
}

/// Returns as much of `amount` as `part` is of `whole`, in whole microseconds.
fn share(amount: Duration, part: Duration, whole: Duration) -> Duration {
    let micros = amount.as_micros().saturating_mul(part.as_micros()) / whole.as_micros().max(1);
    Duration::from_micros(micros.try_into().unwrap_or(u64::MAX))
}

/// Returns `true` if a read would extend the session at some time before it expires.
pub(crate) fn is_ever_extended(
    config: &Config,
    inserted_at: OffsetDateTime,
    expires_at: Option<OffsetDateTime>,
    sliding: Sliding,
) -> bool {
    let last = last_before_extension(config, inserted_at, expires_at, sliding);
    let tick = time::Duration::MICROSECOND;
    config.auto_extend()
        && expires_at.is_some_and(|end| last.is_some_and(|last| last < end.saturating_sub(tick)))
}

/// Returns `instant` plus `span`, but no later than the last instant that every database can store.
pub(crate) fn later(instant: OffsetDateTime, span: Duration) -> OffsetDateTime {
    let span = time::Duration::try_from(span).unwrap_or(time::Duration::MAX);
    instant.checked_add(span).map_or(LAST, |sum| sum.min(LAST))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const AS_CONFIGURED: Sliding = Sliding::AsConfigured;
    const DAY: Duration = Duration::from_hours(24);
    const START: OffsetDateTime = datetime!(2026-11-23 01:48:09.123456 UTC);

    #[test]
    fn the_last_instant_before_an_extension_is_the_last_at_which_none_is_due() {
        let tick = time::Duration::MICROSECOND;
        let spans = [None, Some(Duration::from_secs(90)), Some(DAY), Some(30 * DAY)];
        for ttl in [None, Some(Duration::from_mins(1)), Some(7 * DAY)] {
            for extend_after in [Duration::ZERO, Duration::from_secs(1), DAY] {
                for lifetime in spans {
                    let config = Config::builder().ttl(ttl).extend_after(extend_after).max_lifetime(lifetime);
                    let Ok(config) = config.build() else {
                        continue;
                    };
                    let ends = [by_default(&config, START), Some(START + DAY), None];
                    let own = [AS_CONFIGURED, Sliding::Fixed, Sliding::by(DAY), Sliding::by(90 * DAY)];
                    for (expires_at, sliding) in ends.iter().flat_map(|end| own.map(|own| (*end, own))) {
                        let is_due = |now| due_extension(&config, now, START, expires_at, sliding).is_some();
                        let last = last_before_extension(&config, START, expires_at, sliding);
                        let Some(last) = last.filter(|last| expires_at.is_some_and(|end| *last < end - tick))
                        else {
                            // The session expires before.
                            assert!((0..200).all(|hour| !is_due(START + Duration::from_hours(hour))));
                            continue;
                        };
                        assert!(!is_due(last), "{config:?}");
                        assert!(is_due(last + tick), "{config:?}");
                    }
                }
            }
        }
    }

    fn due(config: &Config, age: Duration) -> Option<OffsetDateTime> {
        due_extension(config, START + age, START, by_default(config, START), AS_CONFIGURED)
    }

    #[test]
    fn a_session_is_over_by_this_clock_or_by_that_of_its_last_write() {
        let tick = Duration::from_micros(1);
        let end = Some(START);
        for (updated_at, now, over) in [
            (START - DAY, START - tick, false),
            (START - DAY, START, true),
            // Another machine, of which the clock is ahead, has ended it.
            (START, START - DAY, true),
            (START - tick, START - DAY, false),
        ] {
            assert_eq!(is_over(end, updated_at, now), over, "{updated_at} {now}");
            assert!(!is_over(None, updated_at, now));
        }
    }

    #[test]
    fn a_session_is_valid_until_the_instant_of_its_expiry() {
        let tick = Duration::from_micros(1);
        assert!(is_valid(Some(START + tick), START));
        assert!(!is_valid(Some(START), START));
        assert!(!is_valid(Some(START - tick), START));
        assert!(is_valid(None, START));
    }

    #[test]
    fn an_extension_is_due_only_when_it_gains_more_than_the_threshold() {
        let config = Config::default();
        assert_eq!(due(&config, DAY), None);
        let age = DAY + Duration::from_micros(1);
        assert_eq!(due(&config, age), Some(START + age + 7 * DAY));
    }

    #[test]
    fn an_expired_session_is_never_due() {
        assert_eq!(due(&Config::default(), 7 * DAY), None);
        assert_eq!(due(&Config::default(), 8 * DAY), None);
    }

    #[test]
    fn a_session_that_never_expires_stays_so() {
        assert_eq!(due_extension(&Config::default(), START + 9 * DAY, START, None, AS_CONFIGURED), None);
    }

    #[test]
    fn without_a_threshold_or_a_time_to_live_nothing_is_extended() {
        let no_threshold = Config::builder().extend_after(None).build().unwrap();
        assert_eq!(due(&no_threshold, 3 * DAY), None);
        let no_ttl = Config::builder().ttl(None).max_lifetime(90 * DAY).build().unwrap();
        assert_eq!(due_extension(&no_ttl, START, START, Some(START + DAY), AS_CONFIGURED), None);
    }

    #[test]
    fn a_session_with_a_span_of_its_own_slides_by_it_and_a_fixed_one_never_moves() {
        let config = Config::default();
        let end = Some(START + DAY);
        let due = |age, sliding| due_extension(&config, START + age, START, end, sliding);
        let (hour, tick) = (Duration::from_hours(1), Duration::from_micros(1));
        assert_eq!(due(23 * hour, Sliding::Fixed), None);
        assert!(!is_ever_extended(&config, START, end, Sliding::Fixed));
        // Of a span of one day in place of seven, an extension need gain a seventh of a day.
        let threshold = DAY / 7;
        assert_eq!(due(threshold.saturating_sub(tick), Sliding::by(DAY)), None);
        let age = threshold + hour;
        assert_eq!(due(age, Sliding::by(DAY)), Some(START + age + DAY));
        assert_eq!(due(hour, Sliding::by(90 * DAY)), Some(START + hour + 90 * DAY));
        assert!(is_ever_extended(&config, START, end, Sliding::by(DAY)));
        let by_hand = Config::builder().auto_extend(false).build().unwrap();
        assert!(!is_ever_extended(&by_hand, START, end, Sliding::by(DAY)));
        let no_ttl = Config::builder().ttl(None).build().unwrap();
        assert_eq!(
            due_extension(&no_ttl, START + 2 * DAY, START, Some(START + 3 * DAY), Sliding::by(3 * DAY)),
            Some(START + 5 * DAY)
        );
    }

    #[test]
    fn the_absolute_lifetime_caps_an_extension_and_then_ends_it() {
        let config = Config::builder().max_lifetime(10 * DAY).build().unwrap();
        let end = Some(START + 10 * DAY);
        assert_eq!(due(&config, 5 * DAY), end);
        assert_eq!(due_extension(&config, START + 9 * DAY, START, end, AS_CONFIGURED), None);
    }

    #[test]
    fn a_clock_that_steps_back_never_shortens_an_expiry() {
        let config = Config::default();
        let extended = Some(START + 8 * DAY);
        assert_eq!(due_extension(&config, START - 30 * DAY, START, extended, AS_CONFIGURED), None);
    }

    #[test]
    fn spans_beyond_the_calendar_stop_at_its_end() {
        let config = Config::builder().ttl(Duration::from_secs(u64::from(u32::MAX) * 60)).build().unwrap();
        assert_eq!(by_default(&config, START).unwrap().year(), 9999);
    }
}

use std::time::Duration;

/// How the expiry of one session moves when the session is used.
///
/// It is chosen when the session is made, and kept in the column `sliding_seconds`, which is null for
/// [`AsConfigured`](Self::AsConfigured), 0 for [`Fixed`](Self::Fixed), and otherwise the span in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sliding {
    /// By the configured time to live, [`ttl`](crate::ConfigBuilder::ttl). The default, and what every session does that
    /// another program has made.
    #[default]
    AsConfigured,
    /// It never moves.
    Fixed,
    /// By a span of the session's own, in whole seconds.
    By(Duration),
}

impl Sliding {
    /// Returns sliding by a span, rounded up to whole seconds, since that is what the column holds.
    pub(crate) fn by(span: Duration) -> Self {
        let seconds = span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0));
        Self::By(Duration::from_secs(seconds.clamp(1, i64::MAX.unsigned_abs())))
    }

    /// Reads the value of the column.
    pub(crate) fn from_seconds(seconds: Option<i64>) -> Self {
        match seconds.map(u64::try_from) {
            None => Self::AsConfigured,
            Some(Ok(seconds @ 1..)) => Self::By(Duration::from_secs(seconds)),
            Some(_) => Self::Fixed,
        }
    }

    /// Returns the value of the column.
    pub(crate) fn seconds(self) -> Option<i64> {
        match self {
            Self::AsConfigured => None,
            Self::Fixed => Some(0),
            Self::By(span) => Some(i64::try_from(span.as_secs()).unwrap_or(i64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back() {
        let spans = [1, 60, i64::MAX.unsigned_abs()].map(Duration::from_secs);
        for sliding in [Sliding::AsConfigured, Sliding::Fixed].into_iter().chain(spans.map(Sliding::by)) {
            assert_eq!(Sliding::from_seconds(sliding.seconds()), sliding);
        }
        assert_eq!(Sliding::from_seconds(Some(-1)), Sliding::Fixed);
    }

    #[test]
    fn a_span_is_rounded_up_to_seconds_and_is_never_nought() {
        let of = |span| Sliding::by(span).seconds();
        assert_eq!(of(Duration::from_millis(1_500)), Some(2));
        assert_eq!(of(Duration::from_secs(2)), Some(2));
        assert_eq!(of(Duration::from_nanos(1)), Some(1));
        assert_eq!(of(Duration::ZERO), Some(1));
        assert_eq!(of(Duration::MAX), Some(i64::MAX));
    }
}

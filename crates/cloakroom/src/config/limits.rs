use std::time::Duration;

/// The greatest number of callers that may share a statement.
pub(crate) const MAX_BATCH: usize = 4096;

/// The longest grace of an exchange.
pub(super) const MAX_EXCHANGE_GRACE: Duration = Duration::from_hours(24);

/// More sessions than a machine has room for. The places are allocated at once, so there must be a limit.
pub(super) const MAX_CAPACITY: usize = 100_000_000;

/// The length of the digest column, which holds the token itself if there is no hashing.
pub(super) const MAX_PLAINTEXT_LENGTH: usize = 255;

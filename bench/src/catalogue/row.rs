//! The names of the rows that are no contestants', and of the tables that have them.

/// Sessions that are bound to a device, beside others.
pub mod bound {
    pub const CORE: &str = "bound/core";
    pub const BESIDE: &str = "bound/beside";

    pub const RENEWALS: &str = "renewals";
    pub const REQUESTS: &str = "requests, bound sessions";
    pub const REQUESTS_UNBOUND: &str = "requests, not bound";
    pub const CORE_ROWS: &[&str] = &[RENEWALS, REQUESTS, REQUESTS_UNBOUND];

    pub const QUIET: &str = "bound, no renewals";
    pub const RENEWING: &str = "bound, renewing";
    pub const UNBOUND: &str = "not bound";
    pub const BESIDE_ROWS: &[&str] = &[UNBOUND, QUIET, RENEWING];

    pub const KEY: &str = "a key in each row";
    pub const NO_KEY: &str = "a column for keys, empty";
    pub const NO_COLUMN: &str = "no column for keys";
    pub const KEYS_ROWS: &[&str] = &[NO_COLUMN, NO_KEY, KEY];
}

/// A table of each size.
pub mod growth {
    pub const TEN_THOUSAND: &str = "10 thousand rows";
    pub const ONE_MILLION: &str = "1 million rows";
    pub const TEN_MILLION: &str = "10 million rows";
}

/// Lookups before, during and after a prune.
pub mod prune {
    pub const ALONE: &str = "lookups alone";
    pub const DURING: &str = "lookups while pruning";
    pub const AGAIN: &str = "lookups alone again";
}

/// The delay of a revocation on another node.
pub mod revocation {
    pub const HEARD: &str = "revocation/heard";
    pub const CUT: &str = "revocation/cut";

    pub const QUIET_P50: &str = "quiet node, p50";
    pub const QUIET_P99: &str = "quiet node, p99";
    pub const QUIET_MOST: &str = "quiet node, longest";
    pub const BUSY_P50: &str = "busy node, p50";
    pub const BUSY_P99: &str = "busy node, p99";
    pub const BUSY_MOST: &str = "busy node, longest";
    pub const HEARD_ROWS: &[&str] = &[QUIET_P50, QUIET_P99, QUIET_MOST, BUSY_P50, BUSY_P99, BUSY_MOST];

    pub const LEASE_P50: &str = "lease of 1 s, p50";
    pub const LEASE_MOST: &str = "lease of 1 s, longest";
    pub const STALENESS_P50: &str = "no lease, p50";
    pub const STALENESS_MOST: &str = "no lease, longest";
    pub const BOUND: &str = "max_staleness";
    pub const CUT_ROWS: &[&str] = &[LEASE_P50, LEASE_MOST, STALENESS_P50, STALENESS_MOST, BOUND];
}

/// Settings, the default first. Each name begins with the number.
pub mod settings {
    pub const IN_FLIGHT: &[&str] = &["2 in flight, the default", "1 in flight", "4 in flight", "8 in flight"];
    pub const IN_FLIGHT_SQLITE: &[&str] = &["2 in flight, the default", "1 in flight", "4 in flight"];
    pub const BATCH: &[&str] = &["256 a batch, the default", "64 a batch", "1024 a batch"];
}

use crate::error::{ErrorKind, Result};

/// The outcome of a call that was done.
pub(super) const OK: &str = "ok";

/// The outcome of a call that was dropped before it had its answer.
pub(super) const DROPPED: &str = "dropped";

/// Returns how a call ended: `ok`, or the kind of the error.
pub(crate) fn outcome<R>(result: &Result<R>) -> &'static str {
    result.as_ref().map_or_else(|error| name(error.kind()), |_| OK)
}

/// Returns how a search ended: as [`outcome`] does, or `none` if nothing was found.
pub(crate) fn outcome_of_search<R>(result: &Result<Option<R>>) -> &'static str {
    if matches!(result, Ok(None)) { "none" } else { outcome(result) }
}

fn name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "not_found",
        ErrorKind::MultipleSessions => "multiple_sessions",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Expired => "expired",
        ErrorKind::LimitReached => "limit_reached",
        ErrorKind::InvalidField => "invalid_field",
        ErrorKind::UnknownField => "unknown_field",
        ErrorKind::InvalidData => "invalid_data",
        ErrorKind::DuplicateToken => "duplicate_token",
        ErrorKind::MissingTable => "missing_table",
        ErrorKind::MissingColumn => "missing_column",
        ErrorKind::ColumnMismatch => "column_mismatch",
        ErrorKind::Constraint => "constraint",
        ErrorKind::NoTransaction => "no_transaction",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::ReadOnly => "read_only",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::LockTimeout => "lock_timeout",
        ErrorKind::Contention => "contention",
        ErrorKind::StatementTimeout => "statement_timeout",
        ErrorKind::DiskFull => "disk_full",
        ErrorKind::PermissionDenied => "permission_denied",
        ErrorKind::Decode => "decode",
        ErrorKind::Database => "database",
    }
}

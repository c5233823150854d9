//! The calls of the workers and their answers: all that the checker knows.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A moment in the order of the run: a number drawn before a call begins and after it has ended.
pub(crate) type Tick = u64;

/// A session, by the number that its creation got. The number stands in the row.
pub(crate) type Label = i64;

/// A token, by the number that its creation or rotation got.
pub(crate) type TokenNumber = u64;

/// A transaction, or one inside another.
pub(crate) type TransactionId = u64;

/// One call, from its beginning to its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) start: Tick,
    pub(crate) end: Tick,
    pub(crate) within: Option<TransactionId>,
    /// Which of the handles ran it.
    pub(crate) handle: usize,
    /// What other handles had changed by then, it must know: its beginning, or with a cache a moment before that.
    pub(crate) knows: Tick,
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
    /// The name of the error, if there was one.
    pub(crate) error: Option<String>,
    pub(crate) seen: Seen,
    pub(crate) took: Duration,
}

/// The request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    Create {
        label: Label,
        user: u32,
        token: TokenNumber,
    },
    Authenticate {
        label: Label,
        token: TokenNumber,
    },
    Expire {
        label: Label,
    },
    Delete {
        label: Label,
    },
    Rotate {
        label: Label,
        token: TokenNumber,
    },
    Update {
        label: Label,
        mark: i64,
    },
    Extend {
        label: Label,
    },
    ExpireAll {
        user: u32,
    },
    DeleteAll {
        user: u32,
    },
    /// Through the library.
    Begin {
        transaction: TransactionId,
    },
    /// By the application, on its own pool.
    OwnBegin {
        transaction: TransactionId,
    },
    InnerBegin {
        transaction: TransactionId,
        outer: TransactionId,
    },
    Commit {
        transaction: TransactionId,
    },
    Rollback {
        transaction: TransactionId,
    },
    /// A statement of the application's own.
    Statement,
}

/// The kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// Done, or found.
    Yes,
    /// There is no such session, or it has ended, as the database says.
    No,
    /// An error after which certainly nothing was done.
    Refused,
    /// An error that leaves it open.
    Unknown,
    /// The caller was dropped.
    Dropped,
    /// The caller gave up after a minute.
    Hung,
}

/// The values of the row that an answer showed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) mark: Option<i64>,
    pub(crate) expires_at: Option<OffsetDateTime>,
    /// The digest of the new token, if the caller knows it.
    pub(crate) digest: Option<Digest>,
}

/// SHA-256 of a token, in lower-case hexadecimal. It is computed here, not by the library.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Digest(pub(crate) String);

impl Digest {
    pub(crate) fn of(token: &str) -> Self {
        use sha2::Digest as _;
        Self(base16ct::lower::encode_string(&sha2::Sha256::digest(token.as_bytes())))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

impl Action {
    /// Returns the one session that it concerns.
    pub(crate) fn label(self) -> Option<Label> {
        match self {
            Self::Create { label, .. }
            | Self::Authenticate { label, .. }
            | Self::Expire { label }
            | Self::Delete { label }
            | Self::Rotate { label, .. }
            | Self::Update { label, .. }
            | Self::Extend { label } => Some(label),
            _ => None,
        }
    }

    /// Returns `true` if it is no call of the library's.
    pub(crate) fn is_applications(self) -> bool {
        matches!(
            self,
            Self::OwnBegin { .. }
                | Self::InnerBegin { .. }
                | Self::Commit { .. }
                | Self::Rollback { .. }
                | Self::Statement
        )
    }

    /// Returns its name in a report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Authenticate { .. } => "authenticate",
            Self::Expire { .. } => "expire",
            Self::Delete { .. } => "delete",
            Self::Rotate { .. } => "rotate",
            Self::Update { .. } => "update",
            Self::Extend { .. } => "extend",
            Self::ExpireAll { .. } => "expire_all",
            Self::DeleteAll { .. } => "delete_all",
            Self::Begin { .. } => "sessions.begin()",
            Self::OwnBegin { .. } => "pool.begin()",
            Self::InnerBegin { .. } => "tx.begin()",
            Self::Commit { .. } => "commit",
            Self::Rollback { .. } => "rollback",
            Self::Statement => "the application's statement",
        }
    }
}

/// What a call does: the `operation` of its span and of its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    AuditLog,
    Authenticate,
    Count,
    CountBy,
    Create,
    Delete,
    DeleteAll,
    #[cfg(feature = "dbsc")]
    DeviceChallenge,
    Exchange,
    Exists,
    Expire,
    ExpireAll,
    Extend,
    Fetch,
    FetchPage,
    Import,
    Preload,
    Prune,
    Reauthenticate,
    #[cfg(feature = "dbsc")]
    RegisterDevice,
    Reload,
    #[cfg(feature = "dbsc")]
    RenewBound,
    RetiredTokens,
    Rotate,
    RotateWithGrace,
    Update,
}

impl Operation {
    #[cfg(feature = "metrics")]
    pub(crate) const COUNT: usize = Self::Update as usize + 1;

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AuditLog => "audit_log",
            Self::Authenticate => "authenticate",
            Self::Count => "count",
            Self::CountBy => "count_by",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteAll => "delete_all",
            #[cfg(feature = "dbsc")]
            Self::DeviceChallenge => "device_challenge",
            Self::Exchange => "exchange",
            Self::Exists => "exists",
            Self::Expire => "expire",
            Self::ExpireAll => "expire_all",
            Self::Extend => "extend",
            Self::Fetch => "fetch",
            Self::FetchPage => "fetch_page",
            Self::Import => "import",
            Self::Preload => "preload",
            Self::Prune => "prune",
            Self::Reauthenticate => "reauthenticate",
            #[cfg(feature = "dbsc")]
            Self::RegisterDevice => "register_device",
            Self::Reload => "reload",
            #[cfg(feature = "dbsc")]
            Self::RenewBound => "renew_bound",
            Self::RetiredTokens => "retired_tokens",
            Self::Rotate => "rotate",
            Self::RotateWithGrace => "rotate_with_grace",
            Self::Update => "update",
        }
    }
}

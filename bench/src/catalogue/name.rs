//! The contestants' names in every table.

pub const CLOAKROOM: &str = "Cloakroom";
pub const CACHED: &str = "Cloakroom, cached";
pub const CACHED_AND_READ: &str = "Cloakroom, cached, data read";
pub const CLOAKROOM_MAPPED: &str = "Cloakroom, file mapped";
pub const NO_CHECKSUM: &str = "Cloakroom, no checksum";
pub const ONE_BY_ONE: &str = "Cloakroom, one by one";
pub const BY_HAND: &str = "sqlx by hand";
pub const TOWER_SESSIONS: &str = "tower-sessions";
pub const TOWER_CACHED: &str = "tower-sessions, cached";
pub const TOWER_ONE: &str = "tower-sessions, one connection";
pub const AXUM_SESSION: &str = "axum_session";
pub const RUSQLITE: &str = "rusqlite, blocking";
pub const RUSQLITE_MAPPED: &str = "rusqlite, blocking, file mapped";
pub const RUSQLITE_WRITER: &str = "rusqlite, one transaction each";
pub const TOKIO_POSTGRES: &str = "tokio-postgres, pipelined";
pub const SHARED: &str = "SHA-256 and a map, shared";
pub const OWNED: &str = "SHA-256 and a map, copied";
pub const HARNESS: &str = "the harness alone";
pub const HS256: &str = "JWT, HS256";
pub const EDDSA: &str = "JWT, EdDSA";
pub const ONE_SCHEME: &str = "one scheme";
pub const THREE_SCHEMES: &str = "three schemes";
pub const RECORDED: &str = "last uses recorded";
pub const UNRECORDED: &str = "not recorded";
pub const WITHOUT_SESSION: &str = "axum without a session";

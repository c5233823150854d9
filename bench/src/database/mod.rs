//! How all contestants reach a database: pools of one size, and files of SQLite.

pub mod pools;
pub mod pools_of_peers;
pub mod sqlite_file;
pub mod sqlite_time;

/// How many connections each contestant's pool has. All of them are opened at once, are kept, and are not pinged before
/// use; sqlx pings by default, and its documentation says how to turn that off.
pub const CONNECTIONS: u32 = 8;

//! Which server a pool's connections lead to: MariaDB or MySQL.
//!
//! Most statements need not know: each server reads the comments that are meant for it. Where a comment is not enough,
//! the server is asked once for each pool.

use std::sync::OnceLock;

use super::Server;

/// What is known of the server of one pool.
#[derive(Default)]
pub(crate) struct KnownServer(OnceLock<Server>);

impl KnownServer {
    /// Returns the server, if it has been asked.
    pub(crate) fn get(&self) -> Option<Server> {
        self.0.get().copied()
    }

    /// Returns the server. Asks it on this connection if that has not been done.
    #[cfg(feature = "mysql")]
    pub(crate) async fn ask(&self, connection: &mut sqlx::MySqlConnection) -> Result<Server, sqlx::Error> {
        if let Some(server) = self.get() {
            return Ok(server);
        }
        let is_mariadb: i64 =
            sqlx::query_scalar("SELECT 0 /*M! + 1 */").persistent(false).fetch_one(connection).await?;
        Ok(*self.0.get_or_init(|| if is_mariadb == 1 { Server::MariaDb } else { Server::MySql }))
    }
}

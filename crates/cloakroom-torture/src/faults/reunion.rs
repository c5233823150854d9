//! What an operator does with a cluster that does not come together again by itself: several nodes were away at once, and
//! each waits for one that there is no more.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, Row};

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Makes the node that has most the first of a new primary component, if no node is in one. Returns `true` if it did.
pub(super) async fn bootstrap(urls: &[String]) -> Result<bool, sqlx::Error> {
    let mut best: Option<(i64, MySqlConnection)> = None;
    for url in urls {
        let Ok(Ok((mut node, is_primary))) = tokio::time::timeout(PATIENCE, look(url)).await else {
            continue;
        };
        if is_primary {
            return Ok(false);
        }
        let committed = status(&mut node, "wsrep_last_committed").await?.parse().unwrap_or(-1);
        if best.as_ref().is_none_or(|(most, _)| committed > *most) {
            best = Some((committed, node));
        }
    }
    let Some((_, mut node)) = best else {
        return Ok(false);
    };
    node.execute("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'").await?;
    Ok(true)
}

async fn look(url: &str) -> Result<(MySqlConnection, bool), sqlx::Error> {
    let mut node = MySqlConnection::connect(url).await?;
    let is_primary = status(&mut node, "wsrep_cluster_status").await? == "Primary";
    Ok((node, is_primary))
}

/// A node without a primary component still says how it is, to a statement that was not prepared.
async fn status(node: &mut MySqlConnection, name: &str) -> Result<String, sqlx::Error> {
    let sql = AssertSqlSafe(format!("SHOW STATUS LIKE '{name}'"));
    sqlx::raw_sql(sql).fetch_one(node).await?.try_get(1)
}

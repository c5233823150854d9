//! A cluster of MariaDB's without a binary log sends to the others, at times, what ROLLBACK TO SAVEPOINT has undone: in the
//! first transaction of a connection that writes, if it reads a table before its savepoint.

use cloakroom::Config;
use cloakroom_testing::user;
use sqlx::Connection;

use super::nodes::Cluster;

async fn what_a_savepoint_undoes_is_undone_on_all_nodes(cluster: &Cluster) {
    let [a, b, c] = cluster.migrated(&Config::default()).await;
    for _ in 0..3 {
        // Its first transaction is that of a new connection.
        let database = cluster.database(0).await;
        let a = cloakroom::Sessions::new(database.clone(), a.config().clone()).unwrap();
        let mut transaction = a.begin().await.unwrap();
        a.within(&mut transaction).query().count().await.unwrap();
        let mut inner = transaction.mysql().begin().await.unwrap();
        let undone = a.within(&mut inner).create(user("1234")).await.unwrap();
        inner.rollback().await.unwrap();
        let kept = a.within(&mut transaction).create(user("1234")).await.unwrap();
        transaction.commit().await.unwrap();
        for node in [&a, &b, &c] {
            assert_eq!(node.authenticate(&undone.token).await.unwrap(), None);
            assert!(node.authenticate(&kept.token).await.unwrap().is_some());
        }
        database.close().await;
    }
}

on_galera! {
    what_a_savepoint_undoes_is_undone_on_all_nodes,
}

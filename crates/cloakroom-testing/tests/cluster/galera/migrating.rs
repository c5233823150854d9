//! The tables are made from all nodes at the same time.

use cloakroom::{Config, Sessions};
use cloakroom_testing::ApiKey;
use futures_util::future::join_all;

use crate::galera::nodes::Cluster;

async fn rounds(cluster: &Cluster, rounds: usize) {
    for round in 0..rounds {
        // Two processes at each node.
        let handles: Vec<Sessions<ApiKey>> = (0..6)
            .map(|process| {
                let sessions = Sessions::<ApiKey>::new(cluster.pool(process % 3), Config::default()).unwrap();
                sessions.with_schema(format!("{}_{round}", cluster.schema())).unwrap()
            })
            .collect();
        let all = join_all(handles.iter().map(|sessions| {
            let sessions = sessions.clone();
            tokio::spawn(async move { sessions.migrate().await })
        }));
        for (process, done) in all.await.into_iter().enumerate() {
            done.unwrap().unwrap_or_else(|error| panic!("round {round}, process {process}: {error:?}"));
        }
        for sessions in &handles {
            assert!(sessions.migration_status().await.unwrap().iter().all(|(_, is_applied)| *is_applied));
            assert!(sessions.migrate().await.unwrap().is_empty());
        }
        cluster.execute(0, &format!("DROP DATABASE {}_{round}", cluster.schema())).await;
    }
}

async fn processes_at_all_nodes_can_make_the_tables_at_once(cluster: &Cluster) {
    rounds(cluster, 4).await;
}

on_galera!(processes_at_all_nodes_can_make_the_tables_at_once);

/// Takes minutes.
mod long {
    mod mariadb {
        #[test]
        #[ignore = "takes minutes: run it by its name, with `--ignored`"]
        fn processes_at_all_nodes_can_make_the_tables_at_once_fifty_times() {
            crate::galera::nodes::run(async |cluster: &crate::galera::nodes::Cluster| {
                super::super::rounds(cluster, 50).await;
            });
        }
    }
}

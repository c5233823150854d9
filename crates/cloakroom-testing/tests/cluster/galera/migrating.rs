//! The tables are made, and brought up to date, from all nodes at the same time.

use cloakroom::{Config, Sessions};
use cloakroom_testing::ApiKey;
use futures_util::future::join_all;

use crate::galera::nodes::Cluster;

async fn rounds(cluster: &Cluster, rounds: usize) {
    for round in 0..rounds {
        let schema = format!("{}_{round}", cluster.schema());
        all_migrate(cluster, &schema).await;
        // A table of an earlier version.
        cluster.execute(0, &format!("ALTER TABLE {schema}.api_keys DROP COLUMN sliding_seconds")).await;
        all_migrate(cluster, &schema).await;
        cluster.execute(0, &format!("DROP DATABASE {schema}")).await;
    }
}

/// Lets two processes at each node migrate at the same time.
async fn all_migrate(cluster: &Cluster, schema: &str) {
    let handles: Vec<Sessions<ApiKey>> = (0..6)
        .map(|process| {
            let sessions = Sessions::<ApiKey>::new(cluster.pool(process % 3), Config::default()).unwrap();
            sessions.with_schema(schema.to_owned()).unwrap()
        })
        .collect();
    let all = join_all(handles.iter().map(|sessions| {
        let sessions = sessions.clone();
        tokio::spawn(async move { sessions.migrate().await })
    }));
    for (process, done) in all.await.into_iter().enumerate() {
        done.unwrap().unwrap_or_else(|error| panic!("{schema}, process {process}: {error:?}"));
    }
    for sessions in &handles {
        assert!(sessions.migration_status().await.unwrap().iter().all(|(_, is_applied)| *is_applied));
        assert!(sessions.migrate().await.unwrap().is_empty());
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

//! A node that the others do not reach.

use cloakroom::{Config, ErrorKind, Outcome};
use cloakroom_testing::user;

use crate::galera::nodes::Cluster;
use crate::waiting::until;

async fn a_node_that_is_cut_off_is_unavailable_and_serves_again_when_it_is_back(cluster: &Cluster) {
    let [a, b, _] = cluster.migrated(&Config::default()).await;
    let created = a.create(user("1234")).await.unwrap();
    let mut session = b.authenticate(&created.token).await.unwrap().unwrap();
    let mut transaction = b.begin().await.unwrap();
    let within = b.within(&mut transaction).create(user("within")).await.unwrap();
    cluster.execute(1, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'").await;
    // A write that the others were told of, or not.
    let on_its_way = tokio::spawn({
        let b = b.clone();
        async move { b.create(user("on its way")).await }
    });
    // Until it notices, it waits for the others.
    until("the node knows that it is cut off", async || match b.authenticate(&created.token).await {
        Ok(session) => {
            assert!(session.is_some());
            false
        }
        Err(error) => {
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::Unavailable, Outcome::NotDone),
                "{error:?}"
            );
            true
        }
    })
    .await;
    for error in [
        b.create(user("1234")).await.map(drop).unwrap_err(),
        b.expire(&mut session).await.map(drop).unwrap_err(),
        b.begin().await.map(drop).unwrap_err(),
        b.migrate().await.map(drop).unwrap_err(),
        b.query().count().await.map(drop).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotDone), "{error:?}");
    }
    let error = on_its_way.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    // The others go on meanwhile, and what they do is known when it is back.
    assert!(a.expire(&mut session).await.unwrap());
    cluster.execute(1, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'").await;
    until("the node serves again", async || match b.authenticate(&created.token).await {
        Ok(session) => {
            assert!(session.is_none());
            true
        }
        Err(_) => false,
    })
    .await;
    assert!(b.authenticate(&within.token).await.unwrap().is_none());
}

on_galera!(a_node_that_is_cut_off_is_unavailable_and_serves_again_when_it_is_back);

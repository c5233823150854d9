//! A limit per owner, with log-ins on all nodes at the same moment.

use std::collections::BTreeSet;

use cloakroom::{Config, Error, ErrorKind, NewSession, PerOwner, SessionTable, Sessions, Status};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::galera::nodes::Cluster;

const TASKS: usize = 60;

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "limited_sessions")]
struct Limited {
    #[session(index, owner)]
    user_id: i64,
    #[session(ended_because)]
    ended_because: Option<String>,
}

/// Makes handles on each node, which know nothing of each other.
async fn handles(cluster: &Cluster, limit: &PerOwner<Limited>) -> Vec<Sessions<Limited>> {
    let mut handles = Vec::new();
    for process in 0..6 {
        let sessions = Sessions::new(cluster.pool(process % 3), Config::default()).unwrap();
        sessions.migrate().await.unwrap();
        handles.push(sessions.with_limit(limit.clone()).unwrap());
    }
    handles
}

/// Logs one user in, everywhere at once.
async fn log_in(handles: &[Sessions<Limited>], user_id: i64) -> Vec<Result<Uuid, Error>> {
    let tasks = (0..TASKS).map(|task| {
        let sessions = handles[task % handles.len()].clone();
        tokio::spawn(async move {
            let new = NewSession::new(Limited { user_id, ended_because: None });
            sessions.create(new).await.map(|created| created.session.id)
        })
    });
    let tasks: Vec<_> = tasks.collect();
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

async fn as_many_sessions_are_left_as_the_limit_allows(cluster: &Cluster) {
    for most in [1, 5] {
        let handles = handles(cluster, &PerOwner::at_most(most)).await;
        for user_id in 0..4 {
            let made = log_in(&handles, user_id).await;
            let made: BTreeSet<_> = made.into_iter().map(Result::unwrap).collect();
            for sessions in &handles[..3] {
                let valid = sessions.query().owner(user_id).fetch_all().await.unwrap();
                assert_eq!(valid.len() as u64, most);
                assert!(valid.iter().all(|session| made.contains(&session.id)));
            }
            let ended = handles[0].query().owner(user_id).status(Status::Expired).fetch_all().await.unwrap();
            assert_eq!(ended.len() as u64, TASKS as u64 - most);
            assert!(ended.iter().all(|session| session.ended_because() == Some("evicted")));
        }
        handles[0].query().status(Status::All).delete_all().await.unwrap();
    }
}

async fn no_more_log_ins_succeed_than_there_is_room_for(cluster: &Cluster) {
    let handles = handles(cluster, &PerOwner::at_most(5).refuse()).await;
    for user_id in 0..4 {
        let made = log_in(&handles, user_id).await;
        let refused = made.iter().filter_map(|made| made.as_ref().err());
        for error in refused {
            assert_eq!(error.kind(), ErrorKind::LimitReached, "{error:?}");
        }
        let succeeded: BTreeSet<_> = made.into_iter().flatten().collect();
        for sessions in &handles[..3] {
            let all = sessions.query().owner(user_id).status(Status::All).fetch_all().await.unwrap();
            assert_eq!(all.iter().map(|session| session.id).collect::<BTreeSet<_>>(), succeeded);
        }
        assert!((1..=5).contains(&succeeded.len()), "{}", succeeded.len());
    }
}

on_galera! {
    as_many_sessions_are_left_as_the_limit_allows,
    no_more_log_ins_succeed_than_there_is_room_for,
}

//! On whichever node a question is asked, its answer is not older than the question.

use cloakroom::{CausalReads, Config, Error, ErrorKind, Outcome, Sessions, Token};
use cloakroom_testing::{UserSession, user};
use futures_util::future::join_all;
use sqlx::mysql::MySqlPoolOptions;

use crate::galera::nodes::Cluster;
use crate::waiting::until;

fn off() -> Config {
    Config::builder().causal_reads(CausalReads::Off).build().unwrap()
}

async fn is_valid(sessions: &Sessions<UserSession>, token: &Token) -> bool {
    sessions.authenticate(token).await.unwrap().is_some()
}

async fn end(sessions: &Sessions<UserSession>, token: &Token) {
    let mut session = sessions.authenticate(token).await.unwrap().expect("it is valid");
    assert!(sessions.expire(&mut session).await.unwrap());
}

async fn a_session_that_another_node_has_ended_is_refused_by_a_node_that_lags(cluster: &Cluster) {
    let [a, b, c] = cluster.migrated(&Config::default()).await;
    for (node, lagging) in [(1, b), (2, c)] {
        let created = a.create(user("1234")).await.unwrap();
        assert!(is_valid(&lagging, &created.token).await);
        let held = cluster.hold_back(node).await;
        end(&a, &created.token).await;
        // So the nodes are by themselves.
        assert!(is_valid(&cluster.sessions(node, &off()), &created.token).await);
        assert!(!held.catches_up_during(is_valid(&lagging, &created.token)).await);
    }
}

async fn a_token_that_another_node_has_just_made_is_known_to_a_node_that_lags(cluster: &Cluster) {
    let [a, b, c] = cluster.migrated(&Config::default()).await;
    for (node, lagging) in [(1, b), (2, c)] {
        let held = cluster.hold_back(node).await;
        let created = a.create(user("1234")).await.unwrap();
        assert!(!is_valid(&cluster.sessions(node, &off()), &created.token).await);
        assert!(held.catches_up_during(is_valid(&lagging, &created.token)).await);
    }
}

async fn callers_that_share_a_lookup_are_all_answered_from_what_is_committed(cluster: &Cluster) {
    let [a, b, _] = cluster.migrated(&Config::default()).await;
    let created = join_all((0..40).map(|number| a.create(user(&number.to_string())))).await;
    let tokens: Vec<Token> = created.into_iter().map(|created| created.unwrap().token).collect();
    let held = cluster.hold_back(1).await;
    for token in tokens.iter().step_by(2) {
        end(&a, token).await;
    }
    let all = join_all(tokens.iter().map(|token| is_valid(&b, token)));
    let valid = held.catches_up_during(all).await;
    let expected: Vec<bool> = (0..40).map(|number| number % 2 == 1).collect();
    assert_eq!(valid, expected);
}

async fn queries_and_lists_show_what_another_node_has_just_committed(cluster: &Cluster) {
    let [a, b, _] = cluster.migrated(&Config::default()).await;
    let created = a.create(user("1234")).await.unwrap();
    let of_user = || b.query().filter(UserSession::USER_ID.eq("1234"));
    assert_eq!(of_user().count().await.unwrap(), 1);

    let held = cluster.hold_back(1).await;
    a.create(user("1234")).await.unwrap();
    assert_eq!(held.catches_up_during(of_user().count()).await.unwrap(), 2);
    let held = cluster.hold_back(1).await;
    a.create(user("1234")).await.unwrap();
    assert_eq!(held.catches_up_during(of_user().fetch_all()).await.unwrap().len(), 3);
    let held = cluster.hold_back(1).await;
    end(&a, &created.token).await;
    let by_token = b.query().token(&created.token).fetch_optional();
    assert!(held.catches_up_during(by_token).await.unwrap().is_none());
}

async fn ending_all_sessions_of_a_user_ends_those_that_another_node_has_just_made(cluster: &Cluster) {
    let [a, b, _] = cluster.migrated(&Config::default()).await;
    let of_user = || b.query().filter(UserSession::USER_ID.eq("1234"));
    assert_eq!(of_user().expire_all().await.unwrap(), 0);
    let held = cluster.hold_back(1).await;
    let created = a.create(user("1234")).await.unwrap();
    assert_eq!(held.catches_up_during(of_user().expire_all()).await.unwrap(), 1);
    assert!(!is_valid(&a, &created.token).await);
    let held = cluster.hold_back(1).await;
    a.create(user("1234")).await.unwrap();
    assert_eq!(held.catches_up_during(of_user().delete_all()).await.unwrap(), 1);
}

async fn a_write_on_a_node_that_lags_loses_to_the_write_that_was_before_it(cluster: &Cluster) {
    let [a, b, _] = cluster.migrated(&Config::default()).await;
    let created = a.create(user("1234")).await.unwrap();
    let mut here = b.authenticate(&created.token).await.unwrap().unwrap();
    let mut there = a.authenticate(&created.token).await.unwrap().unwrap();
    let held = cluster.hold_back(1).await;
    there.fields.user_id = "first".into();
    a.update(&mut there).await.unwrap();
    here.fields.user_id = "second".into();
    let error = held.catches_up_during(b.update(&mut here)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    b.update_with(&mut here, |session| session.fields.user_id.push_str(", then second")).await.unwrap();
    a.reload(&mut there).await.unwrap();
    assert_eq!(there.fields.user_id, "first, then second");
}

async fn a_transaction_begins_with_what_another_node_has_committed(cluster: &Cluster) {
    let [a, b, c] = cluster.migrated(&Config::default()).await;
    for (node, lagging) in [(1, b), (2, c)] {
        let held = cluster.hold_back(node).await;
        let created = a.create(user("1234")).await.unwrap();
        let mut transaction = held.catches_up_during(lagging.begin()).await.unwrap();
        let found = lagging.within(&mut transaction).authenticate(&created.token).await.unwrap();
        assert!(found.is_some(), "{node}");
        transaction.rollback().await.unwrap();
        let held = cluster.hold_back(node).await;
        let created = a.create(user("1234")).await.unwrap();
        let database = cluster.database(node).await;
        let mut transaction = held.catches_up_during(database.begin()).await.unwrap();
        assert!(lagging.within(&mut transaction).authenticate(&created.token).await.unwrap().is_some());
    }
}

async fn a_node_that_does_not_catch_up_in_time_is_unavailable_and_says_nothing_of_the_session(
    cluster: &Cluster,
) {
    let [a, b, c] = cluster.migrated(&Config::default()).await;
    let created = a.create(user("1234")).await.unwrap();
    let is_unavailable = |error: Error| {
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotDone), "{error:?}");
        assert!(error.to_string().contains("did not apply in time"), "{error}");
    };
    for (node, lagging) in [(1, b), (2, c)] {
        let limit = |span| format!("SET GLOBAL wsrep_provider_options = 'repl.causal_read_timeout={span}'");
        cluster.execute(node, &limit("PT0.2S")).await;
        assert!(is_valid(&lagging, &created.token).await);
        let held = cluster.hold_back(node).await;
        a.create(user("other")).await.unwrap();
        is_unavailable(lagging.authenticate(&created.token).await.unwrap_err());
        is_unavailable(lagging.query().count().await.unwrap_err());
        is_unavailable(lagging.begin().await.unwrap_err());
        let mut session = a.authenticate(&created.token).await.unwrap().unwrap();
        is_unavailable(lagging.reload(&mut session).await.unwrap_err());
        let error = lagging.delete(session).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::LockTimeout, Outcome::NotDone), "{error:?}");
        held.catch_up().await;
        cluster.execute(node, &limit("PT30S")).await;
        assert!(is_valid(&lagging, &created.token).await);
    }
}

async fn a_server_that_joins_a_cluster_later_is_asked_again(cluster: &Cluster) {
    let [a, _, _] = cluster.migrated(&Config::default()).await;
    let created = a.create(user("1234")).await.unwrap();
    // Each statement has a connection of its own, as after a restart.
    let pool = MySqlPoolOptions::new().after_release(|_, _| Box::pin(async { Ok(false) }));
    let pool = pool.connect_lazy(&cluster.url(1)).unwrap();
    let config = Config::builder().max_batch(1).build().unwrap();
    let b = Sessions::<UserSession>::new(pool, config).unwrap();
    cluster.execute(1, "SET GLOBAL wsrep_on = OFF").await;
    assert!(is_valid(&b, &created.token).await);
    cluster
        .execute(
            1,
            "SET GLOBAL wsrep_on = ON; SET GLOBAL wsrep_provider_options = 'repl.causal_read_timeout=PT0.1S'",
        )
        .await;
    let held = cluster.hold_back(1).await;
    end(&a, &created.token).await;
    until("the server says that it is a node", async || b.authenticate(&created.token).await.is_err()).await;
    cluster.execute(1, "SET GLOBAL wsrep_provider_options = 'repl.causal_read_timeout=PT30S'").await;
    assert!(!held.catches_up_during(is_valid(&b, &created.token)).await);
}

on_galera!(
    a_session_that_another_node_has_ended_is_refused_by_a_node_that_lags,
    a_token_that_another_node_has_just_made_is_known_to_a_node_that_lags,
    callers_that_share_a_lookup_are_all_answered_from_what_is_committed,
    queries_and_lists_show_what_another_node_has_just_committed,
    ending_all_sessions_of_a_user_ends_those_that_another_node_has_just_made,
    a_write_on_a_node_that_lags_loses_to_the_write_that_was_before_it,
    a_transaction_begins_with_what_another_node_has_committed,
    a_node_that_does_not_catch_up_in_time_is_unavailable_and_says_nothing_of_the_session,
    a_server_that_joins_a_cluster_later_is_asked_again,
);

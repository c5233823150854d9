//! On PostgreSQL, what one process revokes the others hear of: two handles with pools of their own are two
//! processes.

use std::time::Duration;

use cloakroom::{Cache, DynamicFields, Session, SessionFields, Sessions, Status};
use cloakroom_testing::{TestDatabase, UserSession, user};
use futures_util::future::try_join_all;

use crate::revoked::CHANGES;
use crate::scene::{Own, Scene, definition, listening, until};

const BOUND: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_micros(1);

async fn a_change_on_one_node_is_seen_on_another(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let here = scene.node(scene.db.config().cache(listening()));
    let there = scene.node_apart(scene.db.config().cache(listening())).await;
    for change in CHANGES {
        let created = here.create(user("1234")).await.unwrap();
        scene.until_kept(&there, &created.token).await;
        let valid = change.make(&here, &created, scene.db.now()).await;
        // The clock stands still, so nothing else makes the answer old.
        until("the other node sees the change", async || {
            let answer = there.authenticate(&created.token).await.unwrap();
            answer.is_none_or(|session| change.changes_fields() && session.fields.user_id == "changed")
        })
        .await;
        if let Some(token) = valid {
            scene.until_kept(&there, &token).await;
        }
    }
}

/// The one with which other tools work: `cloakroom`'s command line, for instance.
async fn a_node_without_a_cache_announces_too(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let there = scene.node_apart(scene.db.config().cache(listening())).await;
    let token = scene.create().await;
    scene.until_kept(&there, &token).await;
    let table = DynamicFields::definition_from(&scene.db.database(), None, &scene.table).await.unwrap();
    let tool: Sessions<DynamicFields> =
        Sessions::with_definition(scene.db.database(), table.unwrap(), scene.db.config().build().unwrap())
            .unwrap();
    let mut session = tool.authenticate(&token).await.unwrap().unwrap();
    assert!(tool.expire(&mut session).await.unwrap());
    until("the other node refuses", async || there.authenticate(&token).await.unwrap().is_none()).await;
}

async fn a_change_in_a_transaction_is_announced_when_it_is_committed(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let here = scene.node(scene.db.config());
    let there = scene.node_apart(scene.db.config().cache(listening())).await;
    let (token, other) = (scene.create().await, scene.create().await);
    for token in [&token, &other] {
        scene.until_kept(&there, token).await;
    }
    let mut heard = scene.hear().await;
    for _ in 0..2 {
        let mut own = Own::begin(&scene.db).await;
        assert_eq!(own.within(&here).query().delete_all().await.unwrap(), 2);
        assert_eq!(heard.so_far(&scene).await, [""; 0]);
        own.rollback().await;
        assert_eq!(heard.so_far(&scene).await, [""; 0]);
    }
    assert!(there.authenticate(&token).await.unwrap().is_some());
    let mut own = Own::begin(&scene.db).await;
    let mut session = own.within(&here).authenticate(&token).await.unwrap().unwrap();
    assert!(own.within(&here).expire(&mut session).await.unwrap());
    assert_eq!(heard.so_far(&scene).await, [""; 0]);
    own.commit().await;
    assert_eq!(heard.so_far(&scene).await, [session.id.to_string()]);
    until("the other node refuses", async || there.authenticate(&token).await.unwrap().is_none()).await;
    assert!(there.authenticate(&other).await.unwrap().is_some());
}

async fn many(sessions: &Sessions<UserSession>, count: usize) -> Vec<cloakroom::CreatedSession<UserSession>> {
    try_join_all((0..count).map(|_| sessions.create(user("many")))).await.unwrap()
}

async fn a_change_of_many_is_announced_as_one_of_all(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let here = scene.node(scene.db.config());
    let there = scene.node_apart(scene.db.config().cache(listening())).await;
    let created = many(&here, 1001).await;
    let token = &created[500].token;
    let mut heard = scene.hear().await;
    let all = || here.query().status(Status::All);
    // A thousand are not yet too many to be told one by one.
    assert_eq!(all().filter(UserSession::ID.ne(created[0].session.id)).expire_all().await.unwrap(), 1000);
    let mut ids: Vec<_> = created[1..].iter().map(|created| created.session.id.to_string()).collect();
    let mut told = heard.so_far(&scene).await;
    ids.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, ids);

    scene.db.execute(&format!("UPDATE {} SET expires_at = NULL", scene.table)).await;
    scene.until_kept(&there, token).await;
    assert_eq!(here.query().expire_all().await.unwrap(), 1001);
    assert_eq!(heard.so_far(&scene).await, ["*"]);
    until("the other node refuses", async || there.authenticate(token).await.unwrap().is_none()).await;

    scene.db.execute(&format!("UPDATE {} SET expires_at = NULL", scene.table)).await;
    scene.until_kept(&there, token).await;
    assert_eq!(all().delete_all().await.unwrap(), 1001);
    assert_eq!(heard.so_far(&scene).await, ["*"]);
    until("the other node refuses", async || there.authenticate(token).await.unwrap().is_none()).await;
}

async fn what_changes_nothing_is_not_announced(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let here = scene.node(scene.db.config());
    let created = here.create(user("1234")).await.unwrap();
    let mut heard = scene.hear().await;
    let mut session = created.session.clone();
    here.authenticate(&created.token).await.unwrap();
    here.extend(&mut session).await.unwrap();
    here.delete_expired().await.unwrap();
    here.create(user("5678")).await.unwrap();
    assert_eq!(here.query().filter(UserSession::USER_ID.eq("nobody")).delete_all().await.unwrap(), 0);
    assert_eq!(heard.so_far(&scene).await, [""; 0]);
    assert!(here.delete(created.session.clone()).await.unwrap());
    assert!(!here.delete(created.session.clone()).await.unwrap());
    assert_eq!(heard.so_far(&scene).await, [created.session.id.to_string()]);
}

async fn without_announcements_the_bound_is_the_greatest_age(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let here = scene.node(scene.db.config().announce(false));
    let (config, clock) = scene.config_apart(listening().max_staleness(BOUND));
    let there = scene.node_apart(config).await;
    let mut heard = scene.hear().await;
    for change in CHANGES {
        let created = here.create(user("1234")).await.unwrap();
        scene.until_kept(&there, &created.token).await;
        change.make(&here, &created, scene.db.now()).await;
        assert_eq!(heard.so_far(&scene).await, [""; 0]);
        let is_seen = async || {
            let answer = there.authenticate(&created.token).await.unwrap();
            answer.is_none_or(|session| session.fields.user_id == "changed")
        };
        assert!(!is_seen().await, "{change:?}");
        clock.advance(BOUND);
        clock.advance(TICK);
        assert!(is_seen().await, "{change:?}");
    }
}

async fn other_tables_announcements_are_not_heard(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let there = scene.node_apart(scene.db.config().cache(listening())).await;
    let (token, last) = (scene.create().await, scene.create().await);
    for token in [&token, &last] {
        scene.until_kept(&there, token).await;
    }
    let id = there.authenticate(&token).await.unwrap().unwrap().id;
    let others =
        [format!("{}_2", scene.table), format!("x{}", scene.table), format!("_{}", &scene.table[1..])];
    for other in &others {
        let config = scene.db.config().build().unwrap();
        let others: Sessions<UserSession> =
            Sessions::with_definition(scene.db.database(), definition(other), config).unwrap();
        others.migrate().await.unwrap();
        many(&others, 3).await;
        assert_eq!(others.query().limit(1).expire_all().await.unwrap(), 1);
        assert_eq!(others.query().delete_all().await.unwrap(), 2);
        scene.db.execute(&format!("NOTIFY cloakroom, '{other} *'; NOTIFY cloakroom, '{other} {id}'")).await;
    }
    scene.db.execute("NOTIFY cloakroom; NOTIFY cloakroom, '*'; NOTIFY cloakroom, ' '").await;
    scene.db.execute(&format!("NOTIFY cloakroom, '{}'", scene.table)).await;
    // Announcements come in the order of their commits.
    let here = scene.node(scene.db.config());
    assert_eq!(here.query().token(&last).expire_all().await.unwrap(), 1);
    until("the other node refuses", async || there.authenticate(&last).await.unwrap().is_none()).await;
    assert!(scene.is_kept(&there, &token).await);
}

async fn what_cannot_be_read_as_one_session_voids_all(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let there = scene.node_apart(scene.db.config().cache(listening())).await;
    let token = scene.create().await;
    for what in ["*", "", "of a later version", "00000000-0000-0000-0000-00000000000g"] {
        scene.until_kept(&there, &token).await;
        scene.db.execute(&format!("NOTIFY cloakroom, '{} {what}'", scene.table)).await;
        until("nothing is kept", async || !scene.is_kept(&there, &token).await).await;
    }
}

async fn a_table_whose_name_needs_quotes_is_announced_by_it_and_no_other_hears(db: TestDatabase) {
    let one = format!("Tenant {} A's org-42?", db.unique_name());
    let scene = Scene::named(db, one).await;
    let here = scene.node(scene.db.config().cache(listening()));
    let there = scene.node_apart(scene.db.config().cache(listening())).await;
    let mut heard = scene.hear().await;
    for change in CHANGES {
        let created = here.create(user("1234")).await.unwrap();
        scene.until_kept(&there, &created.token).await;
        change.make(&here, &created, scene.db.now()).await;
        until("the other node sees the change", async || {
            let answer = there.authenticate(&created.token).await.unwrap();
            answer.is_none_or(|session| change.changes_fields() && session.fields.user_id == "changed")
        })
        .await;
        let told = heard.so_far(&scene).await;
        assert!(told.iter().all(|what| *what == created.session.id.to_string()), "{told:?}");
    }
    // A table whose name ends where that of this one has a space.
    let shorter = scene.table.split_once(" A's").unwrap().0.to_owned();
    let config = scene.db.config().cache(listening()).build().unwrap();
    let definition = definition(&shorter);
    let neighbour =
        Sessions::<UserSession>::with_definition(scene.db.database(), definition, config).unwrap();
    neighbour.migrate().await.unwrap();
    let kept = scene.create().await;
    scene.until_kept(&there, &kept).await;
    neighbour.query().status(Status::All).delete_all().await.unwrap();
    let gone = neighbour.create(user("1234")).await.unwrap();
    assert!(neighbour.delete(gone.session).await.unwrap());
    assert_eq!(heard.so_far(&scene).await, [""; 0]);
    assert!(scene.is_kept(&there, &kept).await);
}

async fn an_announcement_holds_no_secret(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let here = scene.node(scene.db.config());
    let mut heard = scene.hear().await;
    for change in CHANGES {
        let created = here.create(user("1234")).await.unwrap();
        change.make(&here, &created, scene.db.now()).await;
        let told = heard.so_far(&scene).await;
        assert!(!told.is_empty(), "{change:?} is not announced");
        for what in told {
            assert_eq!(what, created.session.id.to_string());
        }
    }
}

async fn a_change_on_its_way_to_another_node_is_not_undone_by_its_lookups(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let here = scene.node(scene.db.config());
    let there = scene.node_apart(scene.db.config().cache(listening())).await;
    let warm = scene.create().await;
    scene.until_kept(&there, &warm).await;
    for _ in 0..200 {
        let created = here.create(user("1234")).await.unwrap();
        let lookups = try_join_all((0..8).map(|_| there.authenticate(&created.token)));
        let revocation = here.delete(created.session.clone());
        let (lookups, deleted) = tokio::join!(lookups, revocation);
        lookups.unwrap();
        assert!(deleted.unwrap());
        until("the other node refuses", async || there.authenticate(&created.token).await.unwrap().is_none())
            .await;
        // And goes on refusing.
        assert_eq!(there.authenticate(&created.token).await.unwrap(), None);
    }
}

async fn a_flood_of_announcements_is_drunk(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let here = scene.node(scene.db.config());
    let there = scene.node_apart(scene.db.config().cache(listening())).await;
    let (token, last) = (scene.create().await, scene.create().await);
    for token in [&token, &last] {
        scene.until_kept(&there, token).await;
    }
    let flood = "SELECT pg_notify('cloakroom', 'another_table ' || n) FROM generate_series(1, 30000) n";
    scene.db.execute(flood).await;
    let mut session: Session<_> = here.authenticate(&last).await.unwrap().unwrap();
    assert!(here.expire(&mut session).await.unwrap());
    until("the other node refuses", async || there.authenticate(&last).await.unwrap().is_none()).await;
    scene.until_kept(&there, &token).await;
}

async fn announcing_does_not_change_what_is_returned(db: TestDatabase) {
    let scene = Scene::set(db).await;
    for announces in [true, false] {
        let here = scene.node(scene.db.config().announce(announces).cache(Cache::new(8)));
        let created = many(&here, 5).await;
        let mut session = created[0].session.clone();
        here.update(&mut session).await.unwrap();
        assert!(here.expire(&mut session).await.unwrap());
        assert!(!here.expire(&mut session).await.unwrap());
        assert!(here.delete(session.clone()).await.unwrap());
        assert!(!here.delete(session).await.unwrap());
        assert_eq!(here.query().limit(1).expire_all().await.unwrap(), 1);
        assert_eq!(here.query().expire_all().await.unwrap(), 3);
        assert_eq!(here.query().status(Status::All).delete_all().await.unwrap(), 4);
    }
}

on_postgres! {
    a_change_on_one_node_is_seen_on_another,
    a_node_without_a_cache_announces_too,
    a_change_in_a_transaction_is_announced_when_it_is_committed,
    a_change_of_many_is_announced_as_one_of_all,
    what_changes_nothing_is_not_announced,
    without_announcements_the_bound_is_the_greatest_age,
    other_tables_announcements_are_not_heard,
    what_cannot_be_read_as_one_session_voids_all,
    a_table_whose_name_needs_quotes_is_announced_by_it_and_no_other_hears,
    an_announcement_holds_no_secret,
    a_change_on_its_way_to_another_node_is_not_undone_by_its_lookups,
    a_flood_of_announcements_is_drunk,
    announcing_does_not_change_what_is_returned,
}

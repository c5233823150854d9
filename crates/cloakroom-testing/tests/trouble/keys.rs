//! A key that was taken away too early.

use std::time::Duration;

use cloakroom::{Key, Pruner, Scheme};
use cloakroom_testing::{TestDatabase, UserSession, each_database, user};

use crate::capture;

async fn a_key_that_is_gone_is_named_once_with_its_sessions(db: TestDatabase) {
    capture::start("cloakroom");
    // A name that no other case has.
    let gone = db.unique_name();
    let scheme = |name: String| Scheme::hmac_sha256(name, &Key::from_bytes([1; 32]).unwrap());
    let before = db.sessions_with::<UserSession>(db.config().digests([scheme(gone.clone())])).await;
    let token = before.create(user("1")).await.unwrap().token;
    before.create(user("2")).await.unwrap();
    let mut over = before.create(user("3")).await.unwrap().session;
    before.expire(&mut over).await.unwrap();

    let after = db.sessions_with::<UserSession>(db.config().digests([scheme("new".into())])).await;
    assert!(after.authenticate(&token).await.unwrap().is_none());
    let said =
        || capture::text().lines().filter(|line| line.contains(&gone)).map(str::to_owned).collect::<Vec<_>>();
    let mut pruner = Pruner::spawn(after.clone(), Duration::from_hours(1));
    pruner.run_ended().await;
    for _ in 0..2 {
        after.count_by_scheme().await.unwrap();
    }
    pruner.stop().await;
    let [line] = &said()[..] else { panic!("{:?}", said()) };
    assert!(line.starts_with("WARN cloakroom") && line.contains("sessions=2"), "{line}");
    // With the key back, its sessions are known again.
    let both = db
        .sessions_with::<UserSession>(db.config().digests([scheme("new".into()), scheme(gone.clone())]))
        .await;
    both.count_by_scheme().await.unwrap();
    assert!(both.authenticate(&token).await.unwrap().is_some());
    assert_eq!(said().len(), 1);
}

each_database! { a_key_that_is_gone_is_named_once_with_its_sessions }

//! How old an answer may be, on every clock that there is.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom::{Clock, NewSession, SessionTable, Sessions};
use cloakroom_testing::{START, TestDatabase, each_database, user};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::scene::{Scene, deaf};

const BOUND: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_micros(1);

async fn an_answer_is_given_up_to_the_bound_and_not_a_microsecond_longer(db: TestDatabase) {
    let scene = Scene::set(db).await;
    for bound in [BOUND, TICK, Duration::from_hours(1)] {
        let sessions = scene.node(scene.db.config().cache(deaf().max_staleness(bound)));
        let token = scene.create().await;
        sessions.authenticate(&token).await.unwrap().unwrap();
        scene.delete_row(&token).await;
        scene.db.clock().advance(bound);
        // However often it was asked for meanwhile.
        for _ in 0..3 {
            assert!(sessions.authenticate(&token).await.unwrap().is_some());
        }
        scene.db.clock().advance(TICK);
        assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
    }
}

async fn the_default_bound_is_five_seconds(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let token = scene.create().await;
    sessions.authenticate(&token).await.unwrap().unwrap();
    scene.delete_row(&token).await;
    scene.db.clock().advance(BOUND);
    assert!(sessions.authenticate(&token).await.unwrap().is_some());
    scene.db.clock().advance(TICK);
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
}

type Change = Box<dyn FnOnce() + Send>;

tokio::task_local! {
    /// What happens while a row is decoded: after it was read.
    static MEANWHILE: RefCell<Option<Change>>;
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
struct Watched(Value);

impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if let Some(change) = MEANWHILE.try_with(RefCell::take).ok().flatten() {
            change();
        }
        Value::deserialize(deserializer).map(Self)
    }
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(data = Watched)]
struct WatchedSession {
    user_id: String,
}

async fn the_age_counts_from_before_the_question(db: TestDatabase) {
    let sessions: Sessions<WatchedSession> = db.sessions_with(db.config().cache(deaf())).await;
    let db = Arc::new(db);
    let new = NewSession::new(WatchedSession { user_id: "1234".into() });
    let token = sessions.create(new).await.unwrap().token;
    let clock = Arc::clone(&db);
    let change: Change = Box::new(move || clock.clock().advance(Duration::from_secs(3)));
    let asked = MEANWHILE.scope(RefCell::new(Some(change)), sessions.authenticate(&token));
    assert!(asked.await.unwrap().is_some());
    assert_eq!(db.clock().now(), START + Duration::from_secs(3), "the question took no time");

    db.execute("DELETE FROM sessions").await;
    db.clock().advance(Duration::from_secs(2));
    assert!(sessions.authenticate(&token).await.unwrap().is_some());
    db.clock().advance(TICK);
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
}

async fn a_wall_clock_that_is_set_makes_no_old_answer_fresh(db: TestDatabase) {
    const HOUR: Duration = Duration::from_hours(1);
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let steps: [&[OffsetDateTime]; 5] = [
        &[START - TICK],
        &[START - HOUR],
        &[START - HOUR, START],
        &[START + BOUND + TICK, START],
        &[START + HOUR, START - HOUR, START + BOUND],
    ];
    for steps in steps {
        scene.db.clock().set(START);
        let token = scene.create().await;
        sessions.authenticate(&token).await.unwrap().unwrap();
        scene.delete_row(&token).await;
        for instant in steps {
            scene.db.clock().set(*instant);
        }
        assert_eq!(sessions.authenticate(&token).await.unwrap(), None, "{steps:?}");
    }
}

/// Two clocks that need not agree.
#[derive(Debug)]
pub(crate) struct Clocks {
    wall: Mutex<OffsetDateTime>,
    /// What the wall clock is set to right after it is read.
    next: Mutex<Option<OffsetDateTime>>,
    monotonic: Mutex<Duration>,
}

impl Clocks {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            wall: Mutex::new(START),
            next: Mutex::default(),
            monotonic: Mutex::new(Duration::from_secs(1000)),
        })
    }

    pub(crate) fn set_wall(&self, instant: OffsetDateTime) {
        *self.wall.lock().unwrap() = instant;
    }
}

impl Clock for Clocks {
    fn now(&self) -> OffsetDateTime {
        let mut wall = self.wall.lock().unwrap();
        let next = self.next.lock().unwrap().take().unwrap_or(*wall);
        std::mem::replace(&mut *wall, next)
    }

    fn monotonic(&self) -> Duration {
        *self.monotonic.lock().unwrap()
    }
}

async fn a_machine_that_slept_forgets_what_it_knew(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let clocks = Clocks::new();
    let sessions = scene.node(scene.db.config().clock(Arc::clone(&clocks) as _).cache(deaf()));
    let token = sessions.create(user("1234")).await.unwrap().token;
    sessions.authenticate(&token).await.unwrap().unwrap();
    scene.delete_row(&token).await;
    // The monotonic clock stood still.
    clocks.set_wall(START + BOUND);
    assert!(sessions.authenticate(&token).await.unwrap().is_some());
    clocks.set_wall(START + BOUND + TICK);
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
}

async fn the_monotonic_clock_is_enough_to_make_an_answer_old(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let clocks = Clocks::new();
    let sessions = scene.node(scene.db.config().clock(Arc::clone(&clocks) as _).cache(deaf()));
    let token = sessions.create(user("1234")).await.unwrap().token;
    sessions.authenticate(&token).await.unwrap().unwrap();
    scene.delete_row(&token).await;
    *clocks.monotonic.lock().unwrap() += BOUND;
    assert!(sessions.authenticate(&token).await.unwrap().is_some());
    *clocks.monotonic.lock().unwrap() += Duration::from_nanos(1);
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
}

async fn expiry_is_checked_on_each_hit(db: TestDatabase) {
    const LIFE: Duration = Duration::from_secs(2);
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().auto_extend(false).cache(deaf()));
    let new = || user("1234").expires_in(LIFE);
    let ended = sessions.create(new()).await.unwrap().token;
    let prolonged = sessions.create(new()).await.unwrap().token;
    for token in [&ended, &prolonged] {
        sessions.authenticate(token).await.unwrap().unwrap();
    }
    scene.set_column(&prolonged, "expires_at = NULL").await;

    scene.db.clock().set(START + LIFE - TICK);
    for token in [&ended, &prolonged] {
        let kept = sessions.authenticate(token).await.unwrap().unwrap();
        assert_eq!(kept.expires_at, Some(START + LIFE));
    }
    scene.db.clock().set(START + LIFE);
    assert_eq!(sessions.authenticate(&ended).await.unwrap(), None);
    let found = sessions.authenticate(&prolonged).await.unwrap().unwrap();
    assert_eq!(found.expires_at, None);
    assert!(scene.is_kept(&sessions, &prolonged).await);
}

async fn what_was_pruned_is_not_brought_back_by_a_clock_that_is_set_back(db: TestDatabase) {
    const LIFE: Duration = Duration::from_secs(2);
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().auto_extend(false).cache(deaf()));
    let token = sessions.create(user("1234").expires_in(LIFE)).await.unwrap().token;
    sessions.authenticate(&token).await.unwrap().unwrap();
    scene.db.clock().set(START + LIFE);
    assert_eq!(sessions.delete_expired().await.unwrap(), 1);
    scene.db.clock().set(START + LIFE - TICK);
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
}

async fn a_prune_is_noted_by_the_instant_that_it_deletes_by(db: TestDatabase) {
    const LIFE: Duration = Duration::from_secs(2);
    let scene = Scene::set(db).await;
    let clocks = Clocks::new();
    let sessions =
        scene.node(scene.db.config().clock(Arc::clone(&clocks) as _).auto_extend(false).cache(deaf()));
    let token = sessions.create(user("1234").expires_in(LIFE)).await.unwrap().token;
    sessions.authenticate(&token).await.unwrap().unwrap();
    clocks.set_wall(START + LIFE);
    *clocks.next.lock().unwrap() = Some(START + LIFE - TICK);
    assert_eq!(sessions.delete_expired().await.unwrap(), 1);
    assert_eq!(clocks.now(), START + LIFE - TICK);
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
}

async fn an_extension_that_is_due_is_made_on_a_hit(db: TestDatabase) {
    const TTL: Duration = Duration::from_secs(70);
    const DUE: Duration = Duration::from_secs(10);
    let scene = Scene::set(db).await;
    let config = scene.db.config().ttl(TTL).cache(deaf().max_staleness(Duration::from_mins(1)));
    let sessions = scene.node(config);
    let token = sessions.create(user("1234")).await.unwrap().token;
    sessions.authenticate(&token).await.unwrap().unwrap();
    scene.db.clock().set(START + DUE);
    assert!(scene.is_kept(&sessions, &token).await);
    scene.db.clock().advance(TICK);
    let due = Some(START + DUE + TICK + TTL);
    let extended = sessions.authenticate(&token).await.unwrap().unwrap();
    assert_eq!(extended.expires_at, due);
    assert_eq!(sessions.query().fetch_all().await.unwrap()[0].expires_at, due);
    // What is kept afterwards is the session as it was extended.
    sessions.authenticate(&token).await.unwrap().unwrap();
    assert!(scene.is_kept(&sessions, &token).await);
    assert_eq!(sessions.authenticate(&token).await.unwrap().unwrap().expires_at, due);
}

each_database! {
    an_answer_is_given_up_to_the_bound_and_not_a_microsecond_longer,
    the_default_bound_is_five_seconds,
    the_age_counts_from_before_the_question,
    a_wall_clock_that_is_set_makes_no_old_answer_fresh,
    a_machine_that_slept_forgets_what_it_knew,
    the_monotonic_clock_is_enough_to_make_an_answer_old,
    expiry_is_checked_on_each_hit,
    what_was_pruned_is_not_brought_back_by_a_clock_that_is_set_back,
    a_prune_is_noted_by_the_instant_that_it_deletes_by,
    an_extension_that_is_due_is_made_on_a_hit,
}

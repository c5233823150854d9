//! Sessions that an older version of the application wrote, and that this one cannot decode.

use std::fmt::Debug;

use cloakroom::{ErrorKind, NewSession, Session, SessionTable, Sessions, Status, Token};
use cloakroom_testing::{TestDatabase, each_mode, hold_connections};
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a release wrote.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "devices")]
struct Before {
    user_id: i64,
    color: String,
}

/// What the next one reads.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "devices", data = Device)]
struct After {
    user_id: i64,
    color: Color,
}

#[derive(Clone, Copy, Debug, PartialEq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
enum Color {
    Blue,
    Green,
}

/// Has no `Default`: which device it is must be said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Device {
    since: u32,
}

impl Device {
    fn default_of_the_test() -> Value {
        json!({"since": 2019})
    }
}

struct Scene {
    before: Sessions<Before>,
    after: Sessions<After>,
}

impl Scene {
    async fn new(db: &TestDatabase) -> Self {
        let before = db.sessions::<Before>().await;
        let after = Sessions::new(db.database(), db.config().build().unwrap()).unwrap();
        Self { before, after }
    }

    async fn create(&self, color: &str, data: Value) -> (Session<Before>, Token) {
        let fields = Before { user_id: 1, color: color.to_owned() };
        let created = self.before.create(NewSession::new(fields).data(data)).await.unwrap();
        (created.session, created.token)
    }

    async fn readable(&self) -> (Session<Before>, Token) {
        self.create("blue", Device::default_of_the_test()).await
    }

    /// Each in one way that does not decode.
    async fn unreadable(&self) -> [(Session<Before>, Token); 4] {
        [
            self.create("red", Device::default_of_the_test()).await,
            self.create("blue", json!({})).await,
            self.create("green", json!({"since": "long ago"})).await,
            self.create("Blue", json!(null)).await,
        ]
    }
}

fn assert_decode<V: Debug>(result: cloakroom::Result<V>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode, "{error:?}");
    assert!(["color", "data"].iter().any(|name| error.to_string().contains(name)), "{error}");
}

async fn what_does_not_decode_is_an_error_of_that_kind_wherever_it_is_read(db: TestDatabase) {
    let scene = Scene::new(&db).await;
    let after = &scene.after;
    for (session, token) in scene.unreadable().await {
        // Whatever keeps sessions in memory keeps no error, and is asked twice.
        for _ in 0..2 {
            assert_decode(after.authenticate(&token).await);
        }
        assert_decode(after.authenticate_fresh(&token).await);
        assert_decode(after.query().token(&token).fetch_optional().await);
        assert_decode(after.query().id(session.id).fetch_one().await);
        assert_decode(after.query().id(session.id).fetch_all().await);
        assert!(after.query().token(&token).exists().await.unwrap());
        assert_eq!(scene.before.authenticate(&token).await.unwrap(), Some(session));
    }
}

async fn what_does_not_decode_ends_and_is_deleted_by_its_token_and_by_its_id(db: TestDatabase) {
    let scene = Scene::new(&db).await;
    let after = &scene.after;
    let [by_token, by_id, delete_by_token, delete_by_id] = scene.unreadable().await;
    let bystander = scene.readable().await;
    assert_eq!(after.query().token(&by_token.1).expire_all().await.unwrap(), 1);
    assert_eq!(after.query().id(by_id.0.id).expire_all().await.unwrap(), 1);
    assert_eq!(after.query().token(&delete_by_token.1).delete_all().await.unwrap(), 1);
    assert_eq!(after.query().id(delete_by_id.0.id).delete_all().await.unwrap(), 1);
    // Once ended it is nobody's session, whether or not it decodes; also where the clock is behind.
    for back in [time::Duration::ZERO, time::Duration::SECOND] {
        db.clock().advance(-back);
        for (_, token) in [&by_token, &by_id, &delete_by_token, &delete_by_id] {
            assert_eq!(after.authenticate(token).await.unwrap(), None);
            assert_eq!(after.query().token(token).fetch_optional().await.unwrap(), None);
        }
    }
    assert_eq!(after.query().status(Status::All).count().await.unwrap(), 3);
    assert_eq!(after.authenticate(&bystander.1).await.unwrap().unwrap().data, Device { since: 2019 });
    assert_eq!(after.query().expire_all().await.unwrap(), 1);
}

async fn a_listing_names_what_does_not_decode_among_the_others(db: TestDatabase) {
    let scene = Scene::new(&db).await;
    let after = &scene.after;
    let mut expected = vec![(scene.readable().await.0.id, true)];
    for _ in 0..2 {
        db.clock().advance(std::time::Duration::from_secs(1));
        expected.extend(scene.unreadable().await.map(|(session, _)| (session.id, false)));
        expected.push((scene.readable().await.0.id, true));
    }
    let listed = |each: &Result<Session<After>, cloakroom::UnreadableSession>| match each {
        Ok(session) => (session.id, true),
        Err(unreadable) => (unreadable.id, false),
    };

    let each = after.query().oldest_first().fetch_each().await.unwrap();
    assert_eq!(each.iter().map(listed).collect::<Vec<_>>(), expected);
    for unreadable in each.into_iter().filter_map(Result::err) {
        let row = scene.before.query().id(unreadable.id).fetch_one().await.unwrap();
        assert_eq!(unreadable.expires_at, row.expires_at);
        assert_eq!((unreadable.inserted_at, unreadable.updated_at), (row.inserted_at, row.updated_at));
        assert!(unreadable.to_string().contains(&unreadable.id.to_string()), "{unreadable}");
        assert_decode::<()>(Err(unreadable.error));
    }

    let streamed: Vec<_> = after.query().oldest_first().stream_each().try_collect().await.unwrap();
    assert_eq!(streamed.iter().map(listed).collect::<Vec<_>>(), expected);
    let limited: Vec<_> = after.query().oldest_first().limit(2).stream_each().try_collect().await.unwrap();
    assert_eq!(limited.iter().map(listed).collect::<Vec<_>>(), expected[..2]);

    // Page by page, also after what does not decode.
    let (mut paged, mut cursor) = (Vec::new(), None);
    loop {
        let query = after.query().oldest_first().limit(1);
        let query = if let Some(cursor) = cursor { query.after(cursor) } else { query };
        let Some(each) = query.fetch_each().await.unwrap().pop() else { break };
        paged.push(listed(&each));
        cursor = Some(each.map_or_else(|unreadable| unreadable.cursor(), |session| session.cursor()));
    }
    assert_eq!(paged, expected);

    // A stream of sessions alone ends where the first does not decode.
    let mut stream = after.query().oldest_first().stream();
    assert_eq!(stream.next().await.unwrap().unwrap().id, expected[0].0);
    assert_decode(stream.next().await.unwrap());
    assert!(stream.next().await.is_none());
    assert_decode(after.query().fetch_all().await);
}

async fn what_does_not_decode_fails_no_other_caller(db: TestDatabase) {
    let scene = Scene::new(&db).await;
    let mut asked = Vec::new();
    for (session, token) in scene.unreadable().await {
        asked.push((token, Err(session.id)));
        for _ in 0..5 {
            let (session, token) = scene.readable().await;
            asked.push((token, Ok(session.id)));
        }
    }
    for _ in 0..3 {
        let held = hold_connections(&db.database()).await;
        let answers: Vec<_> = asked
            .iter()
            .map(|(token, _)| {
                let (after, token) = (scene.after.clone(), token.clone());
                tokio::spawn(async move { after.authenticate(&token).await })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(held);
        for (answer, (_, expected)) in answers.into_iter().zip(&asked) {
            match (answer.await.unwrap(), expected) {
                (Ok(session), Ok(id)) => assert_eq!(session.unwrap().id, *id),
                (Err(error), Err(_)) => assert_decode::<()>(Err(error)),
                (answer, expected) => panic!("{answer:?} in place of {expected:?}"),
            }
        }
    }
}

/// A release that runs beside the old one holds a session, which the old one then writes.
async fn a_session_that_no_longer_decodes_ends_and_is_not_overwritten(db: TestDatabase) {
    let scene = Scene::new(&db).await;
    let after = &scene.after;
    let (mut theirs, token) = scene.readable().await;
    let held = after.authenticate(&token).await.unwrap().unwrap();
    theirs.fields.color = "red".into();
    scene.before.update(&mut theirs).await.unwrap();

    let mut stale = held.clone();
    stale.fields.color = Color::Green;
    assert_eq!(after.update(&mut stale).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(after.rotate(&mut held.clone()).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_decode(after.reload(&mut held.clone()).await);

    let mut ended = held.clone();
    assert!(after.expire(&mut ended).await.unwrap());
    assert!(!ended.is_valid(after.config().now()));
    assert_eq!(after.authenticate_fresh(&token).await.unwrap(), None);
    assert_eq!(scene.before.authenticate_fresh(&token).await.unwrap(), None);
    assert!(!after.expire(&mut held.clone()).await.unwrap());
    ended.fields.color = Color::Green;
    assert_eq!(after.update(&mut ended).await.unwrap_err().kind(), ErrorKind::Conflict);
    let row = scene.before.query().status(Status::All).fetch_one().await.unwrap();
    assert_eq!(row.fields.color, "red");
    assert!(after.delete(ended).await.unwrap());
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Settings {
    language: Option<String>,
    is_dark: bool,
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "with_settings", data = Settings)]
struct WithSettings {}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "with_maybe", data = Option<Settings>)]
struct WithMaybe {}

/// What a session that is given no data holds.
async fn assert_default<T: SessionTable + PartialEq + Debug>(db: &TestDatabase, fields: T, stored: &str)
where
    T::Data: cloakroom::DefaultData + PartialEq + Debug,
{
    let sessions = db.sessions::<T>().await;
    let created = sessions.create(NewSession::new(fields)).await.unwrap();
    assert_eq!(sessions.authenticate_fresh(&created.token).await.unwrap(), Some(created.session));
    let (column, table) = ("CAST(data AS char(200))", T::definition());
    let texts = db.texts(&format!("SELECT {column} FROM {table}")).await;
    assert_eq!(texts[0].as_deref().map(|text| text.trim_end().replace(' ', "")), Some(stored.to_owned()));
}

async fn a_new_session_has_the_default_of_its_data_type(db: TestDatabase) {
    assert_default(&db, Before { user_id: 1, color: "blue".into() }, "{}").await;
    assert_default(&db, WithSettings {}, r#"{"is_dark":false,"language":null}"#).await;
    assert_default(&db, WithMaybe {}, "null").await;

    let sessions = Sessions::<After>::new(db.database(), db.config().build().unwrap()).unwrap();
    let new = NewSession::with_data(After { user_id: 1, color: Color::Green }, Device { since: 2026 });
    let created = sessions.create(new.clone().data(Device { since: 2027 })).await.unwrap();
    assert_eq!(created.session.data, Device { since: 2027 });
    let created = sessions.create(new).await.unwrap();
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
}

each_mode! {
    what_does_not_decode_is_an_error_of_that_kind_wherever_it_is_read,
    what_does_not_decode_ends_and_is_deleted_by_its_token_and_by_its_id,
    a_listing_names_what_does_not_decode_among_the_others,
    what_does_not_decode_fails_no_other_caller,
    a_session_that_no_longer_decodes_ends_and_is_not_overwritten,
    a_new_session_has_the_default_of_its_data_type,
}

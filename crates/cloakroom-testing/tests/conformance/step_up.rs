//! Step-up: when the user proved who they are, and how fresh that is.

use std::time::Duration;

use cloakroom::{
    ConfigBuilder, DynamicFields, DynamicValue, ErrorKind, HasAssurance, HasAuthenticatedAt, NewSession,
    SessionTable, Sessions,
};
use cloakroom_testing::{START, TestDatabase, UserSession, each_mode, user};
use time::OffsetDateTime;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "confirmed")]
struct Confirmed {
    #[session(index)]
    user_id: String,
    #[session(authenticated_at, column = "proven_at")]
    authenticated_at: Option<OffsetDateTime>,
}

/// How well users prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
enum Level {
    Password,
    Passkey,
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "assured")]
struct Assured {
    user_id: String,
    #[session(authenticated_at)]
    authenticated_at: Option<OffsetDateTime>,
    #[session(assurance)]
    level: Level,
    note: Option<String>,
}

/// The same table where every session must have the instant.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "always_confirmed")]
struct Always {
    user_id: String,
    #[session(authenticated_at)]
    authenticated_at: OffsetDateTime,
}

fn new(authenticated_at: Option<OffsetDateTime>) -> NewSession<Confirmed> {
    NewSession::new(Confirmed { user_id: "1".into(), authenticated_at })
}

async fn a_new_session_is_fresh_and_grows_stale_however_it_is_used(db: TestDatabase) {
    let sessions = db.sessions::<Confirmed>().await;
    let created = sessions.create(new(None)).await.unwrap();
    assert_eq!(created.session.fields.authenticated_at, Some(START));
    let mut session = created.session;
    db.clock().advance(10 * MINUTE);
    assert!(sessions.is_fresh(&session, 10 * MINUTE));
    db.clock().advance(Duration::from_micros(1));
    assert!(!sessions.is_fresh(&session, 10 * MINUTE));
    // None of these is a proof of who the user is.
    db.clock().set(START + 2 * DAY);
    let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert!(read.updated_at > session.updated_at, "it was extended");
    assert_eq!(read.fields.authenticated_at, Some(START));
    session = read;
    session.fields.user_id = "2".into();
    sessions.update(&mut session).await.unwrap();
    let token = sessions.rotate(&mut session).await.unwrap();
    db.clock().set(START + 4 * DAY);
    assert!(sessions.extend(&mut session).await.unwrap());
    let read = sessions.authenticate(&token).await.unwrap().unwrap();
    assert_eq!(read, session);
    assert_eq!(read.fields.authenticated_at, Some(START));
    assert!(!sessions.is_fresh(&read, DAY));
}

async fn to_prove_it_anew_makes_the_session_fresh_and_gives_it_another_token(db: TestDatabase) {
    let sessions = db.sessions::<Confirmed>().await;
    let mut created = sessions.create(new(None)).await.unwrap();
    db.clock().set(START + DAY);
    assert!(!sessions.is_fresh(&created.session, MINUTE));
    let before = created.session.updated_at;
    // What the caller has changed and not written stays unwritten.
    created.session.fields.user_id = "unwritten".into();
    let token = sessions.reauthenticate(&mut created.session).await.unwrap();
    assert_eq!(created.session.fields.authenticated_at, Some(START + DAY));
    assert!(sessions.is_fresh(&created.session, Duration::ZERO));
    assert!(sessions.authenticate(&created.token).await.unwrap().is_none());
    let read = sessions.authenticate(&token).await.unwrap().unwrap();
    assert_eq!((read.fields.authenticated_at, &*read.fields.user_id), (Some(START + DAY), "1"));
    assert!(read.updated_at > before);
    sessions.update(&mut created.session).await.unwrap();
    assert_eq!(created.session.fields.user_id, "unwritten");
    assert_eq!(created.session.fields.authenticated_at, Some(START + DAY));
}

async fn who_lost_to_another_write_is_not_made_fresh(db: TestDatabase) {
    let sessions = db.sessions::<Confirmed>().await;
    let mut stale = sessions.create(new(None)).await.unwrap().session;
    let mut other = stale.clone();
    sessions.rotate(&mut other).await.unwrap();
    db.clock().advance(DAY);
    let error = sessions.reauthenticate(&mut stale).await.unwrap_err();
    assert_eq!((error.kind(), stale.fields.authenticated_at), (ErrorKind::Conflict, Some(START)));
    sessions.expire(&mut other).await.unwrap();
    assert_eq!(sessions.reauthenticate(&mut other).await.unwrap_err().kind(), ErrorKind::Expired);
    let gone = other.clone();
    sessions.delete(gone).await.unwrap();
    assert_eq!(sessions.reauthenticate(&mut other).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn an_earlier_proof_is_kept_and_a_later_one_than_now_is_not_believed(db: TestDatabase) {
    let sessions = db.sessions::<Confirmed>().await;
    // As when an identity provider says when it last asked for the password.
    let earlier = START - DAY;
    let created = sessions.create(new(Some(earlier))).await.unwrap().session;
    assert_eq!(created.fields.authenticated_at, Some(earlier));
    assert!(!sessions.is_fresh(&created, MINUTE));
    let created = sessions.create(new(Some(START + DAY))).await.unwrap().session;
    assert_eq!(created.fields.authenticated_at, Some(START));
    // A machine with a clock that is ahead of this one may have written the instant, but not by more than the span.
    let skewed = created.is_fresh(START - MINUTE, MINUTE);
    assert!(skewed && !created.is_fresh(START - 2 * MINUTE, MINUTE));
    let always = db.sessions::<Always>().await;
    let fields = Always { user_id: "1".into(), authenticated_at: OffsetDateTime::UNIX_EPOCH + 80_000 * DAY };
    assert_eq!(always.create(NewSession::new(fields)).await.unwrap().session.fields.authenticated_at, START);
}

async fn a_session_without_the_instant_is_never_fresh(db: TestDatabase) {
    let sessions = db.sessions::<Confirmed>().await;
    let created = sessions.create(new(None)).await.unwrap();
    db.execute_anew("UPDATE confirmed SET proven_at = NULL").await;
    let sessions = db.sessions::<Confirmed>().await;
    let mut session = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(session.fields.authenticated_at(), None);
    assert!(!sessions.is_fresh(&session, Duration::MAX));
    sessions.reauthenticate(&mut session).await.unwrap();
    assert!(sessions.is_fresh(&session, MINUTE));
}

async fn a_program_that_knows_the_table_only_at_run_time_does_the_same(db: TestDatabase) {
    db.sessions::<Confirmed>().await;
    let definition =
        DynamicFields::definition_from(&db.database(), None, "confirmed").await.unwrap().unwrap();
    let config = |config: ConfigBuilder| config.build().unwrap();
    let sessions =
        Sessions::<DynamicFields>::with_definition(db.database(), definition.clone(), config(db.config()))
            .unwrap();
    let mut fields = DynamicFields::new(&definition, sessions.backend());
    fields.set("user_id", DynamicValue::Text("1".into())).unwrap();
    let mut session = sessions.create(NewSession::new(fields)).await.unwrap().session;
    assert_eq!(session.fields.authenticated_at(), Some(START));
    db.clock().advance(DAY);
    sessions.reauthenticate(&mut session).await.unwrap();
    assert_eq!(session.fields.authenticated_at(), Some(START + DAY));
    // A table without the column.
    let plain = db.sessions::<UserSession>().await;
    plain.create(user("1")).await.unwrap();
    let definition = plain.definition().clone();
    let plain =
        Sessions::<DynamicFields>::with_definition(db.database(), definition, config(db.config())).unwrap();
    let mut session = plain.query().fetch_one().await.unwrap();
    assert_eq!(plain.reauthenticate(&mut session).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

async fn how_well_it_was_proven_is_written_along_and_stays(db: TestDatabase) {
    let sessions = db.sessions::<Assured>().await;
    let fields = Assured { user_id: "1".into(), authenticated_at: None, level: Level::Password, note: None };
    let created = sessions.create(NewSession::new(fields)).await.unwrap();
    let mut session = created.session;
    db.clock().advance(DAY);
    session.fields.note = Some("unwritten".into());
    let token = sessions.reauthenticate_as(&mut session, Level::Passkey).await.unwrap();
    assert_eq!(session.fields.assurance(), Some(&Level::Passkey));
    assert!(sessions.authenticate(&created.token).await.unwrap().is_none());
    let read = sessions.authenticate(&token).await.unwrap().unwrap();
    assert_eq!((read.fields.level, read.fields.authenticated_at), (Level::Passkey, Some(START + DAY)));
    assert_eq!((read.fields.note.as_deref(), session.fields.note.as_deref()), (None, Some("unwritten")));
    db.clock().advance(2 * DAY);
    // To be used, or written otherwise, says nothing of how well the user has proved who they are.
    let read = sessions.authenticate(&token).await.unwrap().unwrap();
    assert_eq!((read.fields.level, read.expires_at), (Level::Passkey, Some(db.now() + 7 * DAY)));
    let mut session = read;
    sessions.rotate(&mut session).await.unwrap();
    let token = sessions.reauthenticate(&mut session).await.unwrap();
    let read = sessions.authenticate(&token).await.unwrap().unwrap();
    assert_eq!(read.fields.level, Level::Passkey);
}

each_mode! {
    how_well_it_was_proven_is_written_along_and_stays,
    a_new_session_is_fresh_and_grows_stale_however_it_is_used,
    to_prove_it_anew_makes_the_session_fresh_and_gives_it_another_token,
    who_lost_to_another_write_is_not_made_fresh,
    an_earlier_proof_is_kept_and_a_later_one_than_now_is_not_believed,
    a_session_without_the_instant_is_never_fresh,
    a_program_that_knows_the_table_only_at_run_time_does_the_same,
}

use cloakroom::{NewSession, SessionFields, SessionTable, Status};
use cloakroom_testing::{START, TestDatabase, UserSession, each_mode, user};
use serde_json::json;

async fn a_created_session_equals_what_is_read_back(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1234").data(json!({"device": "a phone"}))).await.unwrap();
    assert_eq!(created.session.inserted_at, START);
    let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read, created.session);
    let read = sessions.query().filter(UserSession::USER_ID.eq("1234")).fetch_all().await.unwrap();
    assert_eq!(read, [created.session]);
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 1);
    assert!(sessions.query().filter(UserSession::EXPIRES_AT.gt(START)).exists().await.unwrap());
}

#[derive(Clone, serde::Serialize, SessionTable)]
struct Shown {
    user_id: i64,
}

async fn a_session_is_serialised_with_instants_of_rfc_3339_and_without_its_digest(db: TestDatabase) {
    let sessions = db.sessions::<Shown>().await;
    let new = NewSession::new(Shown { user_id: 1234 }).data(json!({"device": "a phone"}));
    let created = sessions.create(new).await.unwrap();
    let session = sessions.authenticate(&created.token).await.unwrap().unwrap();
    let expected = json!({
        "id": session.id.to_string(),
        "fields": {"user_id": 1234},
        "data": {"device": "a phone"},
        "expires_at": "2026-11-30T01:48:09.123456Z",
        "inserted_at": "2026-11-23T01:48:09.123456Z",
        "updated_at": "2026-11-23T01:48:09.123456Z",
    });
    assert_eq!(serde_json::to_value(&session).unwrap(), expected);
    let never = sessions.create(NewSession::new(Shown { user_id: 1 }).never_expires()).await.unwrap();
    assert_eq!(serde_json::to_value(&never.session).unwrap()["expires_at"], json!(null));
}

each_mode! {
    a_created_session_equals_what_is_read_back,
    a_session_is_serialised_with_instants_of_rfc_3339_and_without_its_digest,
}

use cloakroom::{SessionFields, Status};
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

each_mode! { a_created_session_equals_what_is_read_back }

//! SQLite keeps whatever text somebody else has written into a column.

use cloakroom::{ErrorKind, Sessions};
use cloakroom_testing::{TestDatabase, UserSession, hold_connections, user};

use crate::trouble::ask;
use crate::{all, pool};

async fn what_is_no_instant_fails_its_own_caller_case(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    let config = db.config().build().unwrap();
    let sessions = Sessions::<UserSession>::new(pool::of(&db, 1).await, config).unwrap();
    let written = [
        ("user-0", "expires_at = '2999-01-01 00:00:00'", None),
        ("user-1", "expires_at = '2999-01-01T00:00:00.000001+00:00'", None),
        ("user-2", "inserted_at = '2026-01-01T00:00:00'", None),
        ("user-3", "expires_at = 'tomorrow'", Some("expires_at")),
        ("user-4", "inserted_at = ''", Some("inserted_at")),
        ("user-5", "updated_at = '2026-13-01T00:00:00.000000Z'", Some("updated_at")),
        ("user-6", "updated_at = '2026-01-01T00:00:00.000000Z|'", Some("updated_at")),
        ("user-7", "id = x'0011'", Some("id")),
        ("user-8", "updated_at = updated_at", None),
    ];
    let mut tokens = Vec::new();
    for (user_id, change, _) in written {
        tokens.push(sessions.create(user(user_id)).await.unwrap().token);
        db.execute(&format!("UPDATE sessions SET {change} WHERE user_id = '{user_id}'")).await;
    }
    let mut answers = Vec::new();
    for token in &tokens {
        answers.push(sessions.authenticate(token).await);
    }
    let held = hold_connections(sessions.database()).await;
    let asked = ask(&sessions, &tokens);
    drop(held);
    answers.extend(all(asked).await);
    for (answer, (user_id, change, unreadable)) in answers.into_iter().zip(written.iter().cycle()) {
        match (answer, unreadable) {
            (Ok(session), None) => assert_eq!(session.unwrap().fields.user_id, *user_id, "{change}"),
            (Err(error), Some(column)) => {
                assert_eq!(error.kind(), ErrorKind::Decode, "{error:?}");
                assert!(error.to_string().contains(&format!("the column {column} of")), "{change}: {error}");
            }
            (answer, _) => panic!("{change}: {answer:?}"),
        }
    }
    sessions.database().close().await;
}

mod sqlite {
    use cloakroom_testing::{Kind, run};

    use super::what_is_no_instant_fails_its_own_caller_case;

    #[test]
    fn what_is_no_instant_fails_its_own_caller() {
        run(Kind::Sqlite, what_is_no_instant_fails_its_own_caller_case);
    }
}

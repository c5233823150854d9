//! A query by a token finds what `authenticate` finds, in whatever table there is.

use cloakroom::{CreatedSession, Sessions, Status};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_mode, user};
use futures_util::TryStreamExt;

/// The table as somebody else may have made it: what it compares digests by is no comparison of bytes.
fn loose_tables(kind: Kind) -> Vec<String> {
    match kind {
        Kind::Sqlite => ["NOCASE", "RTRIM"]
            .map(|collation| {
                format!(
                    "DROP TABLE IF EXISTS sessions; DROP TABLE IF EXISTS sessions_cloakroom_migrations; \
                     CREATE TABLE sessions (id BLOB PRIMARY KEY NOT NULL, \
                     auth_token_digest TEXT NOT NULL COLLATE {collation}, data TEXT NOT NULL, expires_at TEXT, \
                     inserted_at TEXT NOT NULL, updated_at TEXT NOT NULL, user_id TEXT NOT NULL)"
                )
            })
            .into(),
        Kind::Postgres => vec![
            "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
             ALTER TABLE sessions ALTER auth_token_digest TYPE varchar(255) COLLATE loose"
                .to_owned(),
            "ALTER TABLE sessions ALTER auth_token_digest TYPE char(80) COLLATE \"C\"".to_owned(),
        ],
        Kind::MariaDb => vec![
            "ALTER TABLE sessions MODIFY auth_token_digest varchar(255) COLLATE utf8mb4_general_ci NOT NULL"
                .to_owned(),
            "ALTER TABLE sessions MODIFY auth_token_digest char(80) COLLATE utf8mb4_general_ci NOT NULL".to_owned(),
        ],
    }
}

/// Whether every way to find it by its token finds this session; that they agree is the point.
async fn is_found(sessions: &Sessions<UserSession>, created: &CreatedSession<UserSession>) -> bool {
    let is_found = sessions.authenticate_fresh(&created.token).await.unwrap().is_some();
    for status in [Status::Valid, Status::All] {
        let query = || sessions.query().token(&created.token).status(status);
        assert_eq!(query().fetch_optional().await.unwrap().is_some(), is_found);
        assert_eq!(query().fetch_all().await.unwrap().len(), usize::from(is_found));
        assert_eq!(query().fetch_each().await.unwrap().len(), usize::from(is_found));
        assert_eq!(query().stream().try_collect::<Vec<_>>().await.unwrap().len(), usize::from(is_found));
        assert_eq!(query().count().await.unwrap(), u64::from(is_found));
        assert_eq!(query().limit(1).count().await.unwrap(), u64::from(is_found));
        assert_eq!(query().exists().await.unwrap(), is_found);
        if !is_found {
            assert_eq!(query().expire_all().await.unwrap(), 0);
            assert_eq!(query().limit(1).expire_all().await.unwrap(), 0);
            assert_eq!(query().delete_all().await.unwrap(), 0);
        }
    }
    is_found
}

async fn a_digest_that_only_the_tables_collation_takes_for_the_tokens_is_another(db: TestDatabase) {
    for loose in loose_tables(db.kind()) {
        if db.kind() == Kind::Sqlite {
            db.execute_anew(&loose).await;
        } else {
            db.sessions::<UserSession>().await;
            db.execute_anew(&loose).await;
        }
        let sessions = db.sessions::<UserSession>().await;
        let mut refused = 0;
        let space = if db.kind() == Kind::MariaDb {
            "CONCAT(auth_token_digest, ' ')"
        } else {
            "auth_token_digest || ' '"
        };
        for stored in ["auth_token_digest", "UPPER(auth_token_digest)", space] {
            let created = sessions.create(user("1234")).await.unwrap();
            db.execute(&format!("UPDATE sessions SET auth_token_digest = {stored}")).await;
            if !is_found(&sessions, &created).await {
                refused += 1;
            }
            let row = sessions.query().status(Status::All).fetch_one().await.unwrap();
            assert_eq!(row, created.session, "{loose}: {stored}");
            sessions.query().status(Status::All).delete_all().await.unwrap();
        }
        assert!(refused > 0, "{loose}");
    }
}

async fn whatever_happened_to_a_session_both_find_it_or_neither(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut ended = sessions.create(user("1234")).await.unwrap();
    let rotated = sessions.create(user("1234")).await.unwrap();
    let valid = sessions.create(user("1234")).await.unwrap();
    sessions.rotate(&mut rotated.session.clone()).await.unwrap();
    sessions.expire(&mut ended.session).await.unwrap();
    // The clock of the machine that ended it was ahead.
    db.clock().advance(-time::Duration::SECOND);
    assert!(is_found(&sessions, &valid).await);
    assert!(!is_found(&sessions, &rotated).await);
    assert_eq!(sessions.authenticate_fresh(&ended.token).await.unwrap(), None);
    let query = || sessions.query().token(&ended.token);
    assert_eq!(query().fetch_optional().await.unwrap(), None);
    assert_eq!(query().fetch_all().await.unwrap(), []);
    assert_eq!(query().count().await.unwrap(), 0);
    assert!(!query().exists().await.unwrap());
    assert_eq!(query().expire_all().await.unwrap(), 0);
    assert_eq!(query().delete_all().await.unwrap(), 0);
    assert_eq!(query().status(Status::Expired).fetch_one().await.unwrap(), ended.session);
}

each_mode! {
    a_digest_that_only_the_tables_collation_takes_for_the_tokens_is_another,
    whatever_happened_to_a_session_both_find_it_or_neither,
}

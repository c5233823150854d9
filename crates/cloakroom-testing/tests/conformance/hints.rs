//! The role `hint`: a column that shows which token is a session's, and not what the token is.

use cloakroom::{ErrorKind, ImportedSession, NewSession, SessionTable, Token, TokenFormat};
use cloakroom_testing::{TestDatabase, each_mode};
use futures_util::future::try_join_all;

use crate::statements::Watched;

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "keys_with_hints")]
pub(crate) struct Key {
    #[session(index)]
    pub(crate) user_id: String,
    pub(crate) name: Option<String>,
    #[session(hint, column = "shown")]
    pub(crate) hint: String,
}

pub(crate) fn key(user_id: &str) -> NewSession<Key> {
    NewSession::new(Key { user_id: user_id.into(), name: None, hint: String::new() })
}

pub(crate) fn live() -> TokenFormat {
    TokenFormat::prefixed("acme_live").unwrap()
}

pub(crate) async fn stored(db: &TestDatabase) -> Vec<String> {
    let hints = db.texts("SELECT shown FROM keys_with_hints ORDER BY user_id").await;
    hints.into_iter().map(Option::unwrap).collect()
}

async fn whatever_makes_a_token_fills_in_its_hint(db: TestDatabase) {
    let sessions = db.sessions_with::<Key>(db.config().token_format(live())).await;
    let hint = |token: &Token| live().hint(token);
    let mut created = sessions.create(key("1")).await.unwrap();
    assert!(created.session.fields.hint.starts_with("acme_live_"), "{:?}", created.session);
    assert_eq!(created.session.hint(), Some(&*hint(&created.token)));
    assert_eq!(stored(&db).await, [hint(&created.token)]);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session.clone()));

    let rotated = sessions.rotate(&mut created.session).await.unwrap();
    assert_ne!(hint(&rotated), hint(&created.token));
    assert_eq!(created.session.hint(), Some(&*hint(&rotated)));
    assert_eq!(stored(&db).await, [hint(&rotated)]);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
    assert_eq!(sessions.authenticate(&rotated).await.unwrap(), Some(created.session.clone()));

    let [second, third] = [(); 2].map(|()| live().generate().unwrap());
    let new = key("2").import_token(second.clone());
    assert_eq!(sessions.create(new).await.unwrap().session.hint(), Some(&*hint(&second)));
    sessions.import(vec![ImportedSession::with_token(key("3"), third.clone())]).await.unwrap();
    assert_eq!(stored(&db).await, [hint(&rotated), hint(&second), hint(&third)]);

    // In a transaction of the caller's too, where nothing is shared.
    let mut transaction = sessions.begin().await.unwrap();
    let mut fourth = sessions.within(&mut transaction).create(key("4")).await.unwrap();
    assert_eq!(fourth.session.hint(), Some(&*hint(&fourth.token)));
    let rotated = sessions.within(&mut transaction).rotate(&mut fourth.session).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(stored(&db).await[3], hint(&rotated));
}

async fn a_hint_is_written_by_the_statement_that_writes_the_digest(db: TestDatabase) {
    let watched = Watched::<Key>::on(&db, db.database(), db.config().token_format(live())).await;
    let sessions = &watched.sessions;
    let mut created = sessions.create(key("1")).await.unwrap();
    let inserts = watched.statements(async { drop(sessions.create(key("2")).await.unwrap()) }).await;
    let updates =
        watched.statements(async { drop(sessions.rotate(&mut created.session).await.unwrap()) }).await;
    for (statements, verb) in [(inserts, "INSERT"), (updates, "UPDATE")] {
        let statements: Vec<_> = statements.iter().filter(|sql| sql.contains("shown")).collect();
        assert!(
            statements.len() == 1
                && statements[0].contains(verb)
                && statements[0].contains("auth_token_digest"),
            "{statements:?}"
        );
    }
}

async fn each_of_many_keys_has_its_own_hint(db: TestDatabase) {
    let sessions = db.sessions_with::<Key>(db.config().token_format(live())).await;
    let all = (0..100).map(|number| sessions.create(key(&number.to_string())));
    for created in try_join_all(all).await.unwrap() {
        assert_eq!(created.session.hint(), Some(&*live().hint(&created.token)));
        let found = sessions.authenticate(&created.token).await.unwrap();
        assert_eq!(found, Some(created.session));
    }
    let mut hints = stored(&db).await;
    hints.sort();
    hints.dedup();
    assert_eq!(hints.len(), 100);
}

async fn a_rotation_leaves_what_the_caller_has_changed_to_the_next_update(db: TestDatabase) {
    let sessions = db.sessions_with::<Key>(db.config().token_format(live())).await;
    let mut created = sessions.create(key("1")).await.unwrap();
    let session = &mut created.session;
    session.fields.name = Some("deploys".to_owned());
    let token = sessions.rotate(session).await.unwrap();
    assert_eq!(session.fields.name.as_deref(), Some("deploys"));
    let row = sessions.authenticate_fresh(&token).await.unwrap().unwrap();
    assert_eq!((row.fields.name.as_deref(), row.hint()), (None, session.hint()));
    sessions.update(session).await.unwrap();
    let row = sessions.authenticate_fresh(&token).await.unwrap().unwrap();
    assert_eq!(row, *session);
    assert_eq!((row.fields.name.as_deref(), row.hint()), (Some("deploys"), Some(&*live().hint(&token))));

    // The hint is no change of the caller's: what SQL has put there since stays.
    session.fields.name = Some("backups".to_owned());
    sessions.rotate(session).await.unwrap();
    db.execute("UPDATE keys_with_hints SET shown = 'by SQL'").await;
    sessions.update(session).await.unwrap();
    assert_eq!(stored(&db).await, ["by SQL"]);

    // A rotation that loses changes nothing, in the row and in memory.
    sessions.reload(session).await.unwrap();
    let row = session.clone();
    let mut stale = row.clone();
    let token = sessions.rotate(session).await.unwrap();
    assert_eq!(sessions.rotate(&mut stale).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!((stale.hint(), stored(&db).await), (row.hint(), vec![live().hint(&token)]));
}

async fn an_update_of_what_was_read_before_a_rotation_does_not_bring_back_the_old_hint(db: TestDatabase) {
    let sessions = db.sessions_with::<Key>(db.config().token_format(live())).await;
    let created = sessions.create(key("1")).await.unwrap();
    let mut one = created.session.clone();
    let token = sessions.rotate(&mut one).await.unwrap();
    let mut other = created.session;
    sessions
        .update_with(&mut other, |session| session.fields.name = Some("deploys".to_owned()))
        .await
        .unwrap();
    assert_eq!(other.hint(), Some(&*live().hint(&token)));
    assert_eq!(stored(&db).await, [live().hint(&token)]);
}

each_mode! {
    whatever_makes_a_token_fills_in_its_hint,
    a_hint_is_written_by_the_statement_that_writes_the_digest,
    each_of_many_keys_has_its_own_hint,
    a_rotation_leaves_what_the_caller_has_changed_to_the_next_update,
    an_update_of_what_was_read_before_a_rotation_does_not_bring_back_the_old_hint,
}

//! What an exchange does, and what a second one of the same token answers.

use std::time::Duration;

use cloakroom::{
    ConfigError, DynamicFields, ErrorKind, Exchange, Hashing, Key as SchemeKey, NewSession, Scheme, Sessions,
    TableDefinition, Token, TokenFormat,
};
use cloakroom_testing::{START, TestDatabase, each_mode};

use crate::{App, DAY, MICROSECOND, SECOND, app, assert_reused, exchanged, seals};

async fn a_token_is_exchanged_for_another_and_refused_at_once(db: TestDatabase) {
    let sessions = db.sessions::<App>().await;
    let created = sessions.create(app("1234")).await.unwrap();
    assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
    db.clock().advance(SECOND);
    let next = exchanged(&sessions, &created.token).await;
    assert_ne!(next.token, created.token);
    assert_eq!(next.session.id, created.session.id);
    assert!(next.session.updated_at > created.session.updated_at);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
    assert_eq!(sessions.authenticate(&next.token).await.unwrap(), Some(next.session.clone()));
    // An old token that is presented elsewhere ends nothing.
    db.clock().advance(SECOND * 60);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
    assert!(sessions.authenticate(&next.token).await.unwrap().is_some());

    for unknown in [Token::generate(64).unwrap().expose(), "", "short", &"x".repeat(5000)] {
        assert!(sessions.exchange(unknown).await.unwrap().is_none(), "{unknown}");
    }
    let debug = format!("{:?}", sessions.exchange(&next.token).await.unwrap());
    assert!(
        debug.starts_with("Some(Successor(CreatedSession") && debug.contains("Token(redacted)"),
        "{debug}"
    );
}

async fn within_the_grace_a_token_is_answered_with_the_same_successor(db: TestDatabase) {
    let sessions = db.sessions::<App>().await;
    let created = sessions.create(app("1234")).await.unwrap();
    let next = exchanged(&sessions, &created.token).await;
    for wait in [Duration::ZERO, SECOND, SECOND * 28, SECOND.saturating_sub(MICROSECOND)] {
        db.clock().advance(wait);
        let again = exchanged(&sessions, &created.token).await;
        assert_eq!((&again.token, &again.session), (&next.token, &next.session));
    }
    assert_eq!(sessions.authenticate(&next.token).await.unwrap(), Some(next.session.clone()));
    db.clock().advance(MICROSECOND);
    assert_reused(&sessions, &created.token, &next.token).await;
}

async fn the_grace_ends_by_the_clock_also_across_a_restart(db: TestDatabase) {
    let config = || db.config().exchange_grace(SECOND * 10);
    let sessions = db.sessions_with::<App>(config()).await;
    let created = sessions.create(app("1234")).await.unwrap();
    let next = exchanged(&sessions, &created.token).await;
    db.clock().advance((SECOND * 10).saturating_sub(MICROSECOND));
    // A grace that has begun keeps its end.
    let restarted = db.sessions_with::<App>(config().exchange_grace(SECOND)).await;
    assert_eq!(exchanged(&restarted, &created.token).await.token, next.token);
    db.clock().advance(MICROSECOND);
    let restarted = db.sessions_with::<App>(config().exchange_grace(DAY)).await;
    assert_reused(&restarted, &created.token, &next.token).await;
}

async fn without_a_grace_a_token_that_comes_twice_is_reused(db: TestDatabase) {
    let sessions = db.sessions_with::<App>(db.config().exchange_grace(Duration::ZERO)).await;
    let created = sessions.create(app("1234")).await.unwrap();
    let next = exchanged(&sessions, &created.token).await;
    assert_reused(&sessions, &created.token, &next.token).await;
}

async fn an_exchange_is_a_use(db: TestDatabase) {
    let config = db.config().ttl(DAY * 7).extend_after(DAY).max_lifetime(DAY * 11);
    let sessions = db.sessions_with::<App>(config.clone()).await;
    let created = sessions.create(app("1234")).await.unwrap();
    db.clock().advance(DAY);
    let next = exchanged(&sessions, &created.token).await;
    assert_eq!(next.session.expires_at, created.session.expires_at, "an extension is not due");
    db.clock().advance(DAY);
    let next = exchanged(&sessions, &next.token).await;
    assert_eq!(next.session.expires_at, Some(START + DAY * 9));
    assert_eq!(sessions.authenticate(&next.token).await.unwrap(), Some(next.session.clone()));
    db.clock().advance(DAY * 4);
    let last = exchanged(&sessions, &next.token).await;
    assert_eq!(last.session.expires_at, Some(START + DAY * 11), "never past the absolute lifetime");

    let not_extending = db.sessions_with::<App>(config.auto_extend(false)).await;
    let created = not_extending.create(app("5678")).await.unwrap();
    db.clock().advance(DAY * 2);
    let next = exchanged(&not_extending, &created.token).await;
    assert_eq!(next.session.expires_at, created.session.expires_at);
    // A session that is never extended is not extended here either.
    let fixed = sessions.create(app("9").expires_in(DAY * 3)).await.unwrap();
    db.clock().advance(DAY * 2);
    let next = exchanged(&sessions, &fixed.token).await;
    assert_eq!(next.session.expires_at, fixed.session.expires_at);
    assert_eq!(sessions.authenticate(&next.token).await.unwrap(), Some(next.session));
}

async fn an_exchange_fills_in_the_hint_and_leaves_what_the_caller_has_not_written(db: TestDatabase) {
    let live = TokenFormat::prefixed("acme_live").unwrap();
    let sessions = db.sessions_with::<App>(db.config().token_format(live.clone())).await;
    let mut created = sessions.create(app("1234")).await.unwrap();
    let next = exchanged(&sessions, &created.token).await;
    assert_eq!(next.session.hint(), Some(&*live.hint(&next.token)));
    assert_ne!(next.session.hint(), created.session.hint());
    let again = exchanged(&sessions, &created.token).await;
    assert_eq!(again.session.hint(), next.session.hint());
    // What was read before the exchange cannot be written after it.
    created.session.fields.user_id = "5678".into();
    let error = sessions.update(&mut created.session).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

async fn a_rolled_back_transaction_retires_nothing(db: TestDatabase) {
    let sessions = db.sessions::<App>().await;
    let created = sessions.create(app("1234")).await.unwrap();
    let mut transaction = sessions.begin().await.unwrap();
    let undone = sessions.within(&mut transaction).exchange(&created.token).await.unwrap();
    let undone = undone.unwrap().successor().unwrap();
    assert!(sessions.within(&mut transaction).authenticate(&undone.token).await.unwrap().is_some());
    let again = sessions.within(&mut transaction).exchange(&created.token).await.unwrap();
    assert_eq!(again.unwrap().successor().unwrap().token, undone.token);
    transaction.rollback().await.unwrap();
    assert!(sessions.exchange(&undone.token).await.unwrap().is_none());
    assert_eq!(seals(&db).await, 0);
    // Also long after: nothing was retired.
    db.clock().advance(DAY);
    assert!(sessions.authenticate(&created.token).await.unwrap().is_some());

    let mut transaction = sessions.begin().await.unwrap();
    let done = sessions.within(&mut transaction).exchange(&created.token).await.unwrap();
    let done = done.unwrap().successor().unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
    assert_eq!(exchanged(&sessions, &created.token).await.token, done.token);
    db.clock().advance(SECOND * 30);

    let mut transaction = sessions.begin().await.unwrap();
    let reused = sessions.within(&mut transaction).exchange(&created.token).await.unwrap().unwrap();
    assert!(reused.is_reused());
    transaction.rollback().await.unwrap();
    assert!(sessions.authenticate(&done.token).await.unwrap().is_some());
    let mut transaction = sessions.begin().await.unwrap();
    let reused = sessions.within(&mut transaction).exchange(&created.token).await.unwrap().unwrap();
    assert!(reused.successor().is_none());
    transaction.commit().await.unwrap();
    assert!(sessions.authenticate(&done.token).await.unwrap().is_none());
}

async fn on_a_connection_an_exchange_needs_a_transaction(db: TestDatabase) {
    let sessions = db.sessions::<App>().await;
    let created = sessions.create(app("1234")).await.unwrap();
    macro_rules! on {
        ($pool:expr) => {{
            let mut connection = $pool.acquire().await.unwrap();
            let mut operations = sessions.on_connection(&mut *connection);
            let error = operations.exchange(&created.token).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoTransaction);
            // Others do not.
            assert!(operations.authenticate(&created.token).await.unwrap().is_some());
        }};
    }
    match db.database() {
        cloakroom::Database::Sqlite(pool) => on!(pool),
        cloakroom::Database::Postgres(pool) => on!(pool),
        cloakroom::Database::MySql(pool) => on!(pool),
        other => panic!("no such database: {other:?}"),
    }
    assert!(sessions.exchange(&created.token).await.unwrap().is_some());
}

async fn old_tokens_are_known_under_every_scheme(db: TestDatabase) {
    let sha256 = db.sessions::<App>().await;
    let created = sha256.create(app("1234")).await.unwrap();
    let key = SchemeKey::generate().unwrap();
    let schemes = || [Scheme::hmac_sha256("2026-11", &key), Scheme::sha256()];
    let keyed = db.sessions_with::<App>(db.config().digests(schemes())).await;
    // Stored under the older scheme, and exchanged under the newer.
    let next = exchanged(&keyed, &created.token).await;
    assert_eq!(exchanged(&keyed, &created.token).await.token, next.token);
    assert!(keyed.authenticate(&next.token).await.unwrap().is_some());

    // Retired under the older scheme, and presented under the newer.
    let created = sha256.create(app("5678")).await.unwrap();
    let next = exchanged(&sha256, &created.token).await;
    assert_eq!(exchanged(&keyed, &created.token).await.token, next.token);
    // The successor is stored under the newer since.
    assert!(keyed.authenticate(&next.token).await.unwrap().is_some());
    assert_eq!(exchanged(&keyed, &created.token).await.token, next.token);
    db.clock().advance(SECOND * 30);
    assert_reused(&keyed, &created.token, &next.token).await;
}

async fn plaintext_is_not_exchanged(db: TestDatabase) {
    let config = db.config().hashing(Hashing::DangerousPlaintext).build().unwrap();
    let error = Sessions::<App>::new(db.database(), config).unwrap_err();
    assert_eq!(error, ConfigError::ExchangeOfPlaintext);
    assert!(error.to_string().contains("choose a hashing"), "{error}");
}

async fn tables_that_are_known_only_at_run_time_exchange_if_they_say_so(db: TestDatabase) {
    let dynamic = |table: TableDefinition| {
        let config = db.config().build().unwrap();
        Sessions::<DynamicFields>::with_definition(db.database(), table, config).unwrap()
    };
    let plain = dynamic(TableDefinition::new("plain"));
    plain.migrate().await.unwrap();
    let new = |sessions: &Sessions<DynamicFields>| {
        NewSession::new(DynamicFields::new(sessions.definition(), sessions.backend()))
    };
    let mut created = plain.create(new(&plain)).await.unwrap();
    for error in [
        plain.exchange(&created.token).await.unwrap_err(),
        plain.rotate_with_grace(&mut created.session, SECOND).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    assert!(plain.authenticate(&created.token).await.unwrap().is_some());

    let both = dynamic(TableDefinition::new("both").exchange().rotation_grace());
    both.migrate().await.unwrap();
    let created = both.create(new(&both)).await.unwrap();
    let next = both.exchange(&created.token).await.unwrap().unwrap().successor().unwrap();
    assert!(both.authenticate(&created.token).await.unwrap().is_none(), "exchanged, and not rotated");
    assert!(both.authenticate(&next.token).await.unwrap().is_some());
    let Some(Exchange::Successor(again)) = both.exchange(&created.token).await.unwrap() else {
        panic!("it is within its grace");
    };
    assert_eq!(again.token, next.token);

    // A key that was rotated is not one that was exchanged: it ends nothing, neither before nor after its time.
    let mut rotated = both.create(new(&both)).await.unwrap();
    let present = both.rotate_with_grace(&mut rotated.session, SECOND).await.unwrap();
    for _ in 0..2 {
        assert!(both.exchange(&rotated.token).await.unwrap().is_none());
        assert!(both.authenticate(&present).await.unwrap().is_some());
        db.clock().advance(SECOND);
    }
}

each_mode! {
    a_token_is_exchanged_for_another_and_refused_at_once,
    within_the_grace_a_token_is_answered_with_the_same_successor,
    the_grace_ends_by_the_clock_also_across_a_restart,
    without_a_grace_a_token_that_comes_twice_is_reused,
    an_exchange_is_a_use,
    an_exchange_fills_in_the_hint_and_leaves_what_the_caller_has_not_written,
    a_rolled_back_transaction_retires_nothing,
    on_a_connection_an_exchange_needs_a_transaction,
    old_tokens_are_known_under_every_scheme,
    plaintext_is_not_exchanged,
    tables_that_are_known_only_at_run_time_exchange_if_they_say_so,
}

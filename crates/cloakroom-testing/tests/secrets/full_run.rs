use std::time::Duration;

use cloakroom::{
    Config, Connection, Database, DynamicFields, DynamicValue, FieldValue, Pruner, SessionTable, Sessions,
    Status, ToMany, ToOne, Token,
};
use cloakroom_testing::{START, TestDatabase, each_database};
use futures_util::TryStreamExt;
use serde_json::json;

use crate::bound::bind;
use crate::capture;
use crate::exchanges::exchange;
use crate::guests::{Guest, Peeking, SALT, User, configurations, guest, guests, readers};
use crate::metered;
use crate::seen::Seen;

/// Every operation that succeeds; what was shown of it.
pub(crate) async fn succeed(db: &TestDatabase, sessions: &Sessions<Guest>, seen: &mut Seen) {
    let config = sessions.config();
    seen.secret("the salt", SALT);
    seen.show("Config", config);
    seen.show("Sessions", sessions);
    seen.show("Sessions", &sessions.with_schema("elsewhere").unwrap());

    let imported = Token::import("an-imported-token-of-the-old-house").unwrap();
    let new = guest("1234").data(json!({"device": "a phone"})).import_token(imported);
    seen.show("NewSession", &new);
    let created = sessions.create(new).await.unwrap();
    seen.token(&created.token, config);
    seen.show("CreatedSession", &created);
    seen.show("SessionRow", &*created.session);
    seen.session(&created.session);
    let mut tokens = vec![created.token];
    for _ in 0..5 {
        let created = sessions.create(guest("5678").expires_in(Duration::from_hours(48))).await.unwrap();
        seen.token(&created.token, config);
        tokens.push(created.token);
    }
    for unknown in [Token::generate(64).unwrap(), Token::generate(255).unwrap()] {
        seen.token(&unknown, config);
        seen.show("Result", &sessions.authenticate(&unknown).await);
    }

    // Out of memory, where there is a cache, and past it.
    for _ in 0..3 {
        seen.session(&sessions.authenticate(&tokens[0]).await.unwrap().unwrap());
    }
    seen.session(&sessions.authenticate_fresh(&tokens[0]).await.unwrap().unwrap());

    // Due to be extended.
    db.clock().set(START + time::Duration::days(1) + time::Duration::hours(12));
    let mut session = sessions.authenticate(&tokens[0]).await.unwrap().unwrap();
    seen.session(&session);
    session.fields.user_id = "5678".into();
    *session.data = json!({"device": "a tablet"});
    sessions.update(&mut session).await.unwrap();
    sessions.update_with(&mut session, |session| *session.data = json!({})).await.unwrap();
    sessions.extend(&mut session).await.unwrap();
    let rotated = sessions.rotate(&mut session).await.unwrap();
    seen.token(&rotated, config);
    seen.session(&session);

    let by_token = || sessions.query().token(&rotated);
    seen.show("SessionQuery", &by_token());
    seen.session(&by_token().fetch_one().await.unwrap());
    assert!(by_token().exists().await.unwrap());
    let preload = by_token().preload::<User>(Guest::USER_ID);
    seen.show("Preload", &preload);
    seen.show("Session", &preload.fetch_all().await.unwrap());
    let has_one = ToOne::has_one(Guest::USER_ID, "users", "id");
    let has_many = ToMany::has_many(Guest::USER_ID, "users", "id");
    seen.show("ToOne", &has_one);
    seen.show("ToMany", &has_many);
    seen.show("Session", &sessions.query().preload_many::<User>(has_many).fetch_all().await.unwrap());
    seen.show("Session", &sessions.query().has_many(Guest::USER_ID, ["5678".to_owned()]).await.unwrap());
    let listed: Vec<_> = sessions.query().status(Status::All).stream().try_collect().await.unwrap();
    seen.show("Session", &listed);
    seen.show("Filter", &Guest::USER_ID.eq("5678"));
    seen.show("Column", &Guest::USER_ID);

    operations_in_a_transaction(db, sessions, seen).await;
    dynamic(db, sessions, seen, &rotated).await;

    assert!(sessions.expire(&mut session).await.unwrap());
    assert!(sessions.authenticate(&rotated).await.unwrap().is_none());
    assert!(sessions.delete(session).await.unwrap());
    sessions.query().expire_all().await.unwrap();
    let pruner = Pruner::builder(Duration::from_hours(1));
    seen.show("PrunerBuilder", &pruner);
    let mut pruner = pruner.spawn(sessions.clone());
    seen.show("Progress", &pruner.run_ended().await);
    seen.show("Pruner", &pruner);
    pruner.stop().await;
    sessions.delete_expired().await.unwrap();
    seen.show("Migration", &sessions.migration_status().await.unwrap());
    exchange(db, config, seen).await;
    bind(db, config, seen).await;
}

async fn operations_in_a_transaction(db: &TestDatabase, sessions: &Sessions<Guest>, seen: &mut Seen) {
    macro_rules! within {
        ($pool:expr) => {{
            let mut transaction = $pool.begin().await.unwrap();
            seen.show("Connection", &Connection::from(&mut transaction));
            let mut operations = sessions.within(&mut transaction);
            seen.show("Operations", &operations);
            let created = operations.create(guest("1234")).await.unwrap();
            seen.token(&created.token, sessions.config());
            assert!(operations.authenticate(&created.token).await.unwrap().is_some());
            transaction.rollback().await.unwrap();
        }};
    }
    match db.database() {
        Database::Sqlite(pool) => within!(pool),
        Database::Postgres(pool) => within!(pool),
        Database::MySql(pool) => within!(pool),
        other => panic!("no such database: {other:?}"),
    }
}

async fn dynamic(db: &TestDatabase, sessions: &Sessions<Guest>, seen: &mut Seen, token: &Token) {
    let database = db.database();
    seen.show("Database", &database);
    let table = DynamicFields::definition_from(&database, None, "guests").await.unwrap().unwrap();
    seen.show("TableDefinition", &table);
    seen.show("FieldDefinition", &table.fields());
    let config = sessions.config().clone();
    let dynamic: Sessions<DynamicFields> =
        Sessions::with_definition(database.clone(), table.clone(), config.clone()).unwrap();
    let session = dynamic.authenticate(token).await.unwrap().unwrap();
    seen.session(&session);
    seen.show("DynamicFields", &session.fields);
    seen.show("DynamicValue", &session.fields.get("user_id"));
    seen.print(&DynamicValue::Text("5678".into()));
    seen.show("Filter", &DynamicFields::equals(&table, "user_id", &DynamicValue::Text("5678".into())));
    // The digest is no field that could be asked for.
    let by_digest = DynamicValue::Text(config.digest(token).unwrap().expose().to_owned());
    let filter = DynamicFields::equals(&table, "auth_token_digest", &by_digest);
    seen.failed(dynamic.query().filter(filter).fetch_all().await);

    let peeking: Sessions<Peeking> =
        Sessions::with_definition(database, Guest::definition(), config).unwrap();
    assert!(peeking.authenticate(token).await.unwrap().is_some());
    let readers = readers();
    assert!(readers.contains("FieldReader"));
    seen.show("FieldReader", &readers);
    seen.show("Row", &readers);
    seen.show("FieldValue", &FieldValue::new(&token.expose().to_owned()));
}

async fn a_full_run_shows_no_secret(db: TestDatabase) {
    capture::start("");
    metered::start();
    let mut seen = Seen::default();
    for config in configurations(&db) {
        db.clock().set(START);
        seen.show("ConfigBuilder", &config);
        seen.key();
        let sessions = guests(&db, config).await;
        succeed(&db, &sessions, &mut seen).await;
    }
    seen.show("Config", &Config::builder().secret_salt(SALT).build());
    seen.assert_no_leaks();
}

each_database! { a_full_run_shows_no_secret }

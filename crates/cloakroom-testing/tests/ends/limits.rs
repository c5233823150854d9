//! How many valid sessions an owner has at once.

use std::time::Duration;

use cloakroom::{
    ConfigError, CreatedSession, DynamicFields, DynamicValue, ErrorKind, Evict, FieldDefinition,
    ImportedSession, NewSession, Outcome, PerOwner, Role, Session, SessionTable, Sessions, Status,
    TableDefinition, Token,
};
use cloakroom_testing::{Kind, START, TestDatabase, each_database, each_mode};
use time::OffsetDateTime;

use crate::reasons::{Device, device};

const DAY: Duration = Duration::from_hours(24);

fn of_kind(user_id: &str, kind: Option<&str>) -> NewSession<Device> {
    let mut new = device(user_id);
    new.fields_mut().kind = kind.map(str::to_owned);
    new
}

pub(crate) async fn limited(db: &TestDatabase, limit: PerOwner<Device>) -> Sessions<Device> {
    db.sessions::<Device>().await.with_limit(limit).unwrap()
}

/// Makes sessions a second apart.
async fn create(db: &TestDatabase, sessions: &Sessions<Device>, user: &str) -> CreatedSession<Device> {
    db.clock().advance(Duration::from_secs(1));
    sessions.create(device(user)).await.unwrap()
}

async fn is_valid(sessions: &Sessions<Device>, created: &CreatedSession<Device>) -> bool {
    sessions.authenticate(&created.token).await.unwrap().is_some()
}

async fn reason(sessions: &Sessions<Device>, session: &Session<Device>) -> Option<String> {
    let row = sessions.query().id(session.id).status(Status::All).fetch_one().await.unwrap();
    row.ended_because().map(str::to_owned)
}

async fn the_oldest_session_makes_room_for_a_new_one(db: TestDatabase) {
    let sessions = limited(&db, PerOwner::at_most(2)).await;
    let [first, second] = [create(&db, &sessions, "1").await, create(&db, &sessions, "1").await];
    let other = create(&db, &sessions, "2").await;
    for created in [&first, &second, &other] {
        // A cache has them from here on.
        assert!(is_valid(&sessions, created).await);
    }
    let third = create(&db, &sessions, "1").await;
    let valid = [&first, &second, &other, &third].map(|created| is_valid(&sessions, created));
    assert_eq!(futures_util::future::join_all(valid).await, [false, true, true, true]);
    assert_eq!(reason(&sessions, &first.session).await.as_deref(), Some("evicted"));
    assert_eq!(reason(&sessions, &second.session).await, None);
    let row = sessions.query().id(third.session.id).fetch_one().await.unwrap();
    assert_eq!(row, third.session);
}

async fn only_valid_sessions_count(db: TestDatabase) {
    let sessions = limited(&db, PerOwner::at_most(2).refuse()).await;
    let mut ended = create(&db, &sessions, "1").await;
    create(&db, &sessions, "1").await;
    let refused = sessions.create(device("1")).await.unwrap_err();
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::LimitReached, Outcome::NotDone));
    sessions.expire(&mut ended.session).await.unwrap();
    sessions.create(device("1").never_expires()).await.unwrap();
    assert_eq!(sessions.create(device("1")).await.unwrap_err().kind(), ErrorKind::LimitReached);
    db.clock().advance(7 * DAY);
    // The one that never expires still counts.
    create(&db, &sessions, "1").await;
    assert_eq!(sessions.create(device("1")).await.unwrap_err().kind(), ErrorKind::LimitReached);
    assert_eq!(sessions.query().count().await.unwrap(), 2);
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 4);
}

async fn a_session_that_is_past_its_absolute_lifetime_does_not_count(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await.with_limit(PerOwner::at_most(1).refuse()).unwrap();
    let first = sessions.create(device("1").never_expires()).await.unwrap();
    let config = db.config().max_lifetime(2 * DAY).build().unwrap();
    let limit = PerOwner::at_most(1).refuse();
    let sessions = Sessions::<Device>::new(db.database(), config).unwrap().with_limit(limit).unwrap();
    assert_eq!(sessions.create(device("1")).await.unwrap_err().kind(), ErrorKind::LimitReached);
    db.clock().advance(2 * DAY);
    let second = sessions.create(device("1")).await.unwrap();
    assert!(!is_valid(&sessions, &first).await && is_valid(&sessions, &second).await);
}

async fn a_limit_holds_within_a_transaction(db: TestDatabase) {
    let evicting = limited(&db, PerOwner::at_most(2)).await;
    let refusing = limited(&db, PerOwner::at_most(2).refuse()).await;
    let first = create(&db, &evicting, "1").await;
    create(&db, &evicting, "1").await;
    assert!(is_valid(&evicting, &first).await);
    let mut transaction = evicting.begin().await.unwrap();
    evicting.within(&mut transaction).create(device("1")).await.unwrap();
    assert_eq!(evicting.within(&mut transaction).query().count().await.unwrap(), 2);
    transaction.rollback().await.unwrap();
    assert!(is_valid(&evicting, &first).await);
    assert_eq!(evicting.query().status(Status::All).count().await.unwrap(), 2);

    let mut transaction = refusing.begin().await.unwrap();
    let refused = refusing.within(&mut transaction).create(device("1")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LimitReached);
    // The transaction goes on.
    refusing.within(&mut transaction).create(device("2")).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(refusing.query().count().await.unwrap(), 3);

    let mut transaction = evicting.begin().await.unwrap();
    let third = evicting.within(&mut transaction).create(device("1")).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(!is_valid(&evicting, &first).await && is_valid(&evicting, &third).await);
    assert_eq!(reason(&evicting, &first.session).await.as_deref(), Some("evicted"));
}

async fn the_session_that_was_not_used_for_longest_makes_room(db: TestDatabase) {
    #[derive(Clone, Debug, PartialEq, SessionTable)]
    #[session(table = "seen_devices")]
    struct Seen {
        #[session(index, owner)]
        user_id: i64,
        #[session(last_seen)]
        last_seen: Option<OffsetDateTime>,
    }
    let limit = PerOwner::at_most(3).evict(Evict::LeastRecentlySeen);
    let sessions = db.sessions::<Seen>().await.with_limit(limit).unwrap();
    let create = async |last_seen| {
        db.clock().advance(Duration::from_secs(10));
        let new = NewSession::new(Seen { user_id: 7, last_seen });
        sessions.create(new).await.unwrap().session.id
    };
    // The second was last seen before the first was made, and the first was never seen.
    let seen = |seconds| Some(START + Duration::from_secs(seconds));
    let [first, second, third] = [create(None).await, create(seen(5)).await, create(seen(40)).await];
    let valid = async || {
        let valid = sessions.query().oldest_first().fetch_all().await.unwrap();
        valid.iter().map(|session| session.id).collect::<Vec<_>>()
    };
    let fourth = create(seen(41)).await;
    assert_eq!(valid().await, [first, third, fourth]);
    let fifth = create(seen(42)).await;
    assert_eq!((valid().await, second != fifth), (vec![third, fourth, fifth], true));
}

async fn a_use_that_is_noted_and_not_written_keeps_a_session(db: TestDatabase) {
    #[derive(Clone, Debug, PartialEq, SessionTable)]
    #[session(table = "recorded_devices")]
    struct Recorded {
        #[session(index, owner)]
        user_id: i64,
        #[session(last_seen)]
        last_seen: Option<OffsetDateTime>,
    }
    let limit = PerOwner::at_most(2).evict(Evict::LeastRecentlySeen);
    let config = db.config().record_seen(Duration::from_hours(1));
    let sessions = db.sessions_with::<Recorded>(config).await.with_limit(limit).unwrap();
    let create = async || {
        db.clock().advance(Duration::from_secs(10));
        sessions.create(NewSession::new(Recorded { user_id: 7, last_seen: None })).await.unwrap()
    };
    let [first, second] = [create().await, create().await];
    db.clock().advance(Duration::from_secs(10));
    let used = sessions.authenticate(&first.token).await.unwrap().unwrap();
    let written = sessions.query().id(used.id).fetch_one().await.unwrap().last_seen();
    assert!(sessions.last_seen(&used) > written, "it is written already");
    create().await;
    assert!(sessions.authenticate(&first.token).await.unwrap().is_some());
    assert!(sessions.authenticate(&second.token).await.unwrap().is_none());
}

async fn kinds_are_counted_by_themselves(db: TestDatabase) {
    let number = |device: &Device| match device.kind.as_deref() {
        Some("tv") => Some(1),
        Some("tool") => None,
        Some("forbidden") => Some(0),
        _ => Some(2),
    };
    let sessions = limited(&db, PerOwner::at_most(9).per(Device::KIND).limit_for(number)).await;
    let mut made = Vec::new();
    for kind in [Some("web"), Some("tv"), Some("tool"), None, Some("web"), None, Some("tool"), Some("tool")] {
        db.clock().advance(Duration::from_secs(1));
        made.push(sessions.create(of_kind("1", kind)).await.unwrap());
    }
    assert_eq!(sessions.query().count().await.unwrap(), 8);
    for (kind, evicted) in [(Some("web"), 0), (Some("tv"), 1), (None, 3)] {
        assert!(is_valid(&sessions, &made[evicted]).await);
        sessions.create(of_kind("1", kind)).await.unwrap();
        assert!(!is_valid(&sessions, &made[evicted]).await, "{kind:?}");
        assert_eq!(sessions.query().count().await.unwrap(), 8, "{kind:?}");
    }
    let refused = sessions.create(of_kind("1", Some("forbidden"))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LimitReached);
}

async fn two_limits_hold_together(db: TestDatabase) {
    let sessions = limited(&db, PerOwner::at_most(3)).await;
    let sessions = sessions.with_limit(PerOwner::at_most(1).per(Device::KIND).refuse()).unwrap();
    for kind in ["a", "b", "c"] {
        sessions.create(of_kind("1", Some(kind))).await.unwrap();
        db.clock().advance(Duration::from_secs(1));
    }
    // Refused by the second, so the first has ended nothing.
    let refused = sessions.create(of_kind("1", Some("b"))).await.unwrap_err();
    assert_eq!((refused.kind(), sessions.query().count().await.unwrap()), (ErrorKind::LimitReached, 3));
    sessions.create(of_kind("1", Some("d"))).await.unwrap();
    let kinds = sessions.query().oldest_first().fetch_all().await.unwrap();
    let kinds: Vec<_> = kinds.iter().map(|session| session.fields.kind.clone().unwrap()).collect();
    assert_eq!(kinds, ["b", "c", "d"]);
}

async fn a_lower_limit_and_an_import_are_made_up_for_by_the_next_create(db: TestDatabase) {
    let sessions = limited(&db, PerOwner::at_most(5)).await;
    let imported = (0..8).map(|number| {
        let token = Token::import(format!("a token of another system {number}")).unwrap();
        ImportedSession::with_token(device("1"), token)
    });
    sessions.import(imported.collect()).await.unwrap();
    assert_eq!(sessions.query().count().await.unwrap(), 8);
    create(&db, &sessions, "1").await;
    assert_eq!(sessions.query().count().await.unwrap(), 5);
    let lower = limited(&db, PerOwner::at_most(2)).await;
    let last = create(&db, &lower, "1").await;
    assert_eq!(lower.query().count().await.unwrap(), 2);
    assert!(is_valid(&lower, &last).await);
}

async fn a_create_that_fails_ends_no_session(db: TestDatabase) {
    let sessions = limited(&db, PerOwner::at_most(1)).await;
    let first = create(&db, &sessions, "1").await;
    let taken = device("1").import_token(first.token.clone());
    assert_eq!(sessions.create(taken).await.unwrap_err().kind(), ErrorKind::DuplicateToken);
    assert_eq!(sessions.create(device(" ")).await.unwrap_err().kind(), ErrorKind::InvalidField);
    assert!(is_valid(&sessions, &first).await);
    assert_eq!(reason(&sessions, &first.session).await, None);
}

async fn a_session_without_an_owner_is_not_limited(db: TestDatabase) {
    #[derive(Clone, Debug, PartialEq, SessionTable)]
    #[session(table = "guests")]
    struct Guest {
        #[session(index, owner)]
        user_id: Option<i64>,
    }
    let sessions = db.sessions::<Guest>().await.with_limit(PerOwner::at_most(1)).unwrap();
    for user_id in [None, Some(7), None, Some(7)] {
        db.clock().advance(Duration::from_secs(1));
        sessions.create(NewSession::new(Guest { user_id })).await.unwrap();
    }
    assert_eq!(sessions.query().filter(Guest::USER_ID.is_null()).count().await.unwrap(), 2);
    assert_eq!(sessions.query().owner(7).count().await.unwrap(), 1);
}

async fn a_tool_may_have_a_limit(db: TestDatabase) {
    db.sessions::<Device>().await;
    let table = DynamicFields::definition_from(&db.database(), None, "devices").await.unwrap().unwrap();
    let sessions: Sessions<DynamicFields> =
        Sessions::with_definition(db.database(), table, db.config().build().unwrap()).unwrap();
    let sessions = sessions.with_limit(PerOwner::at_most(2)).unwrap();
    for _ in 0..4 {
        let mut fields = DynamicFields::new(sessions.definition(), sessions.backend());
        fields.set("user_id", DynamicValue::Text("1".into())).unwrap();
        sessions.create(NewSession::new(fields)).await.unwrap();
        db.clock().advance(Duration::from_secs(1));
    }
    assert_eq!(sessions.query().count().await.unwrap(), 2);
}

async fn a_limit_that_is_none_is_refused_before_anything_is_asked(db: TestDatabase) {
    let problem = |limit| {
        let sessions = Sessions::<Device>::new(db.database(), db.config().build().unwrap()).unwrap();
        match sessions.with_limit(limit) {
            Err(ConfigError::Limit { problem }) => problem,
            other => panic!("{other:?}"),
        }
    };
    assert!(problem(PerOwner::at_most(0)).contains("at least 1"));
    let column = cloakroom::Column::<Device, String>::new("colour");
    assert!(problem(PerOwner::at_most(1).per(column)).contains("no column \"colour\""));
    let unseen = problem(PerOwner::at_most(1).evict(Evict::LeastRecentlySeen));
    assert!(unseen.contains("#[session(last_seen)]"), "{unseen}");
    let table = TableDefinition::new("plain").field(FieldDefinition::new::<String>("user_id"));
    let config = db.config().build().unwrap();
    let plain = Sessions::<DynamicFields>::with_definition(db.database(), table, config).unwrap();
    let error = plain.with_limit(PerOwner::at_most(1)).unwrap_err().to_string();
    assert!(error.contains("#[session(owner)]"), "{error}");
    assert!(Device::definition().field_for(Role::Owner).is_some());
}

async fn a_create_under_a_limit_needs_a_transaction_that_sees_what_others_commit(db: TestDatabase) {
    let sessions = limited(&db, PerOwner::at_most(1)).await;
    macro_rules! on_own {
        ($pool:expr, $begin:expr) => {{
            let mut connection = $pool.acquire().await.unwrap();
            let created = sessions.on_connection(&mut *connection).create(device("1")).await;
            assert_eq!(created.unwrap_err().kind(), ErrorKind::NoTransaction);
            let mut transaction = $pool.begin_with($begin).await.unwrap();
            let created = sessions.within(&mut *transaction).create(device("1")).await;
            transaction.rollback().await.unwrap();
            created.map(|_| ()).map_err(|error| error.kind())
        }};
    }
    match db.kind() {
        Kind::Sqlite => assert_eq!(on_own!(db.sqlite_pool(), "BEGIN"), Ok(())),
        Kind::MariaDb => {
            for level in ["REPEATABLE READ", "READ COMMITTED", "SERIALIZABLE"] {
                let begin = format!("SET TRANSACTION ISOLATION LEVEL {level}; START TRANSACTION");
                assert_eq!(on_own!(db.mariadb_pool(), sqlx::AssertSqlSafe(begin)), Ok(()), "{level}");
            }
        }
        Kind::Postgres => {
            let pool = db.postgres_pool();
            for (level, created) in [
                ("READ COMMITTED", Ok(())),
                ("REPEATABLE READ", Err(ErrorKind::Unsupported)),
                ("SERIALIZABLE", Ok(())),
            ] {
                let begin = format!("BEGIN ISOLATION LEVEL {level}");
                assert_eq!(on_own!(pool, sqlx::AssertSqlSafe(begin)), created, "{level}");
            }
        }
    }
    assert_eq!(sessions.query().count().await.unwrap(), 0);
}

async fn a_limit_holds_in_the_schema_of_each_tenant(db: TestDatabase) {
    if db.kind() != Kind::Postgres {
        // Only there does a migration make schemas that go with the test's own.
        return;
    }
    let tenant = format!("{}_tenant", db.schema().unwrap());
    let sessions = limited(&db, PerOwner::at_most(1)).await;
    let of_tenant = sessions.with_schema(tenant.as_str()).unwrap();
    of_tenant.migrate().await.unwrap();
    for handle in [&sessions, &of_tenant] {
        create(&db, handle, "1").await;
        create(&db, handle, "1").await;
        assert_eq!(handle.query().count().await.unwrap(), 1);
    }
    db.execute(&format!("DROP SCHEMA {tenant} CASCADE")).await;
}

each_mode! {
    the_oldest_session_makes_room_for_a_new_one,
    only_valid_sessions_count,
    a_limit_holds_within_a_transaction,
}

mod details {
    use super::*;

    each_database! {
        a_session_that_is_past_its_absolute_lifetime_does_not_count,
        the_session_that_was_not_used_for_longest_makes_room,
        a_use_that_is_noted_and_not_written_keeps_a_session,
        kinds_are_counted_by_themselves,
        two_limits_hold_together,
        a_lower_limit_and_an_import_are_made_up_for_by_the_next_create,
        a_create_that_fails_ends_no_session,
        a_session_without_an_owner_is_not_limited,
        a_tool_may_have_a_limit,
        a_limit_that_is_none_is_refused_before_anything_is_asked,
        a_create_under_a_limit_needs_a_transaction_that_sees_what_others_commit,
        a_limit_holds_in_the_schema_of_each_tenant,
    }
}

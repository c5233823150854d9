//! The roles `last_seen`, `last_address` and `last_user_agent`: when a session was last used, written behind.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom::{
    ConfigBuilder, DynamicFields, DynamicValue, ErrorKind, FieldDefinition, ImportedSession, ManualClock,
    NewSession, Role, Seen, Session, SessionTable, Sessions, Status, TableDefinition, Token,
};
use cloakroom_testing::{
    Kind, START, TestDatabase, UserSession, at_once, each_database, each_mode, hold_connections, patience,
    user,
};
use time::OffsetDateTime;

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "devices")]
pub(crate) struct Device {
    #[session(index)]
    pub(crate) user_id: String,
    #[session(last_seen, column = "used_at")]
    pub(crate) last_seen: Option<OffsetDateTime>,
    #[session(last_address)]
    pub(crate) last_address: Option<String>,
    #[session(last_user_agent)]
    pub(crate) last_user_agent: Option<String>,
}

pub(crate) const EVERY: Duration = Duration::from_mins(1);

const SECOND: time::Duration = time::Duration::SECOND;

pub(crate) fn device(user_id: &str) -> NewSession<Device> {
    let user_id = user_id.to_owned();
    NewSession::new(Device { user_id, last_seen: None, last_address: None, last_user_agent: None })
}

pub(crate) fn recording(db: &TestDatabase) -> ConfigBuilder {
    db.config().record_seen(EVERY)
}

async fn devices(db: &TestDatabase) -> Sessions<Device> {
    db.sessions_with::<Device>(recording(db)).await
}

/// What the row says.
async fn row(sessions: &Sessions<Device>, session: &Session<Device>) -> Session<Device> {
    let mut row = session.clone();
    sessions.reload(&mut row).await.unwrap();
    row
}

/// How many rows say when they were last used.
async fn written(db: &TestDatabase) -> usize {
    db.texts("SELECT user_id FROM devices WHERE used_at IS NOT NULL").await.len()
}

async fn until_written(db: &TestDatabase, rows: usize) {
    let begun = Instant::now();
    while written(db).await < rows {
        assert!(begun.elapsed() < patience(), "it is never written");
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

async fn what_is_authenticated_is_seen_at_once_and_written_a_span_later(db: TestDatabase) {
    let sessions = devices(&db).await;
    let created = sessions.create(device("1234")).await.unwrap();
    assert_eq!((created.session.last_seen(), sessions.last_seen(&created.session)), (None, None));
    for seconds in [1, 20, 58] {
        db.clock().set(START + seconds * SECOND);
        let session = sessions.authenticate(&created.token).await.unwrap().unwrap();
        assert_eq!(session.last_seen(), None, "the row says nothing yet");
        assert_eq!(sessions.last_seen(&session), Some(db.now()));
    }
    assert_eq!(written(&db).await, 0);
    // The span began with the first use. The next call finds that it is over, and does not wait.
    db.clock().set(START + 61 * SECOND);
    let session = sessions.authenticate(&created.token).await.unwrap().unwrap();
    until_written(&db, 1).await;
    let stored = row(&sessions, &session).await;
    assert_eq!((stored.last_seen(), sessions.last_seen(&stored)), (Some(db.now()), Some(db.now())));
    assert_eq!(stored.updated_at, created.session.updated_at);
    assert_eq!(stored.expires_at, created.session.expires_at);
}

async fn every_use_of_a_token_counts_and_no_look_at_a_session(db: TestDatabase) {
    let sessions = devices(&db).await;
    let created = sessions.create(device("1234")).await.unwrap();
    let (session, token) = (created.session, created.token);
    let last = || sessions.last_seen(&session);

    db.clock().advance(SECOND);
    sessions.authenticate_without_extending(&token).await.unwrap().unwrap();
    sessions.query().id(session.id).fetch_one().await.unwrap();
    sessions.query().fetch_all().await.unwrap();
    sessions.reload(&mut session.clone()).await.unwrap();
    assert!(sessions.authenticate(Token::generate(64).unwrap()).await.unwrap().is_none());
    assert_eq!(last(), None);

    let mut transaction = sessions.begin().await.unwrap();
    sessions.within(&mut transaction).authenticate(&token).await.unwrap().unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(last(), Some(db.now()));
    macro_rules! counts {
        ($use:expr) => {{
            db.clock().advance(SECOND);
            let _ = $use.await.unwrap();
            assert_eq!(last(), Some(db.now()), stringify!($use));
        }};
    }
    counts!(sessions.authenticate(&token));
    counts!(sessions.authenticate(&token));
    counts!(sessions.authenticate_fresh(&token));
    counts!(sessions.query().token(&token).fetch_one());
    counts!(sessions.query().token(&token).fetch_optional());
    db.clock().advance(SECOND);
    sessions.seen(&session, Seen::new());
    assert_eq!(last(), Some(db.now()));
    // A clock that is set back takes nothing back.
    db.clock().advance(-5 * SECOND);
    sessions.authenticate(&token).await.unwrap().unwrap();
    assert_eq!(last(), Some(db.now() + 5 * SECOND));
}

async fn what_a_cache_answers_is_seen_and_a_use_that_is_written_voids_no_answer(db: TestDatabase) {
    let cache = cloakroom::Cache::new(100).listen(false).max_staleness(Duration::from_hours(1));
    let sessions = db.sessions_with::<Device>(recording(&db).cache(cache)).await;
    let created = sessions.create(device("1234")).await.unwrap();
    sessions.authenticate(&created.token).await.unwrap().unwrap();
    for _ in 0..3 {
        db.clock().advance(SECOND);
        let held = hold_connections(sessions.database()).await;
        let session = at_once(sessions.authenticate(&created.token)).expect("it is answered from memory");
        let session = session.unwrap().unwrap();
        assert_eq!(sessions.last_seen(&session), Some(db.now()));
        drop(held);
        assert_eq!(sessions.flush_seen().await.unwrap(), 1);
        assert_eq!(row(&sessions, &session).await.last_seen(), Some(db.now()));
    }
}

async fn a_use_that_is_written_is_no_conflict_for_any_caller(db: TestDatabase) {
    let sessions = devices(&db).await;
    let created = sessions.create(device("1234")).await.unwrap();
    // As others have read it before.
    let [mut updated, mut rotated, mut extended, mut ended] = [(); 4].map(|()| created.session.clone());
    let use_it = async |token: &Token| {
        db.clock().advance(SECOND);
        let session = sessions.authenticate(token).await.unwrap().unwrap();
        // After a longer time the call itself starts a write, which may come before this one.
        sessions.flush_seen().await.unwrap();
        assert_eq!(row(&sessions, &session).await.last_seen(), Some(db.now()));
    };
    use_it(&created.token).await;
    updated.fields.user_id = "5678".into();
    sessions.update(&mut updated).await.unwrap();
    let stored = row(&sessions, &updated).await;
    // An update writes what its caller has changed, so it takes back no use that it has not read.
    assert_eq!((stored.last_seen(), &*stored.fields.user_id), (Some(db.now()), "5678"));

    for session in [&mut rotated, &mut extended, &mut ended] {
        sessions.reload(session).await.unwrap();
    }
    use_it(&created.token).await;
    let token = sessions.rotate(&mut rotated).await.unwrap();
    sessions.reload(&mut extended).await.unwrap();
    use_it(&token).await;
    db.clock().advance(2 * time::Duration::DAY);
    assert!(sessions.extend(&mut extended).await.unwrap());
    sessions.reload(&mut ended).await.unwrap();
    use_it(&token).await;
    assert!(sessions.expire(&mut ended).await.unwrap());
    assert_eq!(row(&sessions, &ended).await.updated_at, ended.updated_at);
}

async fn a_session_that_has_ended_meanwhile_stays_ended(db: TestDatabase) {
    let sessions = devices(&db).await;
    let create = async |user_id: &str| {
        let new = device(user_id).expires_in(Duration::from_hours(1));
        sessions.create(new).await.unwrap().session
    };
    let (mut ended, expired, gone) = (create("1").await, create("2").await, create("3").await);
    for session in [&ended, &expired, &gone] {
        sessions.seen(session, Seen::new());
    }
    let used_at = db.now();
    db.clock().advance(SECOND);
    assert!(sessions.expire(&mut ended).await.unwrap());
    assert!(sessions.delete(gone.clone()).await.unwrap());
    db.clock().advance(Duration::from_hours(2));
    let before = [row(&sessions, &ended).await, row(&sessions, &expired).await];
    assert_eq!(sessions.flush_seen().await.unwrap(), 2, "the third is gone");
    for (before, session) in before.iter().zip([&ended, &expired]) {
        let after = row(&sessions, session).await;
        assert_eq!(after.last_seen(), Some(used_at));
        assert_eq!((after.expires_at, after.updated_at), (before.expires_at, before.updated_at));
        assert_eq!(after.status(db.now()), Status::Expired);
    }
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 2);
    assert_eq!(sessions.flush_seen().await.unwrap(), 0, "what is gone is not tried again");
}

async fn an_instant_only_grows_also_if_another_process_is_behind(db: TestDatabase) {
    let here = devices(&db).await;
    let clock = Arc::new(ManualClock::new(START - 10 * SECOND));
    let behind = db.sessions_with::<Device>(recording(&db).clock(Arc::clone(&clock) as _)).await;
    let created = here.create(device("1234")).await.unwrap();
    let used = |sessions: &Sessions<Device>, address: &str| {
        sessions.seen(&created.session, Seen::new().address(address.parse::<IpAddr>().unwrap()));
    };
    used(&here, "192.0.2.1");
    used(&behind, "192.0.2.2");
    assert_eq!(here.flush_seen().await.unwrap(), 1);
    assert_eq!(behind.flush_seen().await.unwrap(), 0, "that was earlier");
    let stored = row(&here, &created.session).await;
    assert_eq!((stored.last_seen(), stored.last_address()), (Some(START), Some("192.0.2.1")));
    clock.set(START + SECOND);
    used(&behind, "192.0.2.2");
    assert_eq!(behind.flush_seen().await.unwrap(), 1);
    let stored = row(&here, &created.session).await;
    assert_eq!((stored.last_seen(), stored.last_address()), (Some(START + SECOND), Some("192.0.2.2")));
}

async fn nothing_is_lost_by_close_and_nothing_noted_after_it(db: TestDatabase) {
    let sessions = devices(&db).await;
    let mut created = Vec::new();
    for number in 0..300 {
        created.push(sessions.create(device(&number.to_string())).await.unwrap());
    }
    let clone = sessions.clone();
    for (number, one) in created.iter().enumerate() {
        let which = if number % 2 == 0 { &sessions } else { &clone };
        which.seen(&one.session, Seen::new().user_agent("curl"));
    }
    sessions.close().await.unwrap();
    assert_eq!(written(&db).await, 300);
    assert_eq!(db.texts("SELECT user_id FROM devices WHERE last_user_agent = 'curl'").await.len(), 300);
    // The rest goes on working.
    db.clock().advance(SECOND);
    let session = clone.authenticate(&created[0].token).await.unwrap().unwrap();
    assert_eq!(clone.last_seen(&session), Some(START));
    assert_eq!(clone.flush_seen().await.unwrap(), 0);
    sessions.close().await.unwrap();
    clone.create(device("later")).await.unwrap();
}

async fn what_cannot_be_written_fails_no_call_and_is_kept(db: TestDatabase) {
    let cache = cloakroom::Cache::new(100).listen(false).max_staleness(Duration::from_hours(1));
    let sessions = db.sessions_with::<Device>(recording(&db).cache(cache)).await;
    let created = sessions.create(device("1234")).await.unwrap();
    sessions.authenticate(&created.token).await.unwrap().unwrap();
    db.execute_anew("ALTER TABLE devices RENAME TO elsewhere").await;
    for _ in 0..3 {
        // Each write is due, and fails.
        db.clock().advance(EVERY);
        let session = sessions.authenticate(&created.token).await.unwrap().unwrap();
        assert_eq!(sessions.flush_seen().await.unwrap_err().kind(), ErrorKind::MissingTable);
        assert_eq!(sessions.last_seen(&session), Some(db.now()));
    }
    assert_eq!(sessions.close().await.unwrap_err().kind(), ErrorKind::MissingTable);
    db.execute_anew("ALTER TABLE elsewhere RENAME TO devices").await;
    sessions.close().await.unwrap();
    assert_eq!(row(&sessions, &created.session).await.last_seen(), Some(db.now()));
}

async fn an_address_and_a_program_are_written_with_the_instant(db: TestDatabase) {
    let sessions = devices(&db).await;
    let session = sessions.create(device("1234")).await.unwrap().session;
    let stored = async || {
        sessions.flush_seen().await.unwrap();
        row(&sessions, &session).await
    };
    sessions.seen(&session, Seen::new().address(address("::ffff:192.0.2.1")).user_agent(b"curl\xff\0"));
    let first = stored().await;
    assert_eq!((first.last_address(), first.last_user_agent()), (Some("192.0.2.1"), Some("curl\u{fffd}")));
    // What is not known stays, also if the clock stands still.
    sessions.seen(&session, Seen::new());
    sessions.seen(&session, Seen::new().address(address("2001:db8::1")));
    let second = stored().await;
    assert_eq!(
        (second.last_address(), second.last_user_agent()),
        (Some("2001:db8::1"), Some("curl\u{fffd}"))
    );
    db.clock().advance(SECOND);
    let long = "🦀".repeat(300);
    sessions.seen_if_recorded(&session, Seen::new().from_client(None, Some(long.as_bytes())));
    let third = stored().await;
    assert_eq!(third.last_address(), Some("2001:db8::1"));
    assert_eq!(third.last_user_agent(), Some(&*"🦀".repeat(255)));
    assert_eq!(third.last_seen(), Some(db.now()));
}

async fn a_text_is_cut_to_what_its_column_holds(db: TestDatabase) {
    db.sessions::<Device>().await;
    let change = match db.kind() {
        Kind::Sqlite => unreachable!("no length of a column is checked there"),
        Kind::Postgres => "ALTER TABLE devices ALTER last_user_agent TYPE varchar(7)",
        Kind::MariaDb => "ALTER TABLE devices MODIFY last_user_agent varchar(7)",
    };
    db.execute_anew(change).await;
    let sessions = devices(&db).await;
    let session = sessions.create(device("1234")).await.unwrap().session;
    sessions.seen(&session, Seen::new().user_agent("Möllers/1.0"));
    assert_eq!(sessions.flush_seen().await.unwrap(), 1);
    assert_eq!(row(&sessions, &session).await.last_user_agent(), Some("Möllers"));
}

async fn a_text_that_the_database_refuses_costs_no_instant_and_no_other_session(db: TestDatabase) {
    db.sessions::<Device>().await;
    let refuse = match db.kind() {
        Kind::Sqlite => {
            "CREATE TRIGGER refused BEFORE UPDATE ON devices WHEN NEW.last_user_agent = 'bad' OR NEW.user_id = 'never' \
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        }
        _ => {
            "ALTER TABLE devices ADD CONSTRAINT refused CHECK (used_at IS NULL OR \
             (COALESCE(last_user_agent, '') <> 'bad' AND user_id <> 'never'))"
        }
    };
    db.execute_anew(refuse).await;
    let sessions = devices(&db).await;
    let mut all = Vec::new();
    for number in 0..40 {
        let user_id = if number == 7 { "never".to_owned() } else { number.to_string() };
        all.push(sessions.create(device(&user_id)).await.unwrap().session);
    }
    for (number, session) in all.iter().enumerate() {
        sessions.seen(session, Seen::new().user_agent(if number == 21 { "bad" } else { "good" }));
    }
    assert_eq!(sessions.flush_seen().await.unwrap(), 39);
    for (number, session) in all.iter().enumerate() {
        let stored = row(&sessions, session).await;
        let expected = match number {
            7 => (None, None),
            21 => (Some(START), None),
            _ => (Some(START), Some("good")),
        };
        assert_eq!((stored.last_seen(), stored.last_user_agent()), expected, "{number}");
    }
    assert_eq!(sessions.flush_seen().await.unwrap(), 0, "what is refused is not tried for ever");
}

/// Runs `$body` while another transaction holds the row of the user `held`.
macro_rules! while_locked {
    ($db:expr, |$other:ident| $body:expr) => {{
        macro_rules! on {
            ($pool:expr) => {{
                let mut $other = $pool.begin().await.unwrap();
                sqlx::query(sqlx::AssertSqlSafe(
                    "SELECT user_id FROM devices WHERE user_id = 'held' FOR UPDATE",
                ))
                .execute(&mut *$other)
                .await
                .unwrap();
                $body
            }};
        }
        match $db.kind() {
            Kind::Sqlite => unreachable!("it locks the file"),
            Kind::Postgres => on!($db.postgres_pool()),
            Kind::MariaDb => on!($db.mariadb_pool()),
        }
    }};
}

async fn a_row_that_is_locked_is_left_to_the_next_write_and_close_waits_for_it(db: TestDatabase) {
    let sessions = devices(&db).await;
    let mut all = Vec::new();
    for user_id in ["1", "held", "2", "3"] {
        all.push(sessions.create(device(user_id)).await.unwrap());
    }
    while_locked!(db, |other| {
        for created in &all {
            sessions.authenticate(&created.token).await.unwrap().unwrap();
        }
        db.clock().advance(EVERY);
        sessions.authenticate(&all[0].token).await.unwrap().unwrap();
        // MySQL has no statement that does not wait, so the others wait with it.
        if !db.is_mysql() {
            until_written(&db, 3).await;
        }
        assert_eq!(sessions.last_seen(&all[1].session), Some(START), "it is kept");
        let mut close = Box::pin(sessions.close());
        let early = tokio::time::timeout(Duration::from_millis(300), &mut close).await;
        assert!(early.is_err(), "{early:?}");
        other.rollback().await.unwrap();
        close.await.unwrap();
    });
    assert_eq!(row(&sessions, &all[1].session).await.last_seen(), Some(START));
    assert_eq!(row(&sessions, &all[0].session).await.last_seen(), Some(db.now()));
}

async fn a_row_that_stays_locked_is_an_error_of_close_and_holds_no_other_row_up(db: TestDatabase) {
    let config = recording(&db).timeout(Duration::from_millis(700));
    let sessions = db.sessions_with::<Device>(config).await;
    let mut all = Vec::new();
    for user_id in ["1", "held", "2"] {
        all.push(sessions.create(device(user_id)).await.unwrap().session);
    }
    while_locked!(db, |other| {
        for session in &all {
            sessions.seen(session, Seen::new());
        }
        let error = sessions.close().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::LockTimeout | ErrorKind::Unavailable), "{error:?}");
        // MySQL has no statement that does not wait.
        assert_eq!(written(&db).await, if db.is_mysql() { 0 } else { 2 });
        other.rollback().await.unwrap();
    });
    sessions.close().await.unwrap();
    assert_eq!(written(&db).await, 3);
}

async fn without_the_setting_or_without_the_column_nothing_is_noted(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    let created = sessions.create(device("1234")).await.unwrap();
    sessions.authenticate(&created.token).await.unwrap().unwrap();
    sessions.seen(&created.session, Seen::new().address(address("192.0.2.1")));
    assert_eq!((sessions.last_seen(&created.session), sessions.flush_seen().await.unwrap()), (None, 0));
    sessions.close().await.unwrap();
    // One configuration may serve several tables.
    let others = db.sessions_with::<UserSession>(recording(&db)).await;
    let created = others.create(user("1234")).await.unwrap();
    let session = others.authenticate(&created.token).await.unwrap().unwrap();
    others.seen_if_recorded(&session, Seen::new().from_client(Some(address("192.0.2.1")), Some(b"curl")));
    db.clock().advance(2 * EVERY);
    others.authenticate(&created.token).await.unwrap().unwrap();
    others.close().await.unwrap();
    assert_eq!(written(&db).await, 0);
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "visits")]
struct Visit {
    #[session(index)]
    user_id: String,
    #[session(last_seen, index)]
    seen: OffsetDateTime,
}

fn visit(user_id: &str) -> NewSession<Visit> {
    NewSession::new(Visit { user_id: user_id.to_owned(), seen: OffsetDateTime::UNIX_EPOCH })
}

async fn where_the_column_is_required_a_session_begins_as_one_that_is_seen(db: TestDatabase) {
    let sessions = db.sessions_with::<Visit>(recording(&db)).await;
    let created = sessions.create(visit("1234")).await.unwrap();
    assert_eq!(created.session.last_seen(), Some(START));
    db.clock().advance(SECOND);
    let session = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!((session.clone(), sessions.last_seen(&session)), (created.session, Some(db.now())));
    assert_eq!(sessions.flush_seen().await.unwrap(), 1);
    let found = sessions.query().filter(Visit::SEEN.gt(START)).fetch_one().await.unwrap();
    assert_eq!(found.last_seen(), Some(db.now()));
}

async fn an_import_that_runs_again_finds_sessions_that_were_used_since(db: TestDatabase) {
    let sessions = db.sessions_with::<Visit>(recording(&db)).await;
    let imported =
        || [ImportedSession::with_token(visit("1234"), Token::import("a-token-of-long-ago-1").unwrap())];
    let rows = || imported().map(|one| one.inserted_at(START - time::Duration::DAY));
    sessions.importer().run_iter(rows()).await.unwrap();
    let session = sessions.authenticate("a-token-of-long-ago-1").await.unwrap().unwrap();
    assert_eq!(session.last_seen(), Some(OffsetDateTime::UNIX_EPOCH), "an import keeps what is given");
    assert_eq!(sessions.flush_seen().await.unwrap(), 1);
    let again = sessions.importer().run_iter(rows()).await.unwrap();
    assert_eq!((again.imported, again.already_there), (0, 1));
}

async fn a_table_known_only_at_run_time_records_uses_by_its_recorded_roles(db: TestDatabase) {
    db.sessions::<Device>().await;
    let table = DynamicFields::definition_from(&db.database(), None, "devices").await.unwrap().unwrap();
    assert_eq!(table.field_for(Role::LastSeen).map(FieldDefinition::name), Some("used_at"));
    let config = recording(&db).build().unwrap();
    let sessions = Sessions::<DynamicFields>::with_definition(db.database(), table, config).unwrap();
    let mut fields = DynamicFields::new(sessions.definition(), sessions.backend());
    fields.set("user_id", DynamicValue::Text("1".to_owned())).unwrap();
    let created = sessions.create(NewSession::new(fields)).await.unwrap();
    sessions.seen(&created.session, Seen::new().address(address("192.0.2.1")).user_agent("curl"));
    sessions.close().await.unwrap();
    let mut session = created.session;
    sessions.reload(&mut session).await.unwrap();
    let told = (session.last_seen(), session.last_address(), session.last_user_agent());
    assert_eq!(told, (Some(START), Some("192.0.2.1"), Some("curl")));
}

async fn an_address_may_have_a_column_of_its_own_type(db: TestDatabase) {
    let sql_type = match db.kind() {
        Kind::Sqlite => "text",
        Kind::Postgres => "inet",
        Kind::MariaDb if db.is_mysql() => "varchar(39)",
        Kind::MariaDb => "inet6",
    };
    let instant = if db.kind() == Kind::Sqlite { "text" } else { "timestamp(6)" };
    let table = TableDefinition::new("devices")
        .field(FieldDefinition::new::<String>("user_id").indexed())
        .field(
            FieldDefinition::new::<OffsetDateTime>("used_at")
                .sql_type(instant)
                .nullable()
                .for_role(Role::LastSeen),
        )
        .field(
            FieldDefinition::new::<String>("last_address")
                .sql_type(sql_type)
                .nullable()
                .for_role(Role::LastAddress),
        )
        .field(FieldDefinition::new::<String>("last_user_agent").nullable().for_role(Role::LastUserAgent));
    let config = recording(&db).build().unwrap();
    let sessions = Sessions::<Device>::with_definition(db.database(), table, config).unwrap();
    sessions.migrate().await.unwrap();
    let mut all = Vec::new();
    for user_id in ["1", "2", "3"] {
        all.push(sessions.create(device(user_id)).await.unwrap().session);
    }
    sessions.seen(&all[0], Seen::new().address(address("2001:db8::1")));
    sessions.seen(&all[1], Seen::new());
    db.clock().advance(SECOND);
    sessions.seen(&all[2], Seen::new().address(address("2001:db8::2")).user_agent("curl"));
    assert_eq!(sessions.flush_seen().await.unwrap(), 3);
    let stored = async |place: usize| {
        let row = row(&sessions, &all[place]).await;
        (row.last_seen(), row.last_address().map(str::to_owned))
    };
    assert_eq!(stored(0).await, (Some(START), Some("2001:db8::1".to_owned())));
    assert_eq!(stored(1).await, (Some(START), None));
    assert_eq!(stored(2).await, (Some(db.now()), Some("2001:db8::2".to_owned())));
}

/// An older server declares the first column of that type so by itself. `migrate` refuses such a table; a program may not
/// call it.
async fn a_column_that_moves_with_each_update_stays_where_it_is(db: TestDatabase) {
    let sessions = devices(&db).await;
    for column in ["updated_at", "inserted_at", "expires_at"] {
        let change = format!(
            "ALTER TABLE devices MODIFY {column} timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) \
             ON UPDATE CURRENT_TIMESTAMP(6)"
        );
        db.execute_anew(&change).await;
    }
    let session = sessions.create(device("1234")).await.unwrap().session;
    sessions.seen(&session, Seen::new());
    assert_eq!(sessions.flush_seen().await.unwrap(), 1);
    let stored = row(&sessions, &session).await;
    assert_eq!(stored.last_seen(), Some(START));
    let instants = |session: &Session<Device>| (session.updated_at, session.inserted_at, session.expires_at);
    assert_eq!(instants(&stored), instants(&session));
}

each_mode! {
    what_is_authenticated_is_seen_at_once_and_written_a_span_later,
    every_use_of_a_token_counts_and_no_look_at_a_session,
    a_use_that_is_written_is_no_conflict_for_any_caller,
    a_session_that_has_ended_meanwhile_stays_ended,
}

mod once {
    use super::*;

    each_database! {
        what_a_cache_answers_is_seen_and_a_use_that_is_written_voids_no_answer,
        an_instant_only_grows_also_if_another_process_is_behind,
        nothing_is_lost_by_close_and_nothing_noted_after_it,
        what_cannot_be_written_fails_no_call_and_is_kept,
        an_address_and_a_program_are_written_with_the_instant,
        a_text_that_the_database_refuses_costs_no_instant_and_no_other_session,
        without_the_setting_or_without_the_column_nothing_is_noted,
        where_the_column_is_required_a_session_begins_as_one_that_is_seen,
        an_import_that_runs_again_finds_sessions_that_were_used_since,
        a_table_known_only_at_run_time_records_uses_by_its_recorded_roles,
        an_address_may_have_a_column_of_its_own_type,
    }
}

mod on_a_server {
    mod postgres {
        cloakroom_testing::each_case!(
            Postgres,
            Coalesced,
            super::super,
            a_text_is_cut_to_what_its_column_holds,
            a_row_that_is_locked_is_left_to_the_next_write_and_close_waits_for_it,
            a_row_that_stays_locked_is_an_error_of_close_and_holds_no_other_row_up
        );
    }

    mod mariadb {
        cloakroom_testing::each_case!(
            MariaDb,
            Coalesced,
            super::super,
            a_text_is_cut_to_what_its_column_holds,
            a_row_that_is_locked_is_left_to_the_next_write_and_close_waits_for_it,
            a_row_that_stays_locked_is_an_error_of_close_and_holds_no_other_row_up,
            a_column_that_moves_with_each_update_stays_where_it_is
        );
    }
}

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cloakroom::{
    BindingTerms, Cache, ColumnType, Database, DynamicFields, ErrorKind, FieldDefinition, NewSession,
    Registration, Role, Seen, Sessions, Status, TableDefinition, event_channel,
};
use cloakroom_testing::{
    Device, Kind, TestDatabase, UserSession, each_database, hold_connections, patience, user,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::scene::{authenticate_at_once, every_operation, sessions_named, visits};
use crate::{page, recorder};

fn name(db: &TestDatabase, names: [&'static str; 3]) -> &'static str {
    match db.kind() {
        Kind::Sqlite => names[0],
        Kind::Postgres => names[1],
        Kind::MariaDb => names[2],
    }
}

/// What was reported so far in this process stands on the page, as the page says.
fn assert_is_on_the_page() -> BTreeSet<String> {
    let page = page::metrics();
    let described: Vec<_> = recorder::described().into_iter().collect();
    let listed: Vec<_> =
        page.iter().map(|(name, (described, _))| (name.clone(), described.clone())).collect();
    assert_eq!(described, listed);
    let mut names = BTreeSet::new();
    for (kind, (name, labels)) in recorder::series() {
        let (described, keys) = page.get(&name).unwrap_or_else(|| panic!("{name} is not on the page"));
        assert_eq!(described.kind, kind, "{name}");
        assert_eq!(&labels.keys().cloned().collect::<BTreeSet<_>>(), keys, "{name}");
        for (label, value) in labels.iter().filter(|(label, _)| *label != "table") {
            assert!(page::values(label).contains(value), "{name}: {label}={value} is not on the page");
        }
        names.insert(name);
    }
    names
}

async fn what_every_operation_reports_stands_on_the_page(db: TestDatabase) {
    recorder::start();
    let table = name(&db, ["listed_sqlite", "listed_postgres", "listed_mariadb"]);
    let cache = Cache::new(32).listen(false).max_staleness(Duration::from_hours(1));
    let sessions = sessions_named(db.database(), table, db.config().cache(cache)).await;
    every_operation(&db, &sessions).await;
    assert_is_on_the_page();
    // Every operation on the page was called, but for those that need another table.
    let counted = |operation: &&String| {
        let labels = [("table", table), ("operation", operation.as_str()), ("outcome", "ok")];
        recorder::counter("cloakroom_operations_total", &labels) > 0
    };
    let operations = page::values("operation");
    let missing: Vec<_> = operations.iter().filter(|operation| !counted(operation)).collect();
    let of_others = [
        "audit_log",
        "count_by",
        "device_challenge",
        "exchange",
        "preload",
        "reauthenticate",
        "register_device",
        "renew_bound",
        "retired_tokens",
        "rotate_with_grace",
    ];
    assert_eq!(missing, of_others);
}

async fn calls_are_counted_by_what_became_of_them(db: TestDatabase) {
    recorder::start();
    let table = name(&db, ["counted_sqlite", "counted_postgres", "counted_mariadb"]);
    let cache = Cache::new(32).listen(false).max_staleness(Duration::from_hours(1));
    let sessions = sessions_named(db.database(), table, db.config().cache(cache)).await;
    let calls = |operation, outcome| {
        let labels = [("table", table), ("operation", operation), ("outcome", outcome)];
        recorder::counter("cloakroom_operations_total", &labels)
    };
    let lookups = |outcome| {
        recorder::counter("cloakroom_cache_lookups_total", &[("table", table), ("outcome", outcome)])
    };
    let of_table = [("table", table)];

    let created = sessions.create(user("1234")).await.unwrap();
    for _ in 0..4 {
        assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
    }
    assert_eq!((calls("create", "ok"), calls("authenticate", "ok")), (1, 1), "the cache answers the others");
    assert_eq!((lookups("absent"), lookups("hit"), lookups("void")), (1, 3, 0));
    assert!(recorder::gauge("cloakroom_cache_entries", &of_table).eq(&1.0));

    let mut session = created.session;
    sessions.expire(&mut session).await.unwrap();
    assert!(sessions.authenticate(&created.token).await.unwrap().is_none());
    assert_eq!((lookups("void"), calls("authenticate", "none"), calls("expire", "ok")), (1, 1, 1));
    let announced = if db.kind() == Kind::Postgres { "true" } else { "false" };
    let revoked = [("table", table), ("announced", announced)];
    assert_eq!(recorder::counter("cloakroom_revocations_total", &revoked), 1);
    // What the database no longer has is no longer kept.
    assert!(recorder::gauge("cloakroom_cache_entries", &of_table).eq(&0.0));

    // More sessions than there is room for.
    for n in 0..40 {
        let created = sessions.create(user(&n.to_string())).await.unwrap();
        assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
    }
    let evicted = recorder::counter("cloakroom_cache_evictions_total", &of_table);
    let kept = recorder::gauge("cloakroom_cache_entries", &of_table);
    assert!(evicted >= 8 && kept <= 32.0, "{evicted} were pushed out, and {kept} are left");
    #[expect(clippy::cast_precision_loss, reason = "it is at most 40")]
    let all = evicted as f64 + kept;
    assert!(all.eq(&40.0), "{all}");

    db.clock().advance(time::Duration::days(30));
    assert_eq!(sessions.delete_expired().await.unwrap(), 41);
    assert_eq!(recorder::counter("cloakroom_pruned_sessions_total", &of_table), 41);

    let (count, longest) = recorder::histogram(
        "cloakroom_operation_duration_seconds",
        &[("table", table), ("operation", "create")],
    );
    assert!(count == 41 && longest > 0.0 && longest < 60.0, "{count} creates took {longest} s at most");
    drop(sessions);
    assert!(recorder::gauge("cloakroom_cache_entries", &of_table).eq(&0.0), "the cache is gone");
}

async fn calls_that_share_a_statement_are_counted_as_one_batch(db: TestDatabase) {
    recorder::start();
    let table = name(&db, ["shared_sqlite", "shared_postgres", "shared_mariadb"]);
    // Past the pool nothing is shared.
    let config = db.config().max_in_flight(1).direct_reads(false);
    let sessions = sessions_named(db.database(), table, config).await;
    let created = sessions.create(user("1234")).await.unwrap();
    authenticate_at_once(&sessions, &created.token, 20).await;
    let labels = [("table", table), ("kind", "lookup")];
    let (statements, largest) = recorder::histogram("cloakroom_batch_size", &labels);
    assert!(statements == 2 && largest.eq(&19.0), "{statements} statements, at most {largest} calls in one");
    let (waited, longest) = recorder::histogram("cloakroom_queue_wait_seconds", &labels);
    assert!(waited == 19 && longest > 0.0, "{waited} waited, for {longest} s at most");
}

/// Registers and renews in a table of this name, and what is refused.
async fn bind(db: &TestDatabase, table: &'static str) {
    let column = FieldDefinition::dynamic("device_key", ColumnType::Text).nullable();
    let definition = TableDefinition::new(table).field(column.for_role(Role::DeviceKey));
    let config = db.config().build().unwrap();
    let sessions = Sessions::<DynamicFields>::with_definition(db.database(), definition, config).unwrap();
    sessions.migrate().await.unwrap();
    let (device, terms) = (Device::new(), BindingTerms::new());
    let fields = DynamicFields::new(sessions.definition(), sessions.backend());
    let created = sessions.create(NewSession::new(fields)).await.unwrap();
    let challenge = sessions.device_challenge(&created.session).await.unwrap().unwrap();
    sessions.register_device(&created.token, None, &terms).await.unwrap();
    let proof = device.registration(challenge.as_str());
    let registration = sessions.register_device(&created.token, Some(&proof), &terms).await.unwrap();
    let Registration::Bound(bound) = registration else { panic!("{registration:?}") };
    let forged = Device::new().proof(bound.challenge.as_str());
    for proof in [forged, device.proof(bound.challenge.as_str()), device.proof(challenge.as_str())] {
        sessions.renew_bound(&created.token, Some(&proof), &terms).await.unwrap();
    }
}

async fn registrations_and_renewals_are_counted_by_what_became_of_them(db: TestDatabase) {
    recorder::start();
    let table = name(&db, ["bound_sqlite", "bound_postgres", "bound_mariadb"]);
    bind(&db, table).await;
    let counted = |what: &str, outcome| {
        let labels = [("table", table), ("outcome", outcome)];
        recorder::counter(&format!("cloakroom_device_{what}_total"), &labels)
    };
    assert_eq!((counted("registrations", "no_proof"), counted("registrations", "bound")), (1, 1));
    let renewals = ["signature", "renewed", "wrong_challenge"].map(|outcome| counted("renewals", outcome));
    assert_eq!(renewals, [1, 1, 1]);
    assert_is_on_the_page();
}

async fn ended_sessions_are_counted_by_their_reasons(db: TestDatabase) {
    recorder::start();
    let table = name(&db, ["ended_sqlite", "ended_postgres", "ended_mariadb"]);
    let sessions = sessions_named(db.database(), table, db.config()).await;
    let ended =
        |reason| recorder::counter("cloakroom_sessions_ended_total", &[("table", table), ("reason", reason)]);
    for _ in 0..4 {
        sessions.create(user("1234")).await.unwrap();
    }
    let mut session = sessions.create(user("1234")).await.unwrap().session;
    assert!(sessions.expire(&mut session).await.unwrap());
    assert!(!sessions.expire(&mut session).await.unwrap());
    assert_eq!(ended("logged_out"), 1);
    assert_eq!(sessions.query().expire_all().await.unwrap(), 4);
    assert_eq!(ended("logged_out"), 5);
    assert!(sessions.delete(session).await.unwrap());
    assert_eq!(sessions.query().status(Status::All).delete_all().await.unwrap(), 4);
    assert_eq!(ended("deleted"), 5);
    // It has expired by this machine's clock, and would be valid by one that is behind.
    let mut session = sessions.create(user("1234").expires_in(Duration::from_mins(1))).await.unwrap().session;
    db.clock().advance(Duration::from_mins(2));
    for _ in 0..2 {
        assert!(!sessions.expire(&mut session).await.unwrap());
        assert_eq!((ended("lapsed"), ended("logged_out")), (1, 5));
    }
    let revocations = || {
        let announced = if db.kind() == Kind::Postgres { "true" } else { "false" };
        recorder::counter("cloakroom_revocations_total", &[("table", table), ("announced", announced)])
    };
    for valid in [1, 0] {
        sessions.create(user("1234").expires_in(Duration::from_mins(1))).await.unwrap();
        db.clock().advance(Duration::from_mins(2));
        let before = (ended("lapsed"), ended("logged_out"), revocations());
        for _ in 0..valid {
            sessions.create(user("1234")).await.unwrap();
        }
        assert_eq!(sessions.query().expire_all().await.unwrap(), valid);
        let after = (ended("lapsed"), ended("logged_out"));
        assert_eq!(after, (before.0 + 1, before.1 + valid));
        assert!(revocations() > before.2);
    }
    assert_is_on_the_page();
}

async fn last_uses_are_counted_by_what_became_of_them(db: TestDatabase) {
    recorder::start();
    let table = name(&db, ["used_sqlite", "used_postgres", "used_mariadb"]);
    let (sessions, all) = visits(&db, table).await;
    let uses = |outcome| {
        recorder::counter("cloakroom_uses_recorded_total", &[("table", table), ("outcome", outcome)])
    };
    for session in &all {
        sessions.seen(session, Seen::new());
    }
    assert_eq!(uses("written"), 0);
    assert_eq!(sessions.flush_seen().await.unwrap(), 3);
    assert_eq!((uses("written"), uses("failed"), uses("dropped")), (3, 0, 0));
    let batches = recorder::histogram("cloakroom_batch_size", &[("table", table), ("kind", "use")]);
    assert_eq!(batches, (1, 3.0));

    // A write by itself, which fails.
    db.execute_anew(&format!("ALTER TABLE {table} RENAME TO {table}_elsewhere")).await;
    sessions.seen(&all[0], Seen::new());
    db.clock().advance(Duration::from_mins(1));
    sessions.seen(&all[0], Seen::new());
    let begun = Instant::now();
    while uses("failed") == 0 {
        assert!(begun.elapsed() < patience(), "no write is made");
        tokio::task::yield_now().await;
    }
    db.execute_anew(&format!("ALTER TABLE {table}_elsewhere RENAME TO {table}")).await;

    // More than there is room for: 64 times 1,024.
    let copies = (0..70_000).map(|number| {
        let mut row = all[0].clone().into_row();
        row.id = uuid::Uuid::from_u128(number);
        cloakroom::Session::from(row)
    });
    db.clock().advance(Duration::from_millis(1));
    let held = hold_connections(sessions.database()).await;
    for session in copies {
        sessions.seen(&session, Seen::new());
    }
    let dropped = uses("dropped");
    assert!((4_464..20_000).contains(&dropped), "{dropped}");
    drop(held);
    sessions.close().await.unwrap();
    assert_eq!((uses("written"), uses("dropped")), (4, dropped));
}

/// A pool of which each connection has this name.
async fn named_pool(db: &TestDatabase, name: &str) -> sqlx::PgPool {
    let options: PgConnectOptions = db.url().parse().unwrap();
    let pool = PgPoolOptions::new().max_connections(2).test_before_acquire(false);
    pool.acquire_timeout(Duration::from_millis(300))
        .connect_with(options.application_name(name))
        .await
        .unwrap()
}

async fn until(sessions: &Sessions<UserSession>, token: &cloakroom::Token, is_so: impl Fn() -> bool) {
    while !is_so() {
        // It starts the listener if it does not run, and lets other tasks run.
        let _ = sessions.authenticate_fresh(token).await;
    }
}

/// Everything on the page was reported once: also what needs trouble, or a listener.
async fn everything_on_the_page_is_reported_case(db: TestDatabase) {
    recorder::start();
    let table = "troubled_postgres";
    let application = db.unique_name();
    let pool = named_pool(&db, &application).await;
    let config = || db.config().cache(Cache::new(32).lease(Duration::from_secs(5)));
    let sessions = sessions_named(pool.clone().into(), table, config()).await;
    every_operation(&db, &sessions).await;
    bind(&db, "troubled_devices").await;
    let created = sessions.create(user("1234")).await.unwrap();
    let of_table = [("table", table)];
    let leases = || recorder::gauge("cloakroom_cache_leases_held", &of_table);
    until(&sessions, &created.token, || leases() > 0.0).await;
    assert!(leases().eq(&1.0));

    // Another process revokes.
    let heard = || recorder::counter("cloakroom_revocations_heard_total", &of_table);
    let before = heard();
    let other = sessions_named(db.database(), table, db.config()).await;
    let session = other.create(user("5678")).await.unwrap().session;
    other.delete(session).await.unwrap();
    until(&sessions, &created.token, || heard() > before).await;

    // All connections of the first process end.
    assert!(db.end_connections(&format!("application_name = '{application}'")).await > 0);
    let retries = [("database", "postgresql"), ("reason", "reconnected")];
    let before = recorder::counter("cloakroom_statement_retries_total", &retries);
    assert!(sessions.authenticate_fresh(&created.token).await.unwrap().is_some());
    assert!(recorder::counter("cloakroom_statement_retries_total", &retries) > before);
    let lost = [("database", "postgresql"), ("reason", "lost")];
    assert!(recorder::counter("cloakroom_connection_failures_total", &lost) > 0);
    let failures = || recorder::counter("cloakroom_listener_failures_total", &of_table);
    until(&sessions, &created.token, || failures() > 0).await;
    until(&sessions, &created.token, || leases() > 0.0).await;
    assert!(recorder::counter("cloakroom_listener_connections_total", &of_table) >= 2);

    // The server's queue of notifications is full.
    let schema = db.schema().unwrap();
    db.execute(
        "CREATE FUNCTION pg_notify(text, text) RETURNS void VOLATILE LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'too many notifications in the NOTIFY queue' USING ERRCODE = '54000'; END $$",
    )
    .await;
    let options = (*db.postgres_pool().connect_options()).clone();
    let full = PgPoolOptions::new().max_connections(1);
    let options = options.options([("search_path", format!("{schema},pg_catalog"))]);
    let full = full.connect_with(options).await.unwrap();
    let unheard = sessions_named(full.clone().into(), table, db.config()).await;
    let session = unheard.create(user("9")).await.unwrap().session;
    assert!(unheard.delete(session).await.unwrap());
    assert_eq!(recorder::counter("cloakroom_announcements_refused_total", &of_table), 1);
    drop(unheard);
    full.close().await;

    // No connection is free.
    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    let error = sessions.query().count().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let exhausted = [("database", "postgresql"), ("reason", "exhausted")];
    assert!(recorder::counter("cloakroom_connection_failures_total", &exhausted) > 0);
    drop(held);

    let (used, all) = visits(&db, "troubled_uses").await;
    used.seen(&all[0], Seen::new());
    used.close().await.unwrap();

    // More happens than a channel holds.
    let lost = || recorder::counter("cloakroom_events_lost_total", &[]);
    let (sender, receiver) = event_channel(1);
    let observed = sessions.clone().with_observer(sender).unwrap();
    for _ in 0..3 {
        observed.create(user("1234")).await.unwrap();
    }
    assert_eq!((lost(), receiver.lost()), (2, 2));
    drop(observed);

    let names = assert_is_on_the_page();
    assert_eq!(names, page::metrics().into_keys().collect(), "what the page lists, and what was reported");
    drop((sessions, other));
    Database::from(pool).close().await;
}

each_database! {
    what_every_operation_reports_stands_on_the_page,
    calls_are_counted_by_what_became_of_them,
    calls_that_share_a_statement_are_counted_as_one_batch,
    ended_sessions_are_counted_by_their_reasons,
    last_uses_are_counted_by_what_became_of_them,
    registrations_and_renewals_are_counted_by_what_became_of_them,
}

mod trouble {
    mod postgres {
        use cloakroom_testing::Kind;

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
        fn everything_on_the_page_is_reported() {
            cloakroom_testing::run(Kind::Postgres, super::super::everything_on_the_page_is_reported_case);
        }
    }
}

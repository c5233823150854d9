//! What a role of the database's must be granted, as `docs/grants.md` lists it: no less, and no more.

use std::time::Duration;

use cloakroom::{Database, ErrorKind, NewSession, SessionTable, Sessions, Status};
use cloakroom_testing::{ApiKey, Kind, Role, TestDatabase, UserSession, user};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::everything::every_operation_but;

const RECORD: &str = "sessions_cloakroom_migrations";

/// A role that may do nothing but connect; it goes with what is granted to it.
struct Guest<'d> {
    db: &'d TestDatabase,
    name: String,
}

impl<'d> Guest<'d> {
    async fn new(db: &'d TestDatabase) -> Self {
        let name = db.unique_name();
        if db.kind() == Kind::Postgres {
            db.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'guest'")).await;
            db.execute(&format!("GRANT USAGE ON SCHEMA {} TO {name}", db.schema().unwrap())).await;
        } else {
            let password = password(db);
            db.execute(&format!("CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'")).await;
        }
        Self { db, name }
    }

    /// Grants rights on something: on PostgreSQL in the test's schema, on MariaDB in its database.
    async fn may(&self, rights: &str, on: &str) {
        let Self { db, name } = self;
        let schema = db.schema().unwrap();
        let grant = match (db.kind(), on) {
            (Kind::Postgres, "*") => format!("GRANT {rights} ON SCHEMA {schema} TO {name}"),
            (Kind::Postgres, on) => format!("GRANT {rights} ON {schema}.{on} TO {name}"),
            (_, on) => format!("GRANT {rights} ON {schema}.{on} TO '{name}'@'%'"),
        };
        db.execute(&grant).await;
    }

    async fn database(&self) -> Database {
        let Self { db, name } = self;
        if db.kind() == Kind::Postgres {
            let options: PgConnectOptions = db.url().parse().unwrap();
            let options = options.username(name).password("guest");
            PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap().into()
        } else {
            let of: MySqlConnectOptions = db.url().parse().unwrap();
            let options = MySqlConnectOptions::new().host(of.get_host()).port(of.get_port()).username(name);
            let options = options.database(of.get_database().unwrap());
            let password = password(db);
            let options = if password.is_empty() { options } else { options.password(password) };
            MySqlPoolOptions::new().max_connections(4).connect_with(options).await.unwrap().into()
        }
    }

    async fn sessions<T: SessionTable>(&self) -> Sessions<T> {
        Sessions::new(self.database().await, self.db.config().build().unwrap()).unwrap()
    }

    async fn leave(self, database: &Database) {
        database.close().await;
        match self.db.kind() {
            Kind::Postgres => {
                self.db.execute(&format!("DROP OWNED BY {0} CASCADE; DROP ROLE {0}", self.name)).await;
            }
            _ => self.db.execute(&format!("DROP USER '{}'@'%'", self.name)).await,
        }
    }
}

/// MySQL's accounts have passwords that the driver sends through TLS alone, which it is built without here.
fn password(db: &TestDatabase) -> &'static str {
    if db.is_mysql() { "" } else { "guest" }
}

/// Which operations the role is refused for lack of a right.
async fn refused(sessions: &Sessions<UserSession>, db: &TestDatabase) -> Vec<&'static str> {
    let created = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap();
    let mut refused = Vec::new();
    // What ends the session comes last, and each by itself.
    let ending = ["expire", "rotate", "delete", "delete_expired", "expire_all", "delete_all", "update"];
    for outcome in every_operation_but(&ending, sessions, &created.session, &created.token).await {
        match outcome.error.as_ref().map(cloakroom::Error::kind) {
            None | Some(ErrorKind::Conflict) => {}
            Some(ErrorKind::PermissionDenied) => refused.push(outcome.operation),
            Some(_) => panic!("{outcome:?}"),
        }
    }
    let query = || sessions.query().status(Status::All);
    let mut session = created.session;
    macro_rules! also {
        ($($operation:literal: $call:expr),* $(,)?) => {
            $(match $call.await.map(drop) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::PermissionDenied => refused.push($operation),
                Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::Expired) => {}
                Err(error) => panic!("{}: {error:?}", $operation),
            })*
        };
    }
    also! {
        "update": sessions.update(&mut session),
        "rotate": sessions.rotate(&mut session),
        "expire": sessions.expire(&mut session),
        "delete_expired": sessions.delete_expired(),
        "delete": sessions.delete(session.clone()),
        "expire_all": query().expire_all(),
        "delete_all": query().delete_all(),
    }
    refused.sort_unstable();
    refused
}

async fn a_role_that_may_only_use_the_table_uses_all_of_it_and_migrates_nothing(db: TestDatabase) {
    // With a record and without, as when the statements were run by hand.
    for has_record in [true, false] {
        db.sessions::<UserSession>().await;
        if !has_record {
            db.execute(&format!("DROP TABLE {RECORD}")).await;
        }
        let guest = Guest::new(&db).await;
        guest.may("SELECT, INSERT, UPDATE, DELETE", "sessions").await;
        let sessions = guest.sessions::<UserSession>().await;
        assert_eq!(sessions.migrate().await.unwrap(), []);
        assert_eq!(refused(&sessions, &db).await, [""; 0]);
        guest.leave(sessions.database()).await;
        db.sessions::<UserSession>().await.migrate_down().await.unwrap();
    }
}

async fn such_a_role_is_told_what_is_missing(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    let index = match db.kind() {
        Kind::Postgres => "DROP INDEX sessions_expires_at_index",
        _ => "DROP INDEX sessions_expires_at_index ON sessions",
    };
    db.execute(index).await;
    let guest = Guest::new(&db).await;
    guest.may("SELECT, INSERT, UPDATE, DELETE", "sessions").await;
    let sessions = guest.sessions::<UserSession>().await;
    let error = sessions.migrate().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    let keys = guest.sessions::<ApiKey>().await;
    let error = keys.migrate().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    keys.database().close().await;
    guest.leave(sessions.database()).await;
}

async fn a_role_that_migrates_needs_what_is_listed(db: TestDatabase) {
    let guest = Guest::new(&db).await;
    match db.kind() {
        Kind::Postgres => guest.may("CREATE", "*").await,
        _ => guest.may("CREATE, INDEX, SELECT, INSERT", "*").await,
    }
    let sessions = guest.sessions::<ApiKey>().await;
    assert_eq!(sessions.migrate().await.unwrap().len(), 3);
    assert_eq!(sessions.migrate().await.unwrap(), []);
    assert_eq!(sessions.migration_status().await.unwrap().len(), 3);
    let key = ApiKey { user_id: "1234".into(), role: Role::Admin, quota: None };
    sessions.create(NewSession::new(key)).await.unwrap();
    if db.kind() == Kind::MariaDb {
        let error = sessions.migrate_down().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
        guest.may("DROP", "*").await;
    }
    // A connection of MariaDB's knows the rights on a database as they were when it was opened.
    sessions.database().close().await;
    let sessions = guest.sessions::<ApiKey>().await;
    sessions.migrate_down().await.unwrap();
    guest.leave(sessions.database()).await;
}

async fn a_role_that_prunes_may_do_nothing_else(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    let guest = Guest::new(&db).await;
    match db.kind() {
        // To lock a row is to write it, as far as rights are concerned.
        Kind::Postgres => {
            guest.may("SELECT (id, expires_at), UPDATE (id), DELETE", "sessions").await;
        }
        _ => guest.may("SELECT (expires_at), DELETE", "sessions").await,
    }
    let expired = db.sessions::<UserSession>().await;
    expired.create(user("1234").expires_at(db.now())).await.unwrap();
    let sessions = guest.sessions::<UserSession>().await;
    assert_eq!(sessions.delete_expired().await.unwrap(), 1);
    let error = sessions.query().fetch_all().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    let refused = refused(&sessions, &db).await;
    for operation in ["create", "authenticate", "fetch_all", "update", "rotate", "expire", "expire_all"] {
        assert!(refused.contains(&operation), "{operation}: {refused:?}");
    }
    guest.leave(sessions.database()).await;
}

async fn a_role_that_reports_reads_all_but_the_digests(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    let guest = Guest::new(&db).await;
    guest.may("SELECT (id, user_id, data, expires_at, inserted_at, updated_at)", "sessions").await;
    let sessions = guest.sessions::<UserSession>().await;
    let refused = refused(&sessions, &db).await;
    let reads =
        ["count", "exists", "fetch_all", "fetch_one", "fetch_optional", "has_many", "reload", "stream"];
    for operation in reads {
        assert!(!refused.contains(&operation), "{operation}: {refused:?}");
    }
    let others = [
        "authenticate",
        "create",
        "delete",
        "delete_all",
        "delete_expired",
        "expire",
        "expire_all",
        "rotate",
        "update",
    ];
    for operation in others {
        assert!(refused.contains(&operation), "{operation}: {refused:?}");
    }
    guest.leave(sessions.database()).await;
}

/// A table with both tables beside it.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "beside", exchange, rotation_grace, audit_log)]
struct Beside {
    #[session(index, owner)]
    user_id: String,
}

fn beside() -> NewSession<Beside> {
    NewSession::new(Beside { user_id: "1234".into() })
}

async fn a_role_that_uses_tables_beside_its_own_needs_what_is_listed(db: TestDatabase) {
    db.sessions::<Beside>().await;
    let guest = Guest::new(&db).await;
    guest.may("SELECT, INSERT, UPDATE, DELETE", "beside").await;
    guest.may("SELECT, INSERT, UPDATE, DELETE", "beside_retired_tokens").await;
    guest.may("SELECT, INSERT", "beside_audit_log").await;
    let sessions = guest.sessions::<Beside>().await;
    assert_eq!(sessions.migrate().await.unwrap(), []);
    let created = sessions.create(beside()).await.unwrap();
    let next = sessions.exchange(&created.token).await.unwrap().unwrap();
    let next = next.successor().unwrap();
    sessions.exchange(&next.token).await.unwrap().unwrap();
    assert!(sessions.exchange(&created.token).await.unwrap().unwrap().successor().is_none());
    let mut session = sessions.create(beside()).await.unwrap().session;
    sessions.rotate_with_grace(&mut session, Duration::from_hours(1)).await.unwrap();
    assert_eq!(sessions.retired_tokens(&session).await.unwrap().len(), 1);
    sessions.update(&mut session).await.unwrap();
    sessions.rotate(&mut session).await.unwrap();
    assert!(sessions.expire(&mut session).await.unwrap());
    assert!(sessions.delete(session).await.unwrap());
    sessions.create(beside()).await.unwrap();
    assert_eq!(sessions.query().expire_all().await.unwrap(), 1);
    assert_eq!(sessions.query().status(Status::All).delete_all().await.unwrap(), 2);
    db.clock().advance(Duration::from_hours(48));
    sessions.delete_expired().await.unwrap();
    let entries = sessions.audit_log().fetch_all().await.unwrap().len();
    assert_eq!(entries, 14);
    // What is written can be neither changed nor deleted.
    let prunes = Sessions::<Beside>::new(
        sessions.database().clone(),
        db.config().audit_retention(Duration::from_hours(1)).build().unwrap(),
    );
    let error = prunes.unwrap().delete_expired().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    assert_eq!(sessions.audit_log().fetch_all().await.unwrap().len(), entries);
    guest.leave(sessions.database()).await;
}

async fn a_role_that_prunes_tables_beside_another_needs_what_is_listed(db: TestDatabase) {
    let of_owner = db.sessions::<Beside>().await;
    let created = of_owner.create(beside()).await.unwrap();
    of_owner.exchange(&created.token).await.unwrap().unwrap();
    db.clock().advance(Duration::from_hours(24 * 30));
    let guest = Guest::new(&db).await;
    if db.kind() == Kind::Postgres {
        guest.may("SELECT (id, expires_at), UPDATE (id), DELETE", "beside").await;
        guest.may("SELECT (id, recorded_at), UPDATE (id), DELETE", "beside_audit_log").await;
    } else {
        guest.may("SELECT (id, expires_at), DELETE", "beside").await;
        guest.may("SELECT (recorded_at), DELETE", "beside_audit_log").await;
    }
    guest.may("SELECT, UPDATE, DELETE", "beside_retired_tokens").await;
    let config = db.config().audit_retention(Duration::from_hours(24)).build().unwrap();
    let sessions = Sessions::<Beside>::new(guest.database().await, config).unwrap();
    assert_eq!(sessions.delete_expired().await.unwrap(), 1);
    assert_eq!(of_owner.audit_log().fetch_all().await.unwrap().len(), 0);
    assert_eq!(db.texts("SELECT hint FROM beside_retired_tokens").await.len(), 0);
    guest.leave(sessions.database()).await;
}

mod postgres {
    cloakroom_testing::each_case!(
        Postgres,
        Coalesced,
        super,
        a_role_that_may_only_use_the_table_uses_all_of_it_and_migrates_nothing,
        such_a_role_is_told_what_is_missing,
        a_role_that_migrates_needs_what_is_listed,
        a_role_that_prunes_may_do_nothing_else,
        a_role_that_reports_reads_all_but_the_digests,
        a_role_that_uses_tables_beside_its_own_needs_what_is_listed,
        a_role_that_prunes_tables_beside_another_needs_what_is_listed
    );
}

mod mariadb {
    cloakroom_testing::each_case!(
        MariaDb,
        Coalesced,
        super,
        a_role_that_may_only_use_the_table_uses_all_of_it_and_migrates_nothing,
        such_a_role_is_told_what_is_missing,
        a_role_that_migrates_needs_what_is_listed,
        a_role_that_prunes_may_do_nothing_else,
        a_role_that_reports_reads_all_but_the_digests,
        a_role_that_uses_tables_beside_its_own_needs_what_is_listed,
        a_role_that_prunes_tables_beside_another_needs_what_is_listed
    );
}

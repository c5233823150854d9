use std::collections::HashMap;

use cloakroom::{ErrorKind, NewSession, Session, SessionFields, SessionTable, Sessions, ToMany, ToOne};
use cloakroom_testing::{Kind, START, TestDatabase, UserSession, each_mode};
use time::Duration;
use uuid::Uuid;

use crate::rows::{self, Row};
use crate::statements::Watched;

#[derive(Clone, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent)]
struct TeamId(i64);

#[derive(Clone, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent)]
struct Code(String);

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "visits")]
struct Visit {
    #[session(index, belongs_to = "people.id")]
    person: i64,
    #[session(belongs_to = "people.name")]
    name: Option<String>,
    #[session(belongs_to = "people.badge")]
    badge: Option<Uuid>,
    #[session(belongs_to = "teams.id")]
    team: Option<TeamId>,
    #[session(belongs_to = "teams.code")]
    code: Option<Code>,
    note: String,
}

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
struct Person {
    id: i64,
    name: String,
    badge: Uuid,
}

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
struct Team {
    id: i64,
    code: String,
}

/// Something that points at a session by its id.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
struct Event {
    what: String,
}

fn visit(person: i64) -> Visit {
    Visit { person, name: None, badge: None, team: None, code: None, note: "-".into() }
}

fn person(id: i64) -> Person {
    Person { id, name: format!("person {id}"), badge: Uuid::from_u128(u128::from(id.unsigned_abs())) }
}

/// The types of the columns of the other tables: of integers, texts and UUIDs.
fn types(db: &TestDatabase) -> [&'static str; 3] {
    match db.kind() {
        Kind::Sqlite => ["INTEGER", "TEXT", "BLOB"],
        Kind::Postgres => ["bigint", "text", "uuid"],
        Kind::MariaDb => ["bigint", "varchar(40)", "binary(16)"],
    }
}

/// Three people, one to three, and two teams.
async fn prepared(db: &TestDatabase) -> Sessions<Visit> {
    let [integer, text, uuid] = types(db);
    db.execute(&format!("CREATE TABLE people (badge {uuid}, id {integer} PRIMARY KEY, name {text})")).await;
    db.execute(&format!("CREATE TABLE teams (id {integer} PRIMARY KEY, code {text})")).await;
    rows::insert_values(db, "people", 3, |number| {
        let id = number + 1;
        format!("{}, {id}, 'person {id}'", rows::uuid(db.kind(), rows::id(id)))
    })
    .await;
    db.execute("INSERT INTO teams VALUES (1, 'red'), (2, 'Red')").await;
    db.sessions::<Visit>().await
}

async fn create(db: &TestDatabase, sessions: &Sessions<Visit>, fields: Visit) -> Session<Visit> {
    db.clock().advance(Duration::SECOND);
    sessions.create(NewSession::new(fields)).await.unwrap().session
}

async fn what_a_session_belongs_to_comes_with_it(db: TestDatabase) {
    let sessions = prepared(&db).await;
    let first = create(&db, &sessions, visit(1)).await;
    let second = create(&db, &sessions, visit(2)).await;
    let again = create(&db, &sessions, visit(1)).await;
    let orphan = create(&db, &sessions, visit(9)).await;
    let expected = vec![
        (orphan.clone(), None),
        (again, Some(person(1))),
        (second.clone(), Some(person(2))),
        (first, Some(person(1))),
    ];
    let declared = sessions.query().preload::<Person>(Visit::PERSON).fetch_all().await.unwrap();
    assert_eq!(declared, expected);
    let named = ToOne::belongs_to(Visit::PERSON, "people", "id");
    assert_eq!(sessions.query().preload::<Person>(named).fetch_all().await.unwrap(), expected);

    let query = || sessions.query().filter(Visit::PERSON.eq(2)).preload::<Person>(Visit::PERSON);
    assert_eq!(query().fetch_one().await.unwrap(), (second.clone(), Some(person(2))));
    assert_eq!(query().fetch_optional().await.unwrap(), Some((second, Some(person(2)))));
    let first_page = sessions.query().limit(1).preload::<Person>(Visit::PERSON).fetch_all().await.unwrap();
    assert_eq!(first_page, [(orphan, None)]);
    let none = || sessions.query().filter(Visit::PERSON.eq(7)).preload::<Person>(Visit::PERSON);
    assert_eq!(none().fetch_all().await.unwrap(), []);
    assert_eq!(none().fetch_optional().await.unwrap(), None);
    assert_eq!(none().fetch_one().await.unwrap_err().kind(), ErrorKind::NotFound);
    let several = sessions.query().preload::<Person>(Visit::PERSON);
    assert_eq!(several.fetch_one().await.unwrap_err().kind(), ErrorKind::MultipleSessions);
}

/// A connection may remember what columns a table had.
async fn what_a_session_belongs_to_is_read_as_its_table_is_by_then(db: TestDatabase) {
    let sessions = prepared(&db).await;
    let session = create(&db, &sessions, visit(1)).await;
    let query = || sessions.query().preload::<Person>(Visit::PERSON);
    assert_eq!(query().fetch_one().await.unwrap(), (session.clone(), Some(person(1))));
    db.execute_anew("ALTER TABLE people ADD COLUMN nickname varchar(40)").await;
    assert_eq!(query().fetch_one().await.unwrap(), (session.clone(), Some(person(1))));
    let [integer, text, uuid] = types(&db);
    for statement in [
        "ALTER TABLE people RENAME TO before".to_owned(),
        format!("CREATE TABLE people (name {text}, badge {uuid}, id {integer} PRIMARY KEY)"),
        "INSERT INTO people SELECT name, badge, id FROM before".to_owned(),
    ] {
        let statement =
            if db.kind() == Kind::MariaDb { statement.replace("before", "`before`") } else { statement };
        db.execute_anew(&statement).await;
    }
    assert_eq!(query().fetch_one().await.unwrap(), (session, Some(person(1))));
}

async fn keys_are_integers_texts_uuids_and_types_of_the_applications_own(db: TestDatabase) {
    let sessions = prepared(&db).await;
    let fields = Visit {
        name: Some("person 2".into()),
        badge: Some(Uuid::from_u128(3)),
        team: Some(TeamId(2)),
        code: Some(Code("red".into())),
        ..visit(1)
    };
    let full = create(&db, &sessions, fields).await;
    let empty = create(&db, &sessions, visit(1)).await;
    let (two, three) = (Some(person(2)), Some(person(3)));
    let by_name = sessions.query().preload::<Person>(Visit::NAME).fetch_all().await.unwrap();
    assert_eq!(by_name, [(empty.clone(), None), (full.clone(), two)]);
    let by_badge = sessions.query().preload::<Person>(Visit::BADGE).fetch_all().await.unwrap();
    assert_eq!(by_badge, [(empty.clone(), None), (full.clone(), three)]);
    let red = |id, code: &str| Some(Team { id, code: code.to_owned() });
    let by_team = sessions.query().preload::<Team>(Visit::TEAM).fetch_all().await.unwrap();
    assert_eq!(by_team, [(empty.clone(), None), (full.clone(), red(2, "Red"))]);
    let by_code = sessions.query().preload::<Team>(Visit::CODE).fetch_all().await.unwrap();
    assert_eq!(by_code, [(empty, None), (full, red(1, "red"))]);
}

async fn what_a_session_has_comes_with_it(db: TestDatabase) {
    let sessions = prepared(&db).await;
    let first = create(&db, &sessions, visit(1)).await;
    let second = create(&db, &sessions, visit(2)).await;
    let [_, text, uuid] = types(&db);
    db.execute(&format!("CREATE TABLE events (what {text}, session_id {uuid})")).await;
    let id = rows::uuid(db.kind(), first.id);
    db.execute(&format!("INSERT INTO events VALUES ('in', {id}), ('out', {id}), ('nobody', NULL)")).await;
    let events = ToMany::has_many(Visit::ID, "events", "session_id");
    let mut listed = sessions.query().oldest_first().preload_many::<Event>(events).fetch_all().await.unwrap();
    listed[0].1.sort_by(|one, other| one.what.cmp(&other.what));
    let event = |what: &str| Event { what: what.to_owned() };
    assert_eq!(listed, [(first.clone(), vec![event("in"), event("out")]), (second.clone(), vec![])]);

    db.execute("DELETE FROM events WHERE what = 'in'").await;
    let latest = ToOne::has_one(Visit::ID, "events", "session_id");
    let listed = sessions.query().oldest_first().preload::<Event>(latest).fetch_all().await.unwrap();
    assert_eq!(listed, [(first, Some(event("out"))), (second, None)]);
}

async fn what_a_session_is_joined_with_comes_with_it(db: TestDatabase) {
    let sessions = prepared(&db).await;
    let first = create(&db, &sessions, visit(1)).await;
    let second = create(&db, &sessions, visit(1)).await;
    let third = create(&db, &sessions, visit(2)).await;
    let [integer, _, _] = types(&db);
    db.execute(&format!("CREATE TABLE members (person_id {integer}, team_id {integer})")).await;
    db.execute("INSERT INTO members VALUES (1, 1), (1, 2), (3, 1), (2, 9)").await;
    let teams = ToMany::many_to_many(Visit::PERSON, ("members", "person_id", "team_id"), ("teams", "id"));
    let mut listed = sessions.query().oldest_first().preload_many::<Team>(teams).fetch_all().await.unwrap();
    for (_, teams) in &mut listed {
        teams.sort_by_key(|team| team.id);
    }
    let both = vec![Team { id: 1, code: "red".into() }, Team { id: 2, code: "Red".into() }];
    assert_eq!(listed, [(first, both.clone()), (second, both), (third, vec![])]);
}

async fn owners_are_given_their_sessions(db: TestDatabase) {
    let sessions = prepared(&db).await;
    let first = create(&db, &sessions, Visit { code: Some(Code("red".into())), ..visit(1) }).await;
    let second = create(&db, &sessions, visit(2)).await;
    let third = create(&db, &sessions, visit(1)).await;
    create(&db, &sessions, visit(3)).await;
    let by_person = sessions.query().has_many(Visit::PERSON, [1, 2, 9, 1]).await.unwrap();
    let expected = [(1, vec![third.clone(), first.clone()]), (2, vec![second.clone()])];
    assert_eq!(by_person, HashMap::from(expected));
    let oldest = sessions.query().oldest_first().has_one(Visit::PERSON, [1, 2, 9]).await.unwrap();
    assert_eq!(oldest, HashMap::from([(1, first.clone()), (2, second.clone())]));
    let by_code = sessions.query().has_many(Visit::CODE, [Code("red".into()), Code("Red".into())]);
    assert_eq!(by_code.await.unwrap(), HashMap::from([(Code("red".into()), vec![first.clone()])]));
    let filtered =
        sessions.query().filter(Visit::ID.ne(third.id)).has_many(Visit::PERSON, [1]).await.unwrap();
    assert_eq!(filtered, HashMap::from([(1, vec![first])]));
    assert_eq!(sessions.query().has_many(Visit::PERSON, []).await.unwrap(), HashMap::new());
}

async fn a_relation_that_is_none_is_an_error(db: TestDatabase) {
    let sessions = prepared(&db).await;
    create(&db, &sessions, visit(1)).await;
    let undeclared = sessions.query().preload::<Person>(Visit::NOTE).fetch_all().await.unwrap_err();
    assert_eq!(undeclared.kind(), ErrorKind::Unsupported);
    assert!(undeclared.to_string().contains("note"), "{undeclared}");
    let absent = ToOne::belongs_to(Visit::PERSON, "nobody", "id");
    let absent = sessions.query().preload::<Person>(absent).fetch_all().await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::MissingTable);
    assert!(absent.to_string().contains("nobody"), "{absent}");
}

async fn relations_are_read_within_a_transaction(db: TestDatabase) {
    macro_rules! case {
        ($sessions:expr, $pool:expr) => {{
            let mut transaction = $pool.begin().await.unwrap();
            let badge = rows::uuid(db.kind(), rows::id(7));
            let insert = format!("INSERT INTO people VALUES ({badge}, 7, 'person 7')");
            sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(&mut *transaction).await.unwrap();
            let mut operations = $sessions.within(&mut transaction);
            operations.create(NewSession::new(visit(7))).await.unwrap();
            let found = operations.query().preload::<Person>(Visit::PERSON).fetch_one().await.unwrap();
            assert_eq!(found.1, Some(person(7)));
            assert_eq!(operations.query().has_many(Visit::PERSON, [7]).await.unwrap().len(), 1);
            transaction.rollback().await.unwrap();
        }};
    }
    let sessions = prepared(&db).await;
    match db.kind() {
        Kind::Sqlite => case!(sessions, db.sqlite_pool()),
        Kind::Postgres => case!(sessions, db.postgres_pool()),
        Kind::MariaDb => case!(sessions, db.mariadb_pool()),
    }
    assert_eq!(sessions.query().count().await.unwrap(), 0);
}

/// The sessions' users, who are many.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
struct User {
    name: String,
}

async fn forty_thousand_sessions_need_one_more_statement(db: TestDatabase) {
    const MANY: usize = 40_000;
    let watched = Watched::<UserSession>::new(&db).await;
    let row = |number| Row { user_id: format!("'user-{number}'"), inserted_at: START, expires_at: None };
    rows::insert(&db, &watched.table, MANY, row).await;
    let [_, text, _] = types(&db);
    // Named so as to be watched too.
    let users = format!("{}_users", watched.table);
    db.execute(&format!("CREATE TABLE {users} (id {text} PRIMARY KEY, name {text})")).await;
    rows::insert_values(&db, &users, MANY / 2, |number| format!("'user-{number}', 'name {number}'")).await;
    let relation = ToOne::belongs_to(UserSession::USER_ID, &users, "id");
    let mut listed = Vec::new();
    let statements = watched
        .statements(async {
            let query = watched.sessions.query().oldest_first();
            listed = query.preload::<User>(relation).fetch_all().await.unwrap();
        })
        .await;
    assert_eq!(statements.len(), 2);
    assert_eq!(listed.len(), MANY);
    for (number, (session, user)) in listed.into_iter().enumerate() {
        assert_eq!(session.fields.user_id, format!("user-{number}"));
        let name = (number < MANY / 2).then(|| User { name: format!("name {number}") });
        assert_eq!(user, name);
    }
}

async fn a_list_of_sessions_without_keys_needs_no_further_statement(db: TestDatabase) {
    let watched = Watched::<UserSession>::new(&db).await;
    let relation = ToOne::belongs_to(UserSession::USER_ID, "users", "id");
    let preload = async { watched.sessions.query().preload::<User>(relation).fetch_all().await.unwrap() };
    assert_eq!(watched.statements(preload).await.len(), 1);
}

async fn owners_may_be_more_than_a_statement_takes_placeholders(db: TestDatabase) {
    let sessions = prepared(&db).await;
    let fields = Visit {
        name: Some("person 2".into()),
        badge: Some(Uuid::from_u128(3)),
        code: Some(Code("red".into())),
        team: Some(TeamId(5)),
        ..visit(1)
    };
    let session = create(&db, &sessions, fields).await;
    let found = vec![session];
    let numbers = || 0..66_000;
    let by_person = sessions.query().has_many(Visit::PERSON, numbers()).await.unwrap();
    assert_eq!(by_person, HashMap::from([(1, found.clone())]));
    let names = numbers().map(|number| format!("person {number}"));
    let by_name = sessions.query().has_many(Visit::NAME, names).await.unwrap();
    assert_eq!(by_name, HashMap::from([("person 2".to_owned(), found.clone())]));
    let badges = numbers().map(|number| Uuid::from_u128(u128::from(number.unsigned_abs())));
    let by_badge = sessions.query().has_many(Visit::BADGE, badges).await.unwrap();
    assert_eq!(by_badge, HashMap::from([(Uuid::from_u128(3), found)]));
}

each_mode! {
    what_a_session_belongs_to_comes_with_it,
    what_a_session_belongs_to_is_read_as_its_table_is_by_then,
    keys_are_integers_texts_uuids_and_types_of_the_applications_own,
    what_a_session_has_comes_with_it,
    what_a_session_is_joined_with_comes_with_it,
    owners_are_given_their_sessions,
    a_relation_that_is_none_is_an_error,
    relations_are_read_within_a_transaction,
    forty_thousand_sessions_need_one_more_statement,
    a_list_of_sessions_without_keys_needs_no_further_statement,
    owners_may_be_more_than_a_statement_takes_placeholders,
}

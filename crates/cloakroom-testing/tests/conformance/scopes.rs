//! Scopes: what a column of them holds, which conditions match it, and what becomes of unknown scopes.

use cloakroom::{
    DynamicFields, DynamicValue, ErrorKind, FieldDefinition, Filter, HasScopes, ImportedSession, NewSession,
    Role, Scope, Scopes, SessionTable, Sessions, TableDefinition, Token,
};
use cloakroom_testing::{Kind, TestDatabase, each_database};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Scope)]
enum Permission {
    Read,
    Write,
    #[scope(rename = "read:all")]
    ReadAll,
}

use Permission::{Read, ReadAll, Write};

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "scoped_keys")]
struct Key {
    #[session(index)]
    user_id: String,
    name: Option<String>,
    #[session(scopes, column = "may")]
    scopes: Scopes<Permission>,
}

/// The same, with scopes that are known only at run time.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "scoped_keys")]
struct OpenKey {
    #[session(index)]
    user_id: String,
    name: Option<String>,
    #[session(scopes, column = "may")]
    scopes: Scopes<String>,
}

/// The same, when the column may be null, and beside it scopes that are no role.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "wished_keys")]
struct Wished {
    #[session(scopes)]
    granted: Option<Scopes<Permission>>,
    asked_for: Scopes<Permission>,
    note: String,
}

fn key(user_id: &str, scopes: impl Into<Scopes<Permission>>) -> NewSession<Key> {
    NewSession::new(Key { user_id: user_id.into(), name: None, scopes: scopes.into() })
}

/// What the column holds, by user.
async fn stored(db: &TestDatabase) -> Vec<String> {
    let texts = db.texts("SELECT may FROM scoped_keys ORDER BY user_id").await;
    texts.into_iter().map(Option::unwrap).collect()
}

async fn a_set_is_stored_as_sorted_text_and_read_as_it_was(db: TestDatabase) {
    let sessions = db.sessions::<Key>().await;
    let all = Scopes::<Permission>::all();
    let created = sessions.create(key("1", all.clone())).await.unwrap();
    sessions.create(key("2", [])).await.unwrap();
    let token = Token::import("an-issued-token-of-long-ago").unwrap();
    sessions.import(vec![ImportedSession::with_token(key("3", [Write]), token)]).await.unwrap();
    assert_eq!(stored(&db).await, ["read read:all write", "", "write"]);
    let read = sessions.authenticate_fresh(&created.token).await.unwrap().unwrap();
    assert_eq!((&read.fields, read.scopes().as_deref()), (&created.session.fields, Some(&all)));
    assert!(read.has_scope(ReadAll) && read.has_scope(Read));
    let empty = sessions.query().filter(Key::USER_ID.eq("2")).fetch_one().await.unwrap();
    assert!(empty.fields.scopes.is_empty() && !empty.has_scope(Read));

    let sessions = db.sessions::<Wished>().await;
    let none = Scopes::<Permission>::new();
    for granted in [None, Some(none.clone()), Some(all)] {
        let fields = Wished { granted, asked_for: none.clone(), note: "x".into() };
        let created = sessions.create(NewSession::new(fields.clone())).await.unwrap();
        let read = sessions.authenticate_fresh(&created.token).await.unwrap().unwrap();
        assert_eq!(read.fields, fields);
        assert_eq!(read.scopes().as_deref(), fields.granted.as_ref());
        assert_eq!(read.has_scope(Read), fields.granted.is_some_and(|granted| granted.contains(Read)));
    }
    // The empty set is a value; other required text must say something.
    let blank = Wished { granted: None, asked_for: none, note: String::new() };
    let error = sessions.create(NewSession::new(blank)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidField);
    assert!(error.to_string().contains("note"), "{error}");
}

/// Columns that compare text without regard to case, as far as a database has such.
async fn column_types(db: &TestDatabase) -> Vec<Option<&'static str>> {
    let mut types = vec![None];
    match db.kind() {
        Kind::Sqlite => types.push(Some("text COLLATE NOCASE")),
        Kind::Postgres => {
            let collation = "CREATE COLLATION ignores_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
            match db.try_execute(collation).await {
                Ok(()) => types.push(Some("text COLLATE ignores_case")),
                Err(error) => assert!(error.to_string().contains("ICU is not supported"), "{error}"),
            }
            types.push(Some("char(120)"));
        }
        Kind::MariaDb => types.extend([
            Some("varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"),
            Some("varchar(255) CHARACTER SET latin1 COLLATE latin1_swedish_ci"),
            Some("text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
            Some("char(120) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"),
        ]),
    }
    types
}

/// Scopes as the library writes them and as it does not: many spaces, no order, repetitions, odd characters.
const TEXTS: [&str; 20] = [
    "",
    "read",
    "read:all",
    "unread",
    "Read",
    "READ write",
    "read write",
    "write:read",
    "reads readx xread",
    "r_ad",
    "r%d",
    "r*d r?d [a-z]ead",
    "  write   read  read ",
    "write\tread",
    "\"read\"",
    "it's",
    "it''s",
    "résumé read",
    "a b",
    "re ad",
];

const PROBES: [&str; 18] = [
    "read", "Read", "READ", "write", "read:all", "rea", "ead", "unread", "r_ad", "r%d", "%", "_", "r*d",
    "[a-z]ead", "it's", "a", "a b", "résumé",
];

async fn a_condition_matches_whole_names_as_the_set_in_memory_does(db: TestDatabase) {
    for (number, column_type) in column_types(&db).await.into_iter().enumerate() {
        let name = format!("probed_{number}");
        let mut scopes = FieldDefinition::new::<Scopes<String>>("may").for_role(Role::Scopes);
        if let Some(column_type) = column_type {
            scopes = scopes.sql_type(column_type);
        }
        let table = TableDefinition::new(name.clone())
            .field(FieldDefinition::new::<String>("user_id").indexed())
            .field(FieldDefinition::new::<String>("name").nullable())
            .field(scopes);
        let config = db.config().build().unwrap();
        let sessions = Sessions::<OpenKey>::with_definition(db.database(), table, config).unwrap();
        sessions.migrate().await.unwrap();
        for (place, text) in TEXTS.into_iter().enumerate() {
            let user_id = format!("{place:02}");
            let fields = OpenKey { user_id: user_id.clone(), name: None, scopes: Scopes::new() };
            sessions.create(NewSession::new(fields)).await.unwrap();
            let quoted = text.replace('\'', "''");
            db.execute(&format!("UPDATE {name} SET may = '{quoted}' WHERE user_id = '{user_id}'")).await;
        }
        let matching = async |filter: Filter<OpenKey>| {
            let found = sessions.query().filter(filter).fetch_all().await.unwrap();
            let mut users: Vec<_> = found.iter().map(|session| session.fields.user_id.clone()).collect();
            users.sort();
            users
        };
        let all = sessions.query().fetch_all().await.unwrap();
        for probe in PROBES {
            let has = |it: bool| {
                let with = all.iter().filter(|session| session.has_scope(probe) == it);
                let mut users: Vec<_> = with.map(|session| session.fields.user_id.clone()).collect();
                users.sort();
                users
            };
            let contains = || OpenKey::SCOPES.contains(probe);
            assert_eq!(matching(contains()).await, has(true), "{column_type:?}: {probe}");
            assert_eq!(matching(contains().not()).await, has(false), "{column_type:?}: not {probe}");
        }
        let expected = ["01", "06", "12", "17"];
        assert_eq!(matching(OpenKey::SCOPES.contains("read")).await, expected, "{column_type:?}");
        let both = OpenKey::SCOPES.contains("read").and(OpenKey::SCOPES.contains("write"));
        assert_eq!(matching(both).await, ["06", "12"], "{column_type:?}");
        let query = sessions.query().filter(OpenKey::SCOPES.contains("read"));
        assert_eq!(query.expire_all().await.unwrap(), 4, "{column_type:?}");
    }
}

async fn a_null_holds_no_scope_and_a_condition_does_not_match_it(db: TestDatabase) {
    let sessions = db.sessions::<Wished>().await;
    let read = || Scopes::from([Read]);
    for granted in [None, Some(Scopes::new()), Some(read())] {
        let fields = Wished { granted, asked_for: read(), note: "x".into() };
        sessions.create(NewSession::new(fields)).await.unwrap();
    }
    let count = async |filter| sessions.query().filter(filter).count().await.unwrap();
    assert_eq!(count(Wished::GRANTED.contains(Read)).await, 1);
    assert_eq!(count(Wished::GRANTED.contains(Read).not()).await, 1);
    assert_eq!(count(Wished::GRANTED.is_null()).await, 1);
    assert_eq!(count(Wished::GRANTED.eq(read())).await, 1);
    assert_eq!(count(Wished::ASKED_FOR.contains(Read)).await, 3);
    assert_eq!(count(Wished::ASKED_FOR.contains(Write)).await, 0);
}

async fn unknown_scopes_are_kept_and_never_granted(db: TestDatabase) {
    let sessions = db.sessions::<Key>().await;
    let created = sessions.create(key("1", [Read])).await.unwrap();
    let odd = "write  read admin:v2 \"odd\" read ";
    db.execute(&format!("UPDATE scoped_keys SET may = '{odd}'")).await;
    let mut session = sessions.authenticate_fresh(&created.token).await.unwrap().unwrap();
    assert_eq!(session.fields.scopes.unknown().collect::<Vec<_>>(), ["\"odd\"", "admin:v2"]);
    assert_eq!(session.fields.scopes.iter().collect::<Vec<_>>(), [Read, Write]);
    assert!(!session.has_scope(ReadAll));

    // Every write that is about something else leaves the text to the letter.
    session.fields.name = Some("deploys".to_owned());
    sessions.update(&mut session).await.unwrap();
    assert_eq!(stored(&db).await, [odd]);
    let token = sessions.rotate(&mut session).await.unwrap();
    sessions.extend(&mut session).await.unwrap();
    let same = session.fields.scopes.clone();
    session.fields.scopes = same;
    sessions.update(&mut session).await.unwrap();
    assert_eq!(stored(&db).await, [odd]);

    // A change of one scope keeps the unknown ones.
    session.fields.scopes.insert(ReadAll);
    session.fields.scopes.remove(Write);
    sessions.update(&mut session).await.unwrap();
    assert_eq!(stored(&db).await, ["\"odd\" admin:v2 read read:all"]);
    sessions
        .update_with(&mut session, |session| session.fields.scopes |= Scopes::from([Write]))
        .await
        .unwrap();
    assert_eq!(stored(&db).await, ["\"odd\" admin:v2 read read:all write"]);
    let read = sessions.authenticate_fresh(&token).await.unwrap().unwrap();
    assert_eq!(read.fields, session.fields);
    assert!(read.has_scope(Write));

    // A key that is made by this one does not get them.
    let maker = read.scopes().unwrap();
    assert_eq!(maker.narrowed_to(&maker).to_string(), "read read:all write");
    assert!(maker.clone().into_owned().within(&maker).is_err());
    assert!(!maker.is_subset(&maker));
}

async fn a_set_that_is_too_long_is_refused_and_never_cut(db: TestDatabase) {
    // Of the last scope, `admin` alone would be left.
    let padding = "x".repeat(249);
    let fits: Scopes<String> = format!("admin {padding}").parse().unwrap();
    assert_eq!(fits.to_string().len(), 255);
    let too_long = Scopes::from_names([&*padding, "admin:no"]).unwrap();
    let sessions = db.sessions::<OpenKey>().await;
    let new = |scopes: &Scopes<String>| {
        NewSession::new(OpenKey { user_id: "1".into(), name: None, scopes: scopes.clone() })
    };
    let mut created = sessions.create(new(&fits)).await.unwrap();
    assert_eq!(created.session.fields.scopes, fits);
    created.session.fields.scopes = too_long.clone();
    let results =
        [sessions.create(new(&too_long)).await.map(drop), sessions.update(&mut created.session).await];
    for result in results {
        if db.kind() == Kind::Sqlite {
            result.unwrap();
            continue;
        }
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidField);
        assert!(error.to_string().contains("may is too long: its column holds 255 characters"), "{error}");
    }
}

async fn a_tool_reads_the_scopes_of_a_table_that_it_learns_of_at_run_time(db: TestDatabase) {
    let sessions = db.sessions::<Key>().await;
    sessions.create(key("1", [Read, ReadAll])).await.unwrap();
    sessions.create(key("2", [])).await.unwrap();
    let table = DynamicFields::definition_from(&db.database(), None, "scoped_keys").await.unwrap().unwrap();
    assert_eq!(table.field_for(Role::Scopes).unwrap().name(), "may");
    let config = db.config().build().unwrap();
    let tool = Sessions::<DynamicFields>::with_definition(db.database(), table.clone(), config).unwrap();
    let filter = |scope: &str| DynamicFields::contains_scope(&table, "may", scope);
    let found = tool.query().filter(filter("read:all")).fetch_one().await.unwrap();
    assert_eq!(found.fields.get("may"), Some(&DynamicValue::Text("read read:all".to_owned())));
    assert!(found.has_scope("read") && !found.has_scope("all") && !found.has_scope("read read:all"));
    assert_eq!(found.fields.scopes().unwrap().to_string(), "read read:all");
    assert_eq!(tool.query().filter(filter("all")).count().await.unwrap(), 0);

    // It writes the empty set, which is text and says something.
    let mut fields = DynamicFields::new(&table, tool.backend());
    fields.set("user_id", DynamicValue::Text("3".to_owned())).unwrap();
    let null = tool.create(NewSession::new(fields.clone())).await.unwrap_err();
    assert_eq!(null.kind(), ErrorKind::InvalidField);
    fields.set("may", DynamicValue::Text(String::new())).unwrap();
    let created = tool.create(NewSession::new(fields)).await.unwrap();
    assert!(created.session.scopes().unwrap().is_empty());
    assert_eq!(stored(&db).await, ["read read:all", "", ""]);

    for (name, scope, kind) in [
        ("nothing", "read", ErrorKind::UnknownField),
        ("id", "read", ErrorKind::UnknownField),
        ("may", "read write", ErrorKind::InvalidField),
        ("may", "", ErrorKind::InvalidField),
    ] {
        let filter = DynamicFields::contains_scope(&table, name, scope);
        assert_eq!(tool.query().filter(filter).count().await.unwrap_err().kind(), kind, "{name} {scope:?}");
    }
    let integer = TableDefinition::new("scoped_keys").field(FieldDefinition::new::<i64>("may"));
    let filter = DynamicFields::contains_scope(&integer, "may", "read");
    assert_eq!(tool.query().filter(filter).count().await.unwrap_err().kind(), ErrorKind::Unsupported);
}

async fn a_scope_that_is_taken_away_is_gone_with_the_next_request(db: TestDatabase) {
    let sessions = db.sessions::<Key>().await;
    let created = sessions.create(key("1", [Read, Write])).await.unwrap();
    assert!(sessions.authenticate(&created.token).await.unwrap().unwrap().has_scope(Write));
    let mut session = sessions.query().filter(Key::SCOPES.contains(Write)).fetch_one().await.unwrap();
    session.fields.scopes -= Scopes::from([Write]);
    sessions.update(&mut session).await.unwrap();
    let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert!(!read.has_scope(Write) && read.has_scope(Read));
    assert_eq!(sessions.query().filter(Key::SCOPES.contains(Write)).count().await.unwrap(), 0);
}

each_database! {
    a_set_is_stored_as_sorted_text_and_read_as_it_was,
    a_condition_matches_whole_names_as_the_set_in_memory_does,
    a_null_holds_no_scope_and_a_condition_does_not_match_it,
    a_set_that_is_too_long_is_refused_and_never_cut,
    a_tool_reads_the_scopes_of_a_table_that_it_learns_of_at_run_time,
}

mod modes {
    use super::{
        a_scope_that_is_taken_away_is_gone_with_the_next_request, unknown_scopes_are_kept_and_never_granted,
    };

    cloakroom_testing::each_mode! {
        unknown_scopes_are_kept_and_never_granted,
        a_scope_that_is_taken_away_is_gone_with_the_next_request,
    }
}

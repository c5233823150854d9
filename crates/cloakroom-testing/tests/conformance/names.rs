//! Names that need quotes, in every place where a name may stand.

use cloakroom::{
    Backend, ColumnType, ConfigError, DynamicFields, DynamicValue, ErrorKind, FieldDefinition, NewSession,
    Role, Session, SessionTable, Sessions, Status, TableDefinition,
};
use cloakroom_testing::{Kind, TestDatabase, each_database, each_mode};
use time::Duration;

#[path = "../../../cloakroom-derive/src/built_in.rs"]
mod reserved;

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "Tenant A's org-42?")]
struct Quoted {
    #[session(column = "user id", index)]
    user_id: String,
    #[session(column = "admin?")]
    is_admin: bool,
    #[session(column = "a \"q\" `b` [c] $1 % \\ é")]
    odd: Option<String>,
    #[session(column = "63 bytes are the most that PostgreSQL keeps of a name, as here:", index)]
    longest: i64,
    #[session(column = "owner/id", index, belongs_to = "people & co.person no", on_delete = "cascade")]
    owner: i64,
}

fn fields(user_id: &str) -> Quoted {
    Quoted { user_id: user_id.into(), is_admin: true, odd: None, longest: 1, owner: 1 }
}

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
struct Person {
    name: String,
}

async fn people(db: &TestDatabase) {
    let quote = if db.kind() == Kind::MariaDb { '`' } else { '"' };
    let integer = if db.kind() == Kind::Sqlite { "integer" } else { "bigint" };
    let sql = format!(
        "CREATE TABLE {quote}people & co{quote} ({quote}person no{quote} {integer} NOT NULL PRIMARY KEY, name varchar(9))"
    );
    db.execute(&sql).await;
    db.execute(&format!("INSERT INTO {quote}people & co{quote} VALUES (1, 'Ada')")).await;
}

async fn a_struct_whose_names_need_quotes_does_all_that_others_do(db: TestDatabase) {
    people(&db).await;
    let sessions = db.sessions::<Quoted>().await;
    assert_eq!(sessions.migrate().await.unwrap(), []);
    let created = sessions.create(NewSession::new(fields("1"))).await.unwrap();
    let mut session = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(session, created.session);
    session.fields.odd = Some("é".into());
    sessions.update(&mut session).await.unwrap();
    let found = sessions
        .query()
        .filter(Quoted::USER_ID.eq("1"))
        .filter(Quoted::IS_ADMIN.eq(true))
        .filter(Quoted::ODD.is_in(["é"]))
        .filter(Quoted::LONGEST.lt(2))
        .limit(2);
    assert_eq!(found.fetch_all().await.unwrap(), [session.clone()]);
    let preloaded = sessions.query().preload::<Person>(Quoted::OWNER).fetch_one().await.unwrap();
    assert_eq!(preloaded, (session.clone(), Some(Person { name: "Ada".into() })));
    let dangling = sessions.create(NewSession::new(Quoted { owner: 2, ..fields("2") })).await;
    assert_eq!(dangling.unwrap_err().kind(), ErrorKind::Constraint);

    db.clock().advance(Duration::DAY * 2);
    assert!(sessions.extend(&mut session).await.unwrap());
    let token = sessions.rotate(&mut session).await.unwrap();
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
    assert_eq!(sessions.authenticate(&token).await.unwrap(), Some(session.clone()));
    let mut transaction = sessions.begin().await.unwrap();
    let change = |session: &mut Session<Quoted>| session.fields.longest = 9;
    sessions.within(&mut transaction).update_with(&mut session, change).await.unwrap();
    assert_eq!(sessions.within(&mut transaction).authenticate(&token).await.unwrap(), Some(session.clone()));
    transaction.commit().await.unwrap();
    assert!(sessions.expire(&mut session).await.unwrap());
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
    assert_eq!(sessions.query().status(Status::Expired).limit(1).expire_all().await.unwrap(), 0);
    for n in 0..3 {
        sessions.create(NewSession::new(fields(&n.to_string()))).await.unwrap();
    }
    assert_eq!(sessions.query().limit(1).expire_all().await.unwrap(), 1);
    assert_eq!(sessions.delete_expired().await.unwrap(), 2);
    assert_eq!(sessions.query().delete_all().await.unwrap(), 2);
    assert_eq!(sessions.migrate_down().await.unwrap().len(), 3);
    assert_eq!(sessions.query().count().await.unwrap_err().kind(), ErrorKind::MissingTable);
}

async fn a_definition_with_such_names_is_read_back_and_used(db: TestDatabase) {
    people(&db).await;
    let made = db.sessions::<Quoted>().await;
    let created = made.create(NewSession::new(fields("1"))).await.unwrap();
    let name = Quoted::definition().table_name().to_owned();
    let read = DynamicFields::definition_from(&db.database(), None, &name).await.unwrap().unwrap();
    let shown = |table: &TableDefinition, backend: Backend| -> Vec<_> {
        let fields = table.fields().iter();
        fields
            .map(|field| {
                let column_type = field.column_type(backend).to_string();
                (field.name().to_owned(), column_type, field.is_nullable(), field.is_indexed())
            })
            .collect()
    };
    assert_eq!(shown(&read, made.backend()), shown(made.definition(), made.backend()));
    let config = db.config().build().unwrap();
    let dynamic = Sessions::<DynamicFields>::with_definition(db.database(), read.clone(), config).unwrap();
    assert_eq!(dynamic.migrate().await.unwrap(), []);
    let is_it = DynamicFields::equals(&read, "user id", &DynamicValue::Text("1".into()));
    let mut session = dynamic.query().filter(is_it).fetch_one().await.unwrap();
    session.fields.set("admin?", DynamicValue::Bool(false)).unwrap();
    dynamic.update(&mut session).await.unwrap();
    let stored = made.query().id(created.session.id).fetch_one().await.unwrap();
    assert_eq!(stored.fields, Quoted { is_admin: false, ..fields("1") });
    assert_eq!(dynamic.query().count_by("owner/id", 9).await.unwrap().len(), 1);
}

/// The longest, whose index and history have names that are shortened.
const LONGEST: &str = "a table's name of sixty-three bytes, which is the longest of all";

async fn a_table_of_the_longest_name_has_its_indexes_and_its_history(db: TestDatabase) {
    let name = &LONGEST[..63];
    let field = FieldDefinition::dynamic("user_id", ColumnType::Text).indexed();
    let table = TableDefinition::new(name).field(field);
    let config = || db.config().build().unwrap();
    let sessions = Sessions::<DynamicFields>::with_definition(db.database(), table, config()).unwrap();
    assert_eq!(sessions.migrate().await.unwrap().len(), 3);
    assert_eq!(sessions.migrate().await.unwrap(), []);
    assert!(sessions.migration_status().await.unwrap().iter().all(|(_, is_applied)| *is_applied));
    let read = DynamicFields::definition_from(&db.database(), None, name).await.unwrap().unwrap();
    assert!(read.fields()[0].is_indexed());
    let new = || {
        let mut fields = DynamicFields::new(&read, sessions.backend());
        fields.set("user_id", DynamicValue::Text("1".into())).unwrap();
        NewSession::new(fields)
    };
    let created = sessions.create(new()).await.unwrap();
    let again = new().import_token(created.token.clone());
    assert_eq!(sessions.create(again).await.unwrap_err().kind(), ErrorKind::DuplicateToken);
    // A neighbour that differs in what is cut off.
    let neighbour = TableDefinition::new(format!("{}!", &name[..62]));
    let neighbour = Sessions::<DynamicFields>::with_definition(db.database(), neighbour, config()).unwrap();
    assert_eq!(neighbour.migrate().await.unwrap().len(), 3);
    assert_eq!(sessions.migrate_down().await.unwrap().len(), 3);
    assert!(neighbour.migration_status().await.unwrap().iter().all(|(_, is_applied)| *is_applied));
    assert_eq!(neighbour.query().count().await.unwrap(), 0);
}

async fn a_schema_whose_name_needs_quotes_is_made_and_used(db: TestDatabase) {
    let name = format!("org-42 \"é\" `{}`", db.unique_name());
    let database = if db.kind() == Kind::Sqlite {
        let one = crate::pools::of(&db, 1).await;
        let cloakroom::Database::Sqlite(pool) = &one else { panic!("not SQLite: {one:?}") };
        let attach = format!("ATTACH ':memory:' AS \"{}\"", name.replace('"', "\"\""));
        sqlx::raw_sql(sqlx::AssertSqlSafe(attach)).execute(pool).await.unwrap();
        one
    } else {
        db.database()
    };
    let base =
        Sessions::<cloakroom_testing::UserSession>::new(database, db.config().build().unwrap()).unwrap();
    let tenant = base.with_schema(name.clone()).unwrap();
    assert_eq!(tenant.migrate().await.unwrap().len(), 3);
    assert_eq!(tenant.migrate().await.unwrap(), []);
    let created = tenant.create(cloakroom_testing::user("1")).await.unwrap();
    let mut session = tenant.authenticate(&created.token).await.unwrap().unwrap();
    session.fields.user_id = "2".into();
    tenant.update(&mut session).await.unwrap();
    assert_eq!(tenant.query().fetch_all().await.unwrap(), [session]);
    tenant.migrate_down().await.unwrap();
    let (quote, what) = if db.kind() == Kind::MariaDb { ("`", "DATABASE") } else { ("\"", "SCHEMA") };
    if db.kind() != Kind::Sqlite {
        let quoted = format!("{quote}{}{quote}", name.replace(quote, &quote.repeat(2)));
        db.execute(&format!("DROP {what} {quoted}")).await;
    }
}

async fn names_that_differ_in_case_alone_are_one_or_two_as_the_database_has_it(db: TestDatabase) {
    let field = |name: &'static str| FieldDefinition::dynamic(name, ColumnType::Text).nullable();
    let config = || db.config().build().unwrap();
    for [one, other] in [["role", "Role"], ["note", "ID"], ["note", "Auth_Token_Digest"], ["é", "É"]] {
        let table = TableDefinition::new("cased").field(field(one)).field(field(other));
        let result = Sessions::<DynamicFields>::with_definition(db.database(), table, config());
        let are_two = db.kind() == Kind::Postgres || db.kind() == Kind::Sqlite && !other.is_ascii();
        let sessions = match result {
            Ok(sessions) => sessions,
            Err(error) => {
                assert!(!are_two && matches!(error, ConfigError::DuplicateColumn { .. }), "{other}: {error}");
                continue;
            }
        };
        assert!(are_two, "{other}");
        sessions.migrate().await.unwrap();
        assert_eq!(sessions.migrate().await.unwrap(), []);
        let mut fields = DynamicFields::new(sessions.definition(), sessions.backend());
        fields.set(other, DynamicValue::Text("2".into())).unwrap();
        let created = sessions.create(NewSession::new(fields)).await.unwrap();
        let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
        assert_eq!(read.fields.get(one), Some(&DynamicValue::Null));
        assert_eq!(read.fields.get(other), Some(&DynamicValue::Text("2".into())));
        sessions.migrate_down().await.unwrap();
    }
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "bare")]
struct Bare {}

async fn a_table_without_fields_has_the_columns_that_the_derive_reserves(db: TestDatabase) {
    db.sessions::<Bare>().await;
    let sql = match db.kind() {
        Kind::Sqlite => "SELECT name FROM pragma_table_info('bare')",
        Kind::Postgres => {
            "SELECT column_name::text FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = 'bare'"
        }
        Kind::MariaDb => {
            "SELECT CAST(column_name AS char) FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = 'bare'"
        }
    };
    let mut made: Vec<_> = db.texts(sql).await.into_iter().map(Option::unwrap).collect();
    let mut built_in: Vec<_> =
        TableDefinition::built_in_columns().map(|column| column.name().to_owned()).collect();
    let mut reserved = reserved::BUILT_IN.map(|(name, _)| name);
    made.sort();
    built_in.sort();
    reserved.sort_unstable();
    assert_eq!(made, built_in);
    assert_eq!(reserved[..], built_in[..]);
}

async fn a_table_of_devices_has_the_columns_that_the_derive_reserves(db: TestDatabase) {
    let table = TableDefinition::new("bound")
        .field(FieldDefinition::dynamic("device_key", ColumnType::Text).nullable().for_role(Role::DeviceKey));
    for (name, _) in reserved::OF_DEVICES {
        let taken = table.clone().field(FieldDefinition::dynamic(name.to_uppercase(), ColumnType::Text));
        let config = db.config().build().unwrap();
        let refused = Sessions::<DynamicFields>::with_definition(db.database(), taken, config);
        let is_another = db.kind() == Kind::Postgres;
        assert_eq!(refused.is_ok(), is_another, "{name}");
        let taken = table.clone().field(FieldDefinition::dynamic(name, ColumnType::Text));
        let config = db.config().build().unwrap();
        let refused = Sessions::<DynamicFields>::with_definition(db.database(), taken, config).unwrap_err();
        assert_eq!(refused, ConfigError::DuplicateColumn { name: name.to_owned() });
    }
    let config = db.config().build().unwrap();
    let sessions = Sessions::<DynamicFields>::with_definition(db.database(), table, config).unwrap();
    sessions.migrate().await.unwrap();
    let sql = match db.kind() {
        Kind::Sqlite => "SELECT name FROM pragma_table_info('bound')",
        Kind::Postgres => {
            "SELECT column_name::text FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = 'bound'"
        }
        Kind::MariaDb => {
            "SELECT CAST(column_name AS char) FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = 'bound'"
        }
    };
    let mut made: Vec<_> = db.texts(sql).await.into_iter().map(Option::unwrap).collect();
    let built_in = TableDefinition::built_in_columns().map(|column| column.name().to_owned());
    let beside = reserved::OF_DEVICES.iter().map(|(name, _)| (*name).to_owned());
    let mut expected: Vec<_> = built_in.chain(beside).chain(["device_key".to_owned()]).collect();
    made.sort();
    expected.sort();
    assert_eq!(made, expected);
}

each_mode! {
    a_struct_whose_names_need_quotes_does_all_that_others_do,
}

mod any_mode {
    use super::*;

    each_database! {
        a_definition_with_such_names_is_read_back_and_used,
        a_table_of_the_longest_name_has_its_indexes_and_its_history,
        a_schema_whose_name_needs_quotes_is_made_and_used,
        names_that_differ_in_case_alone_are_one_or_two_as_the_database_has_it,
        a_table_of_devices_has_the_columns_that_the_derive_reserves,
        a_table_without_fields_has_the_columns_that_the_derive_reserves,
    }
}

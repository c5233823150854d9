use cloakroom::{
    Column, ConfigError, Database, DynamicFields, DynamicValue, ErrorKind, FieldType, Hashing, NewSession,
    SessionTable, Sessions, Status,
};
use cloakroom_testing::{ApiKey, Kind, Role, START, TestDatabase, UserSession, each_mode, user};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::types::Json;
use time::macros::{datetime, offset};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::pools;

#[derive(Clone, Debug, PartialEq, sqlx::Type)]
#[sqlx(transparent)]
struct Name(String);

#[derive(Clone, Debug, PartialEq, sqlx::Type)]
#[sqlx(transparent)]
struct Points(i64);

#[derive(Clone, Debug, PartialEq, sqlx::Type)]
#[sqlx(transparent)]
struct Owner(Uuid);

#[derive(Clone, Copy, Debug, PartialEq, sqlx::Type)]
#[repr(i32)]
enum Level {
    Low = 1,
    High = 20,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Device {
    name: String,
    visits: u32,
}

fn device(name: &str) -> Device {
    Device { name: name.to_owned(), visits: 3 }
}

/// A column of each type, once required and once not. Several are named by keywords of SQL.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "everything")]
struct Everything {
    text: String,
    small: i16,
    int: i32,
    bigint: i64,
    r#bool: bool,
    float: f32,
    double: f64,
    bytes: Vec<u8>,
    uuid: Uuid,
    timestamp: OffsetDateTime,
    json: serde_json::Value,
    name: Name,
    points: Points,
    owner: Owner,
    role: Role,
    level: Level,
    device: Json<Device>,
    maybe_text: Option<String>,
    maybe_small: Option<i16>,
    maybe_int: Option<i32>,
    maybe_bigint: Option<i64>,
    maybe_bool: Option<bool>,
    maybe_float: Option<f32>,
    maybe_double: Option<f64>,
    maybe_bytes: Option<Vec<u8>>,
    maybe_uuid: Option<Uuid>,
    maybe_timestamp: Option<OffsetDateTime>,
    maybe_json: Option<serde_json::Value>,
    maybe_name: Option<Name>,
    maybe_points: Option<Points>,
    maybe_owner: Option<Owner>,
    maybe_role: Option<Role>,
    maybe_level: Option<Level>,
    maybe_device: Option<Json<Device>>,
}

/// With nothing in what may be null.
fn required() -> Everything {
    Everything {
        text: " kept as it is 🦀 ".into(),
        small: -2,
        int: -3,
        bigint: -4,
        r#bool: true,
        float: 0.1,
        double: 0.1,
        bytes: vec![0, 255, b'\''],
        uuid: Uuid::from_u128(7),
        timestamp: START,
        json: json!({"b": [1, null], "a": "é"}),
        name: Name("own".into()),
        points: Points(9),
        owner: Owner(Uuid::from_u128(8)),
        role: Role::Reader,
        level: Level::High,
        device: Json(device("a phone")),
        maybe_text: None,
        maybe_small: None,
        maybe_int: None,
        maybe_bigint: None,
        maybe_bool: None,
        maybe_float: None,
        maybe_double: None,
        maybe_bytes: None,
        maybe_uuid: None,
        maybe_timestamp: None,
        maybe_json: None,
        maybe_name: None,
        maybe_points: None,
        maybe_owner: None,
        maybe_role: None,
        maybe_level: None,
        maybe_device: None,
    }
}

/// With something in what may be null.
fn complete() -> Everything {
    Everything {
        text: "other".into(),
        r#bool: false,
        maybe_text: Some(String::new()),
        maybe_small: Some(2),
        maybe_int: Some(3),
        maybe_bigint: Some(4),
        maybe_bool: Some(false),
        maybe_float: Some(0.3),
        maybe_double: Some(0.4),
        maybe_bytes: Some(Vec::new()),
        maybe_uuid: Some(Uuid::nil()),
        maybe_timestamp: Some(START + Duration::SECOND),
        maybe_json: Some(json!([{}])),
        maybe_name: Some(Name(String::new())),
        maybe_points: Some(Points(0)),
        maybe_owner: Some(Owner(Uuid::max())),
        maybe_role: Some(Role::Admin),
        maybe_level: Some(Level::Low),
        maybe_device: Some(Json(device("a computer"))),
        ..required()
    }
}

async fn a_field_of_every_type_is_read_back_as_it_was_written(db: TestDatabase) {
    let sessions = db.sessions::<Everything>().await;
    for fields in [required(), complete()] {
        let created = sessions.create(NewSession::new(fields.clone())).await.unwrap();
        assert_eq!(created.session.fields, fields);
        let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
        assert_eq!(read, created.session);
        assert_eq!(sessions.query().id(read.id).fetch_one().await.unwrap(), read);
    }
}

async fn a_field_of_every_type_is_updated_to_null_and_back(db: TestDatabase) {
    let sessions = db.sessions::<Everything>().await;
    let mut session = sessions.create(NewSession::new(required())).await.unwrap().session;
    for fields in [complete(), required()] {
        session.fields = fields;
        sessions.update(&mut session).await.unwrap();
        let mut read = session.clone();
        sessions.reload(&mut read).await.unwrap();
        assert_eq!(read, session);
    }
}

/// Whether `column` holds `value` in the one row that there is.
async fn holds<V: FieldType>(
    sessions: &Sessions<Everything>,
    column: Column<Everything, V>,
    value: impl Into<V> + Clone,
) {
    let count = async |filter| sessions.query().filter(filter).count().await.unwrap();
    let name = column.name();
    assert_eq!(count(column.eq(value.clone())).await, 1, "{name} =");
    assert_eq!(count(column.ne(value.clone())).await, 0, "{name} <>");
    assert_eq!(count(column.is_in([value.clone(), value.clone()])).await, 1, "{name} IN");
    assert_eq!(count(column.is_not_in([value])).await, 0, "{name} NOT IN");
    assert_eq!(count(column.is_not_null()).await, 1, "{name} IS NOT NULL");
}

/// Whether the value of `column` in the one row that there is lies between the two.
async fn lies_between<V: FieldType>(
    sessions: &Sessions<Everything>,
    column: Column<Everything, V>,
    less: impl Into<V> + Clone,
    more: impl Into<V> + Clone,
) {
    let count = async |filter| sessions.query().filter(filter).count().await.unwrap();
    let name = column.name();
    assert_eq!(count(column.lt(more.clone())).await, 1, "{name} <");
    assert_eq!(count(column.gt(less.clone())).await, 1, "{name} >");
    assert_eq!(count(column.le(less)).await, 0, "{name} <=");
    assert_eq!(count(column.ge(more)).await, 0, "{name} >=");
}

async fn a_field_of_every_type_is_filtered_by(db: TestDatabase) {
    use Everything as E;
    let all = db.sessions::<Everything>().await;
    let fields = complete();
    all.create(NewSession::new(fields.clone())).await.unwrap();

    holds(&all, E::TEXT, fields.text).await;
    holds(&all, E::SMALL, fields.small).await;
    holds(&all, E::INT, fields.int).await;
    holds(&all, E::BIGINT, fields.bigint).await;
    holds(&all, E::BOOL, fields.r#bool).await;
    holds(&all, E::FLOAT, fields.float).await;
    holds(&all, E::DOUBLE, fields.double).await;
    holds(&all, E::BYTES, fields.bytes).await;
    holds(&all, E::UUID, fields.uuid).await;
    holds(&all, E::TIMESTAMP, fields.timestamp).await;
    holds(&all, E::JSON, fields.json).await;
    holds(&all, E::NAME, fields.name).await;
    holds(&all, E::POINTS, fields.points).await;
    holds(&all, E::OWNER, fields.owner).await;
    holds(&all, E::ROLE, fields.role).await;
    holds(&all, E::LEVEL, fields.level).await;
    holds(&all, E::DEVICE, fields.device).await;
    holds(&all, E::MAYBE_TEXT, fields.maybe_text.unwrap()).await;
    holds(&all, E::MAYBE_SMALL, fields.maybe_small.unwrap()).await;
    holds(&all, E::MAYBE_INT, fields.maybe_int.unwrap()).await;
    holds(&all, E::MAYBE_BIGINT, fields.maybe_bigint.unwrap()).await;
    holds(&all, E::MAYBE_BOOL, fields.maybe_bool.unwrap()).await;
    holds(&all, E::MAYBE_FLOAT, fields.maybe_float.unwrap()).await;
    holds(&all, E::MAYBE_DOUBLE, fields.maybe_double.unwrap()).await;
    holds(&all, E::MAYBE_BYTES, fields.maybe_bytes.unwrap()).await;
    holds(&all, E::MAYBE_UUID, fields.maybe_uuid.unwrap()).await;
    holds(&all, E::MAYBE_TIMESTAMP, fields.maybe_timestamp.unwrap()).await;
    holds(&all, E::MAYBE_JSON, fields.maybe_json.unwrap()).await;
    holds(&all, E::MAYBE_NAME, fields.maybe_name.unwrap()).await;
    holds(&all, E::MAYBE_POINTS, fields.maybe_points.unwrap()).await;
    holds(&all, E::MAYBE_OWNER, fields.maybe_owner.unwrap()).await;
    holds(&all, E::MAYBE_ROLE, fields.maybe_role.unwrap()).await;
    holds(&all, E::MAYBE_LEVEL, fields.maybe_level.unwrap()).await;
    holds(&all, E::MAYBE_DEVICE, fields.maybe_device.unwrap()).await;

    lies_between(&all, E::TEXT, "othe", "othes").await;
    lies_between(&all, E::SMALL, -3_i16, -1_i16).await;
    lies_between(&all, E::INT, -4, -2).await;
    lies_between(&all, E::BIGINT, -5, -3).await;
    lies_between(&all, E::FLOAT, 0.09_f32, 0.11_f32).await;
    lies_between(&all, E::DOUBLE, 0.09, 0.11).await;
    lies_between(&all, E::BYTES, [0, 254], [0, 255, 255]).await;
    lies_between(&all, E::UUID, Uuid::from_u128(6), Uuid::from_u128(8)).await;
    let tick = Duration::MICROSECOND;
    lies_between(&all, E::TIMESTAMP, START - tick, START + tick).await;
    lies_between(&all, E::NAME, Name("ow".into()), Name("owo".into())).await;
    lies_between(&all, E::POINTS, Points(8), Points(10)).await;
    lies_between(&all, E::OWNER, Owner(Uuid::from_u128(7)), Owner(Uuid::from_u128(9))).await;
    lies_between(&all, E::MAYBE_INT, 2, 4).await;
}

async fn the_least_and_the_greatest_value_of_each_type_are_kept(db: TestDatabase) {
    let sessions = db.sessions::<Everything>().await;
    let least = Everything {
        text: ".".into(),
        small: i16::MIN,
        int: i32::MIN,
        bigint: i64::MIN,
        float: f32::MIN,
        double: f64::MIN,
        bytes: Vec::new(),
        uuid: Uuid::nil(),
        timestamp: datetime!(0001-01-01 00:00 UTC),
        json: json!(null),
        points: Points(i64::MIN),
        maybe_float: Some(f32::MIN_POSITIVE),
        maybe_double: Some(f64::MIN_POSITIVE),
        ..required()
    };
    let greatest = Everything {
        text: "é".repeat(255),
        small: i16::MAX,
        int: i32::MAX,
        bigint: i64::MAX,
        float: f32::MAX,
        double: f64::MAX,
        bytes: vec![0xff; 65_535],
        uuid: Uuid::max(),
        timestamp: datetime!(9999-12-31 23:59:59.999999 UTC),
        json: json!({"nested": {"text": "x".repeat(100_000)}}),
        name: Name("🦀".repeat(255)),
        points: Points(i64::MAX),
        ..required()
    };
    for fields in [least, greatest] {
        let created = sessions.create(NewSession::new(fields.clone())).await.unwrap();
        let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
        assert!(read.fields == fields, "{:?}", read.fields);
        let same = sessions
            .query()
            .filter(Everything::BIGINT.eq(fields.bigint))
            .filter(Everything::DOUBLE.eq(fields.double))
            .filter(Everything::TIMESTAMP.eq(fields.timestamp));
        assert_eq!(same.count().await.unwrap(), 1);
    }
}

async fn an_instant_is_stored_in_utc_to_the_microsecond(db: TestDatabase) {
    let sessions = db.sessions::<Everything>().await;
    let given = datetime!(2026-11-23 10:48:09.123456789 +9);
    let stored = datetime!(2026-11-23 01:48:09.123456 UTC);
    let fields = Everything { timestamp: given, maybe_timestamp: Some(given), ..required() };
    let mut created = sessions.create(NewSession::new(fields)).await.unwrap();
    let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read, created.session);
    created.session.fields.maybe_timestamp = Some(given);
    sessions.update(&mut created.session).await.unwrap();
    assert_eq!(created.session.fields, read.fields);
    assert_eq!(read.fields.timestamp, stored);
    assert_eq!(read.fields.timestamp.offset(), offset!(UTC));
    assert_eq!(read.fields.maybe_timestamp, Some(stored));
    assert_eq!(sessions.query().filter(Everything::TIMESTAMP.eq(given)).count().await.unwrap(), 1);
}

async fn a_float_that_is_no_number_is_kept_or_refused_by_name(db: TestDatabase) {
    let sessions = db.sessions::<Everything>().await;
    for double in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let created = sessions.create(NewSession::new(Everything { double, ..required() })).await;
        let is_kept = match db.kind() {
            // It takes NaN for null.
            Kind::Sqlite => !double.is_nan(),
            Kind::Postgres => true,
            Kind::MariaDb => false,
        };
        if is_kept {
            let token = created.unwrap().token;
            let read = sessions.authenticate(&token).await.unwrap().unwrap();
            assert_eq!(read.fields.double.to_bits(), double.to_bits());
        } else {
            let error = created.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidField, "{double}: {error:?}");
            assert!(error.to_string().contains("double"), "{error}");
        }
    }
}

async fn a_blank_required_text_is_an_error_that_names_the_field(db: TestDatabase) {
    let sessions = db.sessions::<Everything>().await;
    let mut session = sessions.create(NewSession::new(required())).await.unwrap().session;
    for blank in ["", " ", "\t\r\n ", "\u{3000}"] {
        for (column, fields) in [
            ("text", Everything { text: blank.into(), ..required() }),
            ("name", Everything { name: Name(blank.into()), ..required() }),
        ] {
            let error = sessions.create(NewSession::new(fields.clone())).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidField);
            assert_eq!(error.to_string(), format!("{column} can't be blank"));
            session.fields = fields;
            let error = sessions.update(&mut session).await.unwrap_err();
            assert_eq!(error.to_string(), format!("{column} can't be blank"));
        }
        let fields =
            Everything { maybe_text: Some(blank.into()), maybe_name: Some(Name(blank.into())), ..required() };
        let created = sessions.create(NewSession::new(fields.clone())).await.unwrap();
        assert_eq!(sessions.authenticate(created.token).await.unwrap().unwrap().fields, fields);
    }
    assert_eq!(sessions.query().count().await.unwrap(), 5);
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "device_sessions", data = Device)]
struct DeviceSession {
    user_id: String,
}

async fn data_has_the_type_that_the_table_names(db: TestDatabase) {
    let sessions = db.sessions::<DeviceSession>().await;
    let new = || NewSession::new(DeviceSession { user_id: "1".into() });
    let created = sessions.create(new().data(device("a phone"))).await.unwrap();
    assert_eq!(created.session.data, device("a phone"));
    let mut read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read, created.session);
    read.data.visits += 1;
    sessions.update(&mut read).await.unwrap();
    assert_eq!(sessions.query().data(read.data.clone()).fetch_one().await.unwrap(), read);
    assert_eq!(sessions.query().data(device("a phone")).fetch_optional().await.unwrap(), None);
    let without = sessions.create(new()).await.unwrap();
    assert_eq!(without.session.data, Device::default());
}

async fn keys_that_the_type_does_not_know_are_kept(db: TestDatabase) {
    let sessions = db.sessions::<DeviceSession>().await;
    let raw = r#"{"name": "a phone", "since": 123456789012345678901234567890, "more": {"b": [1]}}"#;
    let raw = serde_json::value::RawValue::from_string(raw.to_owned()).unwrap();
    let new = NewSession::new(DeviceSession { user_id: "1".into() }).raw_data(&raw);
    let mut session = sessions.create(new).await.unwrap().session;
    assert_eq!(session.data, Device { name: "a phone".into(), visits: 0 });
    session.data.visits = 7;
    sessions.update(&mut session).await.unwrap();
    sessions.reload(&mut session).await.unwrap();
    let stored: Box<serde_json::value::RawValue> = serde_json::from_str(session.stored_data()).unwrap();
    let stored = stored.get().replace(' ', "");
    for member in [
        "\"since\":123456789012345678901234567890",
        "\"more\":{\"b\":[1]}",
        "\"visits\":7",
        "\"name\":\"aphone\"",
    ] {
        assert!(stored.contains(member), "{stored}");
    }
}

async fn data_of_another_form_is_an_error_and_no_missing_session(db: TestDatabase) {
    let sessions = db.sessions::<DeviceSession>().await;
    let created = sessions.create(NewSession::new(DeviceSession { user_id: "1".into() })).await.unwrap();
    db.execute(r#"UPDATE device_sessions SET data = '{"name": 5}'"#).await;
    let error = sessions.authenticate(&created.token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(sessions.query().fetch_all().await.unwrap_err().kind(), ErrorKind::Decode);
    assert_eq!(sessions.query().count().await.unwrap(), 1);
}

async fn two_tables_with_settings_of_their_own_live_side_by_side(db: TestDatabase) {
    let users = db.sessions::<UserSession>().await;
    let config = db.config().token_length(32).hashing(Hashing::Sha512).secret_salt("salt").ttl(None);
    let keys = db.sessions_with::<ApiKey>(config).await;
    let session = users.create(user("1")).await.unwrap();
    let fields = ApiKey { user_id: "1".into(), role: Role::Admin, quota: Some(5) };
    let key = keys.create(NewSession::new(fields)).await.unwrap();
    assert_eq!(key.token.expose().len(), 32);
    assert_eq!(key.session.expires_at, None);

    assert_eq!(users.authenticate(&key.token).await.unwrap(), None);
    assert_eq!(keys.authenticate(&session.token).await.unwrap(), None);
    assert_eq!(users.authenticate(&session.token).await.unwrap(), Some(session.session));
    assert_eq!(keys.authenticate(&key.token).await.unwrap(), Some(key.session));
    assert_eq!(users.query().delete_all().await.unwrap(), 1);
    assert_eq!(keys.query().count().await.unwrap(), 1);
    users.migrate_down().await.unwrap();
    assert_eq!(keys.query().count().await.unwrap(), 1);
}

/// A pool on which two schemas of these names can be used.
async fn two_schemas(db: &TestDatabase) -> (Database, [String; 2]) {
    let names = [db.unique_name(), db.unique_name()];
    if db.kind() != Kind::Sqlite {
        return (db.database(), names);
    }
    // What is attached belongs to a connection, so there is to be but one.
    let one = pools::of(db, 1).await;
    let Database::Sqlite(pool) = &one else { panic!("not SQLite: {one:?}") };
    for name in &names {
        let attach = format!("ATTACH ':memory:' AS {name}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(attach)).execute(pool).await.unwrap();
    }
    (one, names)
}

async fn one_schema_for_each_tenant_keeps_them_apart(db: TestDatabase) {
    let (database, [one, other]) = two_schemas(&db).await;
    let base = Sessions::<UserSession>::new(database.clone(), db.config().build().unwrap()).unwrap();
    let (one, other) = (base.with_schema(one).unwrap(), base.with_schema(other).unwrap());
    for tenant in [&one, &other] {
        assert_eq!(tenant.migrate().await.unwrap().len(), 3);
        assert_eq!(tenant.migrate().await.unwrap(), []);
    }
    // The default schema has no table by that. SQLite looks further, through what is attached.
    if db.kind() != Kind::Sqlite {
        assert_eq!(base.query().count().await.unwrap_err().kind(), ErrorKind::MissingTable);
    }

    let created = one.create(user("1")).await.unwrap();
    let theirs = other.create(user("1")).await.unwrap();
    assert_eq!(other.authenticate(&created.token).await.unwrap(), None);
    assert_eq!(other.query().id(created.session.id).fetch_optional().await.unwrap(), None);
    assert_eq!(one.authenticate(&created.token).await.unwrap().unwrap(), created.session);

    let mut session = created.session;
    assert_eq!(other.update(&mut session.clone()).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!other.expire(&mut session.clone()).await.unwrap());
    assert!(!other.delete(session.clone()).await.unwrap());
    session.fields.user_id = "2".into();
    one.update(&mut session).await.unwrap();
    db.clock().advance(Duration::DAY * 2);
    assert!(one.extend(&mut session).await.unwrap());
    let token = one.rotate(&mut session).await.unwrap();
    assert_eq!(one.authenticate(token).await.unwrap(), Some(session.clone()));
    assert_eq!(one.query().limit(5).expire_all().await.unwrap(), 1);
    assert_eq!(one.delete_expired().await.unwrap(), 1);
    assert_eq!(other.authenticate(&theirs.token).await.unwrap().unwrap().id, theirs.session.id);

    one.migrate_down().await.unwrap();
    assert_eq!(one.query().count().await.unwrap_err().kind(), ErrorKind::MissingTable);
    assert_eq!(other.query().limit(1).delete_all().await.unwrap(), 1);
    database.close().await;
}

async fn a_schema_whose_name_is_none_is_refused(db: TestDatabase) {
    let base = db.sessions::<UserSession>().await;
    for name in ["", "a\0b", "a\u{1b}[2J", &"x".repeat(64)] {
        let error = base.with_schema(name).unwrap_err();
        assert!(matches!(error, ConfigError::Identifier { .. }), "{error:?}");
    }
    let absent = base.with_schema("nothing_of_this_name").unwrap();
    assert_eq!(absent.query().count().await.unwrap_err().kind(), ErrorKind::MissingTable);
    if db.kind() == Kind::Sqlite {
        // There a schema is an attached database, which nobody but the application can attach.
        let error = absent.migrate().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("nothing_of_this_name"), "{error}");
    }
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "owned")]
struct OwnedSession {
    #[session(column = "owner_id", index, belongs_to = "owners.id", on_delete = "cascade")]
    user_id: i64,
    #[session(column = "second_owner", belongs_to = "owners.id", on_delete = "cascade")]
    second: Option<i64>,
}

async fn sessions_are_deleted_with_the_row_they_belong_to(db: TestDatabase) {
    let integer = if db.kind() == Kind::Sqlite { "INTEGER" } else { "bigint" };
    db.execute(&format!("CREATE TABLE owners (id {integer} NOT NULL PRIMARY KEY)")).await;
    db.execute("INSERT INTO owners VALUES (1), (2), (3)").await;
    let sessions = db.sessions::<OwnedSession>().await;
    let new = |user_id, second| NewSession::new(OwnedSession { user_id, second });
    let mut first = sessions.create(new(1, None)).await.unwrap();
    sessions.create(new(2, Some(3))).await.unwrap();
    assert_eq!(sessions.query().filter(OwnedSession::USER_ID.eq(1)).count().await.unwrap(), 1);
    let names = db.texts("SELECT CAST(owner_id AS char(20)) FROM owned ORDER BY owner_id").await;
    assert_eq!(names.len(), 2);

    let error = sessions.create(new(9, None)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Constraint);
    first.session.fields.second = Some(9);
    assert_eq!(sessions.update(&mut first.session).await.unwrap_err().kind(), ErrorKind::Constraint);

    db.execute("DELETE FROM owners WHERE id = 1").await;
    assert_eq!(sessions.authenticate(&first.token).await.unwrap(), None);
    let error = sessions.update(&mut first.session).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    db.execute("DELETE FROM owners WHERE id = 3").await;
    assert_eq!(sessions.query().count().await.unwrap(), 0);
}

#[derive(Clone, Copy, Debug, PartialEq, sqlx::Type)]
#[sqlx(type_name = "user_role", rename_all = "snake_case")]
enum UserRole {
    SuperUser,
    Guest,
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "with_enum")]
struct WithEnum {
    #[session(index)]
    role: UserRole,
    former: Option<UserRole>,
}

async fn an_enum_has_a_type_of_its_own_or_is_text(db: TestDatabase) {
    if db.kind() == Kind::Postgres {
        db.execute("CREATE TYPE user_role AS ENUM ('super_user', 'guest')").await;
    }
    let sessions = db.sessions::<WithEnum>().await;
    let fields = WithEnum { role: UserRole::Guest, former: None };
    let created = sessions.create(NewSession::new(fields)).await.unwrap();
    let mut read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read, created.session);
    read.fields.former = Some(UserRole::SuperUser);
    sessions.update(&mut read).await.unwrap();
    let query = || sessions.query().filter(WithEnum::ROLE.eq(UserRole::Guest));
    assert_eq!(
        query().filter(WithEnum::FORMER.is_in([UserRole::SuperUser])).fetch_one().await.unwrap(),
        read
    );
    assert_eq!(query().filter(WithEnum::FORMER.ne(UserRole::SuperUser)).count().await.unwrap(), 0);
    let stored = db.texts("SELECT CAST(former AS char(20)) FROM with_enum").await;
    assert_eq!(stored[0].as_deref().map(str::trim_end), Some("super_user"));

    // A tool that knows nothing of the enum sees and sets text.
    let table = DynamicFields::definition_from(&db.database(), None, "with_enum").await.unwrap().unwrap();
    let config = db.config().build().unwrap();
    let dynamic = Sessions::<DynamicFields>::with_definition(db.database(), table.clone(), config).unwrap();
    let text = |text: &str| DynamicValue::Text(text.to_owned());
    let mut session = dynamic
        .query()
        .filter(DynamicFields::equals(&table, "role", &text("guest")))
        .fetch_one()
        .await
        .unwrap();
    assert_eq!(session.fields.get("former"), Some(&text("super_user")));
    session.fields.set("role", text("super_user")).unwrap();
    session.fields.set("former", DynamicValue::Null).unwrap();
    dynamic.update(&mut session).await.unwrap();
    sessions.reload(&mut read).await.unwrap();
    assert_eq!(read.fields, WithEnum { role: UserRole::SuperUser, former: None });
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "order")]
struct Keywords {
    #[session(index)]
    order: i64,
    r#type: String,
    group: String,
    select: Option<bool>,
    #[session(column = "where")]
    place: String,
}

async fn tables_and_fields_may_be_named_by_keywords_of_sql(db: TestDatabase) {
    let sessions = db.sessions::<Keywords>().await;
    let fields = Keywords {
        order: 1,
        r#type: "type".into(),
        group: "group".into(),
        select: Some(true),
        place: "here".into(),
    };
    let created = sessions.create(NewSession::new(fields)).await.unwrap();
    let mut read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read, created.session);
    read.fields.select = None;
    sessions.update(&mut read).await.unwrap();
    let found = sessions
        .query()
        .filter(Keywords::ORDER.eq(1).and(Keywords::TYPE.eq("type")))
        .filter(Keywords::PLACE.is_in(["here"]).and(Keywords::SELECT.is_null()))
        .limit(1);
    assert_eq!(found.fetch_one().await.unwrap(), read);
    assert_eq!(sessions.query().limit(3).expire_all().await.unwrap(), 1);
    assert_eq!(sessions.delete_expired().await.unwrap(), 1);
    sessions.migrate_down().await.unwrap();
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "exact")]
struct ExactTypes {
    #[session(sql_type = "varchar(4)")]
    code: String,
    #[session(sql_type = "char(2)")]
    land: Option<String>,
}

async fn a_type_named_in_sql_is_taken_as_it_stands(db: TestDatabase) {
    let sessions = db.sessions::<ExactTypes>().await;
    let new = |code: &str| NewSession::new(ExactTypes { code: code.into(), land: Some("is".into()) });
    let created = sessions.create(new("four")).await.unwrap();
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
    let too_long = sessions.create(new("fiver")).await;
    match db.kind() {
        // It knows no lengths.
        Kind::Sqlite => assert!(too_long.is_ok()),
        Kind::Postgres | Kind::MariaDb => {
            assert_eq!(too_long.unwrap_err().kind(), ErrorKind::InvalidField);
        }
    }
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "tickets")]
struct Ticket {}

async fn a_table_may_have_no_fields_at_all(db: TestDatabase) {
    let sessions = db.sessions::<Ticket>().await;
    let created = sessions.create(NewSession::new(Ticket {}).data(json!([1]))).await.unwrap();
    let mut read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read, created.session);
    *read.data = json!([2]);
    sessions.update(&mut read).await.unwrap();
    assert_eq!(sessions.query().status(Status::All).fetch_one().await.unwrap(), read);
}

/// Users whose key is no text.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "indexed")]
struct Indexed {
    #[session(index)]
    uuid: Uuid,
    #[session(index)]
    owner: Option<Owner>,
    #[session(index)]
    bytes: Vec<u8>,
    #[session(index)]
    bigint: i64,
    #[session(index)]
    small: Option<i16>,
    #[session(index)]
    r#bool: bool,
    #[session(index)]
    double: f64,
    #[session(index)]
    timestamp: OffsetDateTime,
    #[session(index)]
    name: Name,
}

async fn a_field_of_any_type_but_json_can_be_indexed(db: TestDatabase) {
    let sessions = db.sessions::<Indexed>().await;
    let fields = Indexed {
        uuid: Uuid::from_u128(7),
        owner: Some(Owner(Uuid::from_u128(8))),
        bytes: vec![0, 255],
        bigint: 9,
        small: None,
        r#bool: true,
        double: 0.5,
        timestamp: START,
        name: Name("ada".to_owned()),
    };
    let created = sessions.create(NewSession::new(fields.clone())).await.unwrap();
    assert_eq!(created.session.fields, fields);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
    for filter in [
        Indexed::UUID.eq(fields.uuid),
        Indexed::OWNER.eq(Owner(Uuid::from_u128(8))),
        Indexed::BYTES.eq(fields.bytes.clone()),
        Indexed::BIGINT.eq(9),
        Indexed::SMALL.is_null(),
        Indexed::BOOL.eq(true),
        Indexed::DOUBLE.eq(0.5),
        Indexed::NAME.eq(fields.name.clone()),
    ] {
        assert_eq!(sessions.query().filter(filter).count().await.unwrap(), 1);
    }
    let long = Indexed { bytes: vec![1; 256], ..fields };
    let created = sessions.create(NewSession::new(long.clone())).await;
    if db.kind() == Kind::MariaDb {
        let error = created.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
        assert!(error.to_string().contains("bytes is too long: its column holds 255 bytes"), "{error}");
    } else {
        assert_eq!(created.unwrap().session.fields, long);
    }
}

each_mode! {
    a_field_of_any_type_but_json_can_be_indexed,
    a_field_of_every_type_is_read_back_as_it_was_written,
    a_field_of_every_type_is_updated_to_null_and_back,
    a_field_of_every_type_is_filtered_by,
    the_least_and_the_greatest_value_of_each_type_are_kept,
    an_instant_is_stored_in_utc_to_the_microsecond,
    a_float_that_is_no_number_is_kept_or_refused_by_name,
    a_blank_required_text_is_an_error_that_names_the_field,
    data_has_the_type_that_the_table_names,
    keys_that_the_type_does_not_know_are_kept,
    data_of_another_form_is_an_error_and_no_missing_session,
    two_tables_with_settings_of_their_own_live_side_by_side,
    one_schema_for_each_tenant_keeps_them_apart,
    a_schema_whose_name_is_none_is_refused,
    sessions_are_deleted_with_the_row_they_belong_to,
    an_enum_has_a_type_of_its_own_or_is_text,
    tables_and_fields_may_be_named_by_keywords_of_sql,
    a_type_named_in_sql_is_taken_as_it_stands,
    a_table_may_have_no_fields_at_all,
}

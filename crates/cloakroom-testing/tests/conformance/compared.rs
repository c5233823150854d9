//! A table that is there already is compared with what its fields ask for, and refused where it cannot work.

use std::time::Duration;

use cloakroom::{
    ColumnType, DynamicFields, Error, ErrorKind, FieldDefinition, FieldType, NewSession, SessionTable,
    Sessions, TableDefinition,
};
use cloakroom_testing::{Kind, START, TestDatabase, UserSession, each_database, user};
use time::OffsetDateTime;
use uuid::Uuid;

fn sessions(db: &TestDatabase, field: FieldDefinition) -> Sessions<DynamicFields> {
    let table = TableDefinition::new("compared").field(field);
    Sessions::with_definition(db.database(), table, db.config().build().unwrap()).unwrap()
}

/// A field of a Rust type, as a struct has it.
fn of<V: FieldType>() -> FieldDefinition {
    FieldDefinition::new::<V>("value").indexed()
}

/// A table whose column is of a type by its name in SQL, and required.
async fn made_with(db: &TestDatabase, sql_type: &str) -> Sessions<DynamicFields> {
    let field = FieldDefinition::dynamic("value", ColumnType::Text).indexed();
    let sql_type = sql_type.to_owned();
    // MariaDB indexes no text or bytes of any length without being told how much of it.
    let field =
        if db.kind() == Kind::MariaDb { FieldDefinition::dynamic("value", ColumnType::Text) } else { field };
    let made = sessions(db, field.sql_type(sql_type));
    made.migrate().await.unwrap();
    made
}

fn remedy(error: &Error) -> String {
    assert_eq!(error.kind(), ErrorKind::ColumnMismatch, "{error:?}");
    assert!(error.to_string().contains("the column value of compared "), "{error}");
    error.to_string().split_once("the column with: ").unwrap().1.to_owned()
}

async fn a_column_that_does_not_hold_its_field_is_an_error_with_the_statement_that_mends_it(
    db: TestDatabase,
) {
    let cases: Vec<(&str, FieldDefinition)> = match db.kind() {
        Kind::Postgres => vec![
            ("text", of::<i64>()),
            ("integer", of::<i64>()),
            ("smallint", of::<i32>()),
            ("integer", of::<String>()),
            ("text[]", of::<String>()),
            ("varchar(36)", of::<Uuid>()),
            ("integer", of::<bool>()),
            ("numeric(9,2)", of::<f64>()),
            ("real", of::<f64>()),
            ("date", of::<OffsetDateTime>()),
            ("text", of::<Vec<u8>>()),
            ("text", of::<bool>()),
            ("bytea", FieldDefinition::dynamic("value", ColumnType::Integer)),
        ],
        Kind::MariaDb => vec![
            ("varchar(9)", of::<i64>()),
            ("int", of::<i64>()),
            ("bigint unsigned", of::<i64>()),
            ("tinyint(1)", of::<i64>()),
            ("smallint", of::<i32>()),
            ("decimal(9,2)", of::<f64>()),
            ("float", of::<f64>()),
            ("varchar(36)", FieldDefinition::new::<Vec<u8>>("value")),
            ("varchar(36)", FieldDefinition::dynamic("value", ColumnType::Uuid)),
            ("binary(9)", FieldDefinition::dynamic("value", ColumnType::Uuid)),
            ("date", of::<OffsetDateTime>()),
            ("int", of::<String>()),
            ("varbinary(9)", of::<String>()),
            ("varchar(9)", of::<bool>()),
            ("datetime(6)", FieldDefinition::dynamic("value", ColumnType::Integer)),
        ],
        Kind::Sqlite => vec![
            ("INTEGER", of::<String>()),
            ("STRING", of::<String>()),
            ("TEXT", of::<i64>()),
            ("varchar(9)", of::<i64>()),
            ("TEXT", of::<Uuid>()),
            ("INTEGER", of::<f64>()),
            ("REAL", of::<bool>()),
            ("BLOB", of::<OffsetDateTime>()),
            ("REAL", FieldDefinition::dynamic("value", ColumnType::Integer)),
        ],
    };
    for (sql_type, field) in cases {
        let made = made_with(&db, sql_type).await;
        for field in [field.clone().nullable(), field] {
            let wanted = sessions(&db, field.clone());
            let error = match wanted.migrate().await {
                Err(error) => error,
                Ok(taken) => panic!("{sql_type} is taken for {field:?}: {taken:?}"),
            };
            if field.is_nullable() {
                let said = error.to_string();
                assert!(said.contains(wanted.definition().table_name()), "{sql_type}: {said}");
                continue;
            }
            db.execute(&remedy(&error)).await;
            wanted.migrate().await.unwrap();
            assert_eq!(wanted.query().count().await.unwrap(), 0, "{sql_type}");
        }
        made.migrate_down().await.unwrap();
    }
}

async fn a_column_that_holds_its_field_by_another_name_is_taken(db: TestDatabase) {
    if db.kind() == Kind::Postgres {
        db.execute("CREATE DOMAIN email AS varchar(99) CHECK (VALUE <> '')").await;
        db.execute("CREATE DOMAIN work_email AS email").await;
        db.execute("CREATE DOMAIN number AS bigint").await;
        db.execute("CREATE TYPE mood AS ENUM ('good', 'bad')").await;
    }
    let cases: Vec<(&str, FieldDefinition)> = match db.kind() {
        Kind::Postgres => vec![
            ("text", of::<String>()),
            ("char(9)", of::<String>()),
            ("email", of::<String>()),
            ("work_email", of::<String>()),
            ("mood", of::<String>()),
            ("number", of::<i64>()),
            ("bigint", of::<i32>()),
            ("double precision", of::<f32>()),
            ("timestamp", of::<OffsetDateTime>()),
            ("timestamptz(6)", of::<OffsetDateTime>()),
            ("jsonb", of::<serde_json::Value>()),
            ("integer", FieldDefinition::dynamic("value", ColumnType::Integer)),
            ("money", of::<String>().sql_type("numeric(9,2)")),
        ],
        Kind::MariaDb => vec![
            ("text", of::<String>()),
            ("char(9)", of::<String>()),
            ("enum('good', 'bad')", of::<String>()),
            ("bigint", of::<i32>()),
            ("int", of::<bool>()),
            ("double", of::<f32>()),
            ("timestamp(6)", of::<OffsetDateTime>()),
            ("longtext", of::<serde_json::Value>()),
            ("varbinary(16)", of::<Uuid>()),
            ("int unsigned", FieldDefinition::dynamic("value", ColumnType::Integer)),
            ("date", of::<String>().sql_type("datetime")),
        ]
        .into_iter()
        .map(|(sql_type, mut field)| {
            if ["text", "longtext"].contains(&sql_type) {
                field = match sql_type {
                    "text" => FieldDefinition::new::<String>("value"),
                    _ => FieldDefinition::new::<serde_json::Value>("value"),
                };
            }
            (sql_type, field)
        })
        .collect(),
        Kind::Sqlite => vec![
            ("varchar(9)", of::<String>()),
            ("ANY", of::<String>()),
            ("BLOB", of::<Uuid>()),
            ("bigint", of::<i32>()),
            ("BOOLEAN", of::<bool>()),
            ("DATETIME", of::<OffsetDateTime>()),
            ("JSON", of::<serde_json::Value>()),
            ("double", of::<f64>()),
        ],
    };
    for (sql_type, field) in cases {
        let made = made_with(&db, sql_type).await;
        // jsonb has no order by which it could be indexed on every server.
        let wanted = sessions(&db, field);
        let taken = wanted.migrate().await;
        assert!(taken.is_ok(), "{sql_type}: {taken:?}");
        made.migrate_down().await.unwrap();
    }
}

async fn a_column_that_is_nullable_on_one_side_only_is_an_error_with_the_statement_that_mends_it(
    db: TestDatabase,
) {
    for is_nullable in [false, true] {
        let field = |nullable: bool| {
            let field = FieldDefinition::new::<String>("value").indexed();
            if nullable { field.nullable() } else { field }
        };
        let made = sessions(&db, field(!is_nullable));
        made.migrate().await.unwrap();
        let wanted = sessions(&db, field(is_nullable));
        let error = wanted.migrate().await.unwrap_err();
        assert!(error.to_string().contains("null"), "{error}");
        let before = collations(&db).await;
        db.execute(&remedy(&error)).await;
        wanted.migrate().await.unwrap();
        assert_eq!(collations(&db).await, before);
        remedy(&made.migrate().await.unwrap_err());
        made.migrate_down().await.unwrap();
    }
}

/// The collations of the table's columns, on the server where they are lost unless they are said again.
async fn collations(db: &TestDatabase) -> Vec<Option<String>> {
    if db.kind() != Kind::MariaDb {
        return Vec::new();
    }
    let sql = "SELECT collation_name FROM information_schema.columns WHERE table_schema = DATABASE() \
               AND table_name = 'compared' AND collation_name IS NOT NULL ORDER BY column_name";
    db.texts(sql).await
}

async fn a_built_in_column_of_another_type_is_refused_too(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for (column, sql_type) in [("updated_at", "varchar(40)"), ("id", "varchar(40)"), ("data", "integer")] {
        let not_null = "NOT NULL";
        match db.kind() {
            Kind::Postgres => {
                db.execute(&format!("ALTER TABLE sessions DROP COLUMN {column}")).await;
                db.execute(&format!("ALTER TABLE sessions ADD COLUMN {column} {sql_type} {not_null}")).await;
            }
            Kind::MariaDb => {
                db.execute(&format!("ALTER TABLE sessions MODIFY {column} {sql_type} {not_null}")).await;
            }
            Kind::Sqlite => {
                let sql = sessions_of(column, if sql_type == "integer" { "INTEGER" } else { "ANY" });
                let wrong = sql.replacen("ANY", if column == "updated_at" { "BLOB" } else { "TEXT" }, 1);
                db.execute("DROP TABLE sessions").await;
                db.execute(&wrong).await;
            }
        }
        let error = sessions.migrate().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ColumnMismatch, "{error}");
        assert!(error.to_string().contains(&format!("the column {column} ")), "{error}");
        db.execute("DROP TABLE sessions").await;
        sessions.migrate().await.unwrap();
    }
    sessions.create(user("1")).await.unwrap();
}

/// A session table of SQLite's in which one column has another type.
fn sessions_of(column: &str, sql_type: &str) -> String {
    let columns = [
        ("id", "BLOB"),
        ("auth_token_digest", "TEXT"),
        ("data", "TEXT"),
        ("expires_at", "TEXT"),
        ("user_id", "TEXT"),
        ("inserted_at", "TEXT"),
        ("updated_at", "TEXT"),
    ];
    let lines: Vec<String> = columns
        .iter()
        .map(|(name, known)| {
            let null = if *name == "expires_at" { "NULL" } else { "NOT NULL" };
            format!("{name} {} {null}", if *name == column { sql_type } else { known })
        })
        .collect();
    format!("CREATE TABLE sessions ({}) STRICT", lines.join(", "))
}

async fn a_column_whose_name_differs_in_case_is_the_fields_or_not_as_the_database_has_it(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let quoted =
        |name: &str| if db.kind() == Kind::MariaDb { format!("`{name}`") } else { format!("\"{name}\"") };
    for (from, to) in [("user_id", "User_Id"), ("data", "DATA")] {
        db.execute(&format!("ALTER TABLE sessions RENAME COLUMN {} TO {}", quoted(from), quoted(to))).await;
        let found = DynamicFields::definition_from(&db.database(), None, "sessions").await;
        let migrated = sessions.migrate().await;
        if db.kind() != Kind::Postgres {
            assert_eq!(migrated.unwrap(), []);
            assert!(found.unwrap().is_some());
            let created = sessions.create(user("1")).await.unwrap();
            assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
            continue;
        }
        let error = migrated.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingColumn);
        assert!(error.to_string().contains(to), "{error}");
        let said = error.to_string();
        let (_, rest) = said.split_once("rename it with ").unwrap();
        db.execute(rest.split_once(')').unwrap().0).await;
        assert_eq!(sessions.migrate().await.unwrap(), []);
    }
}

async fn a_unique_index_that_is_not_over_the_digest_alone_is_refused(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let on_table = if db.kind() == Kind::MariaDb { " ON sessions" } else { "" };
    // Anew, since a connection of SQLite's that has not read since knows the index that was dropped.
    let mut overs = vec!["id", "auth_token_digest, id"];
    overs.push(match db.kind() {
        Kind::MariaDb => "auth_token_digest(9)",
        Kind::Postgres | Kind::Sqlite => "upper(auth_token_digest)",
    });
    for over in overs {
        db.execute_anew(&format!("DROP INDEX sessions_auth_token_digest_index{on_table}")).await;
        db.execute_anew(&format!(
            "CREATE UNIQUE INDEX sessions_auth_token_digest_index ON sessions ({over})"
        ))
        .await;
        let error = sessions.migrate().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{over}: {error}");
        assert!(error.to_string().contains("not over auth_token_digest alone"), "{over}: {error}");
    }
    db.execute_anew(&format!("DROP INDEX sessions_auth_token_digest_index{on_table}")).await;
    assert_eq!(sessions.migrate().await.unwrap().len(), 1);
}

async fn a_foreign_key_that_the_server_refuses_says_why(db: TestDatabase) {
    let people = async |key: &str| {
        db.execute("DROP TABLE IF EXISTS people").await;
        db.execute(&format!("CREATE TABLE people ({key})")).await;
    };
    let wanted = |field: FieldDefinition| sessions(&db, field.references("people", "id").on_delete_cascade());
    let refused = async |field: FieldDefinition, words: &[&str]| {
        let error = wanted(field).migrate().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ColumnMismatch, "{error:?}");
        let said = error.to_string();
        assert!(said.contains("foreign key of value to people.id"), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    };
    if db.kind() != Kind::Sqlite {
        db.execute("DROP TABLE IF EXISTS people").await;
        refused(of::<i64>(), &["there is no table people"]).await;
        people("no bigint NOT NULL PRIMARY KEY").await;
        refused(of::<i64>(), &["people has no column id"]).await;
        people("id bigint NOT NULL").await;
        refused(of::<i64>(), &["index"]).await;
        people("id varchar(9) NOT NULL PRIMARY KEY").await;
        refused(of::<i64>(), &["agree in type", "sql_type = \"", "(9)"]).await;
    }
    if db.kind() == Kind::MariaDb {
        people("id bigint unsigned NOT NULL PRIMARY KEY").await;
        refused(of::<i64>(), &["agree in sign", "unsigned"]).await;
        people("id int NOT NULL PRIMARY KEY").await;
        refused(of::<i64>(), &["agree in width"]).await;
        people("id int unsigned NOT NULL PRIMARY KEY").await;
        refused(of::<i64>(), &["agree in width and sign"]).await;
        people("id varchar(9) COLLATE utf8mb4_general_ci NOT NULL PRIMARY KEY").await;
        refused(of::<String>(), &["agree in character set and collation", "utf8mb4_general_ci"]).await;
        // As it says.
        let mended = wanted(of::<String>().sql_type("varchar(9) COLLATE utf8mb4_general_ci"));
        assert_eq!(mended.migrate().await.unwrap().len(), 3);
        mended.migrate_down().await.unwrap();
    }
    people("id bigint NOT NULL PRIMARY KEY").await;
    let made = wanted(of::<i64>());
    assert_eq!(made.migrate().await.unwrap().len(), 3);
    made.migrate_down().await.unwrap();
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "sessions")]
struct Numbered {
    user_id: i64,
}

async fn a_struct_whose_field_changed_its_type_is_told_at_its_start_and_not_by_its_users(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    let config = db.config().build().unwrap();
    let numbered = Sessions::<Numbered>::new(db.database(), config).unwrap();
    let error = numbered.migrate().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ColumnMismatch, "{error:?}");
    assert!(error.to_string().contains("the column user_id of sessions"), "{error}");
    let remedy = error.to_string().split_once("the column with: ").unwrap().1.to_owned();
    db.execute(&remedy).await;
    assert_eq!(numbered.migrate().await.unwrap(), []);
    let created = numbered.create(NewSession::new(Numbered { user_id: 7 })).await.unwrap();
    assert_eq!(numbered.authenticate(&created.token).await.unwrap().unwrap().fields, Numbered { user_id: 7 });
}

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "sessions")]
struct Proven {
    #[session(authenticated_at)]
    proven_at: OffsetDateTime,
}

/// MariaDB before 10.10 and MySQL before 8.0 declare the first `timestamp NOT NULL` of a table so by themselves.
async fn an_instant_that_other_writes_move_is_refused_with_the_statement_that_keeps_it(db: TestDatabase) {
    let config = db.config().max_lifetime(Duration::from_hours(1)).build().unwrap();
    let sessions = Sessions::<Proven>::new(db.database(), config).unwrap();
    sessions.migrate().await.unwrap();
    for (column, null) in [("inserted_at", "NOT NULL"), ("expires_at", "NULL"), ("proven_at", "NOT NULL")] {
        db.execute(&format!(
            "ALTER TABLE sessions MODIFY {column} timestamp(6) {null} DEFAULT CURRENT_TIMESTAMP(6) \
             ON UPDATE CURRENT_TIMESTAMP(6)"
        ))
        .await;
        let error = sessions.migrate().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ColumnMismatch, "{error}");
        assert!(
            error.to_string().contains(&format!("the column {column} of sessions is declared")),
            "{error}"
        );
        db.execute(error.to_string().split_once("the column with: ").unwrap().1).await;
        assert_eq!(sessions.migrate().await.unwrap(), []);
    }
    let created = sessions.create(NewSession::new(Proven { proven_at: START })).await.unwrap();
    let mut session = sessions.authenticate(&created.token).await.unwrap().unwrap();
    session.data["step"] = 1.into();
    sessions.update(&mut session).await.unwrap();
    let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!((read.inserted_at, read.fields.proven_at), (created.session.inserted_at, START));
    assert_eq!(read.expires_at, created.session.expires_at);
    // The library says what this one is in each of its writes.
    db.execute(
        "ALTER TABLE sessions MODIFY updated_at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) \
         ON UPDATE CURRENT_TIMESTAMP(6)",
    )
    .await;
    assert_eq!(sessions.migrate().await.unwrap(), []);
}

mod on_a_server {
    mod mariadb {
        cloakroom_testing::each_case!(
            MariaDb,
            Coalesced,
            super::super,
            an_instant_that_other_writes_move_is_refused_with_the_statement_that_keeps_it
        );
    }
}

each_database! {
    a_column_that_does_not_hold_its_field_is_an_error_with_the_statement_that_mends_it,
    a_column_that_holds_its_field_by_another_name_is_taken,
    a_column_that_is_nullable_on_one_side_only_is_an_error_with_the_statement_that_mends_it,
    a_built_in_column_of_another_type_is_refused_too,
    a_column_whose_name_differs_in_case_is_the_fields_or_not_as_the_database_has_it,
    a_unique_index_that_is_not_over_the_digest_alone_is_refused,
    a_foreign_key_that_the_server_refuses_says_why,
    a_struct_whose_field_changed_its_type_is_told_at_its_start_and_not_by_its_users,
}

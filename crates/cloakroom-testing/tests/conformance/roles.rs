//! Columns with a role: what they hold, and how a program that knows the table only at run time learns of them.

use cloakroom::{
    DynamicFields, DynamicValue, ErrorKind, FieldDefinition, HasHint, ImportedSession, NewSession, Role,
    SessionTable, Sessions, TableDefinition, TokenFormat,
};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_database};

use crate::hints::{Key, key, live, stored};

/// The same table, when the column may be null.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "keys_with_hints")]
struct NullableKey {
    #[session(index)]
    user_id: String,
    name: Option<String>,
    #[session(hint, column = "shown")]
    hint: Option<String>,
}

async fn a_hint_that_does_not_fit_its_column_is_an_error_and_the_token_stays(db: TestDatabase) {
    let sessions = db.sessions_with::<Key>(db.config().token_format(live())).await;
    let mut created = sessions.create(key("1")).await.unwrap();
    db.execute_anew("UPDATE keys_with_hints SET shown = 'short'").await;
    let (change, kind) = match db.kind() {
        // No length of a column is checked there, but a trigger may check it.
        Kind::Sqlite => (
            "CREATE TRIGGER short BEFORE UPDATE ON keys_with_hints WHEN length(NEW.shown) > 8 \
             BEGIN SELECT RAISE(ABORT, 'too long'); END",
            ErrorKind::Constraint,
        ),
        Kind::Postgres => {
            ("ALTER TABLE keys_with_hints ALTER shown TYPE varchar(8)", ErrorKind::InvalidField)
        }
        Kind::MariaDb => {
            ("ALTER TABLE keys_with_hints MODIFY shown varchar(8) NOT NULL", ErrorKind::InvalidField)
        }
    };
    db.execute_anew(change).await;
    let sessions = db.sessions_with::<Key>(db.config().token_format(live())).await;
    let shown = created.session.hint().map(str::to_owned);
    assert_eq!(sessions.rotate(&mut created.session).await.unwrap_err().kind(), kind);
    assert_eq!((created.session.hint(), stored(&db).await), (shown.as_deref(), vec!["short".to_owned()]));
    assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
    if db.kind() != Kind::Sqlite {
        let error = sessions.create(key("2")).await.unwrap_err();
        assert!(error.to_string().contains("shown is too long"), "{error}");
    }
}

async fn a_column_that_pads_its_text_is_read_back(db: TestDatabase) {
    let change = match db.kind() {
        Kind::Sqlite => unreachable!("it has no such column"),
        Kind::Postgres => "ALTER TABLE keys_with_hints ALTER shown TYPE char(60)",
        // MariaDB drops the spaces at the end when it reads.
        Kind::MariaDb => "ALTER TABLE keys_with_hints MODIFY shown char(60) NOT NULL",
    };
    db.sessions::<Key>().await;
    db.execute_anew(change).await;
    let sessions = db.sessions_with::<Key>(db.config().token_format(live())).await;
    let mut created = sessions.create(key("1")).await.unwrap();
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session.clone()));
    created.session.fields.name = Some("deploys".to_owned());
    let token = sessions.rotate(&mut created.session).await.unwrap();
    assert_eq!(created.session.fields.name.as_deref(), Some("deploys"));
    let row = sessions.authenticate_fresh(&token).await.unwrap().unwrap();
    assert_eq!(row.hint(), created.session.hint());
    assert!(row.fields.hint.starts_with(&live().hint(&token)));
}

async fn sessions_that_are_older_than_the_column_have_no_hint_until_they_are_rotated(db: TestDatabase) {
    let sessions = db.sessions::<NullableKey>().await;
    let new = NewSession::new(NullableKey { user_id: "1".into(), name: None, hint: None });
    let created = sessions.create(new.clone()).await.unwrap();
    assert!(created.session.hint().is_some());
    db.execute("UPDATE keys_with_hints SET shown = NULL").await;
    let mut old = sessions.authenticate_fresh(&created.token).await.unwrap().unwrap();
    assert_eq!(old.hint(), None);
    let token = sessions.rotate(&mut old).await.unwrap();
    assert_eq!(old.hint(), Some(&*TokenFormat::default().hint(&token)));
    // A digest does not tell its token's hint; the caller may know it.
    let digest = |text: &str| sessions.config().digest(text).unwrap();
    let mut given = new.clone();
    given.fields_mut().hint = Some("of-the-other-system".to_owned());
    let imported = vec![
        ImportedSession::with_digest(new, digest("an-issued-token-1")),
        ImportedSession::with_digest(given, digest("an-issued-token-2")),
    ];
    sessions.import(imported).await.unwrap();
    for (token, hint) in [("an-issued-token-1", None), ("an-issued-token-2", Some("of-the-other-system"))] {
        assert_eq!(sessions.authenticate(token).await.unwrap().unwrap().hint(), hint);
    }
}

async fn dynamic(db: &TestDatabase) -> Sessions<DynamicFields> {
    let table = DynamicFields::definition_from(&db.database(), None, "keys_with_hints").await;
    let config = db.config().token_format(live()).build().unwrap();
    Sessions::with_definition(db.database(), table.unwrap().unwrap(), config).unwrap()
}

async fn a_tool_learns_of_the_role_from_the_record_of_the_migration(db: TestDatabase) {
    db.sessions::<Key>().await;
    let sessions = dynamic(&db).await;
    let shown = sessions.definition().field_for(Role::Hint).unwrap();
    assert_eq!((shown.name(), shown.role()), ("shown", Some(Role::Hint)));
    let mut fields = DynamicFields::new(sessions.definition(), sessions.backend());
    fields.set("user_id", DynamicValue::Text("1".to_owned())).unwrap();
    let mut created = sessions.create(NewSession::new(fields)).await.unwrap();
    assert_eq!(created.session.fields.hint(), Some(&*live().hint(&created.token)));
    let token = sessions.rotate(&mut created.session).await.unwrap();
    assert_eq!(created.session.hint(), Some(&*live().hint(&token)));
    assert_eq!(stored(&db).await, [live().hint(&token)]);
    // The tool's own migration leaves the record as it is.
    assert_eq!(sessions.migrate().await.unwrap(), []);
    assert!(dynamic(&db).await.definition().field_for(Role::Hint).is_some());
}

async fn a_role_that_is_given_to_a_column_later_is_recorded_by_the_next_migration(db: TestDatabase) {
    let record = || async {
        let record =
            db.texts("SELECT fields FROM keys_with_hints_cloakroom_migrations WHERE version = 1").await;
        record.into_iter().flatten().collect::<String>()
    };
    let text = |name: &'static str| FieldDefinition::new::<String>(name);
    let without = TableDefinition::new("keys_with_hints")
        .field(text("user_id").indexed())
        .field(text("name").nullable());
    let config = db.config().build().unwrap();
    let of = |table: &TableDefinition| {
        Sessions::<DynamicFields>::with_definition(db.database(), table.clone(), config.clone()).unwrap()
    };
    of(&without).migrate().await.unwrap();
    assert_eq!(record().await, "user_id:text,name:text");
    let sql_type = if db.kind() == Kind::Sqlite { "text" } else { "varchar(255)" };
    db.execute_anew(&format!("ALTER TABLE keys_with_hints ADD COLUMN shown {sql_type}")).await;
    assert!(dynamic(&db).await.definition().field_for(Role::Hint).is_none());

    assert_eq!(db.sessions::<NullableKey>().await.migrate().await.unwrap(), []);
    assert_eq!(record().await, "user_id:text,name:text,shown:text:hint");
    assert!(dynamic(&db).await.definition().field_for(Role::Hint).is_some());
    // An older program, which does not know the column, takes nothing back.
    of(&without).migrate().await.unwrap();
    assert_eq!(record().await, "user_id:text,name:text,shown:text:hint");
    // A column that is no longer there, or that holds something else now, has no role.
    db.execute_anew("ALTER TABLE keys_with_hints DROP COLUMN shown").await;
    assert!(dynamic(&db).await.definition().field_for(Role::Hint).is_none());
    let integer = if db.kind() == Kind::Sqlite { "integer" } else { "bigint" };
    db.execute_anew(&format!("ALTER TABLE keys_with_hints ADD COLUMN shown {integer}")).await;
    assert!(dynamic(&db).await.definition().field_for(Role::Hint).is_none());
}

async fn a_definition_has_one_column_of_the_right_type_for_a_role(db: TestDatabase) {
    let refused = |table: TableDefinition| {
        let config = db.config().build().unwrap();
        let refused = Sessions::<DynamicFields>::with_definition(db.database(), table, config);
        refused.unwrap_err().to_string()
    };
    let table =
        || UserSession::definition().field(FieldDefinition::new::<String>("one").for_role(Role::Hint));
    let twice = refused(table().field(FieldDefinition::new::<String>("other").for_role(Role::Hint)));
    assert!(twice.contains("\"one\" and \"other\" both have the role hint"), "{twice}");
    let integer =
        refused(UserSession::definition().field(FieldDefinition::new::<i64>("one").for_role(Role::Hint)));
    assert!(integer.contains("role hint holds text"), "{integer}");
    let text = refused(
        UserSession::definition().field(FieldDefinition::new::<String>("one").for_role(Role::LastSeen)),
    );
    assert!(text.contains("role last_seen holds instants"), "{text}");
}

each_database! {
    a_hint_that_does_not_fit_its_column_is_an_error_and_the_token_stays,
    sessions_that_are_older_than_the_column_have_no_hint_until_they_are_rotated,
    a_tool_learns_of_the_role_from_the_record_of_the_migration,
    a_role_that_is_given_to_a_column_later_is_recorded_by_the_next_migration,
    a_definition_has_one_column_of_the_right_type_for_a_role,
}

mod padded {
    mod postgres {
        cloakroom_testing::each_case!(
            Postgres,
            Coalesced,
            super::super,
            a_column_that_pads_its_text_is_read_back
        );
    }

    mod mariadb {
        cloakroom_testing::each_case!(
            MariaDb,
            Coalesced,
            super::super,
            a_column_that_pads_its_text_is_read_back
        );
    }
}

//! Columns of MySQL's own JSON type, in a table that another program made. Elsewhere the type of a table made here is
//! the database's own, and the cases hold for it too.

use std::time::Duration;

use cloakroom::sea_query::{Alias, Expr, Order};
use cloakroom::{
    DynamicFields, DynamicValue, ErrorKind, Filter, NewSession, Session, SessionTable, Sessions, Status,
};
use cloakroom_testing::{Kind, TestDatabase, each_database};
use futures_util::TryStreamExt;
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "tagged")]
struct Tagged {
    #[session(index)]
    user_id: String,
    tags: Value,
}

fn tagged(user_id: &str, tags: Value) -> NewSession<Tagged> {
    NewSession::new(Tagged { user_id: user_id.into(), tags })
}

async fn adopted(db: &TestDatabase) -> Sessions<Tagged> {
    let sessions = db.sessions::<Tagged>().await;
    if db.kind() == Kind::MariaDb {
        let data = if db.is_mysql() { "json NOT NULL DEFAULT (JSON_OBJECT())" } else { "json NOT NULL" };
        db.execute(&format!("ALTER TABLE tagged MODIFY data {data}, MODIFY tags json NOT NULL")).await;
    }
    sessions
}

async fn json_equals_json_of_the_same_value_and_no_other(db: TestDatabase) {
    let sessions = adopted(&db).await;
    let tags = [json!({"a": [1, null, 1.5], "b": "é\"\\"}), json!([]), json!("text"), json!(7)];
    for tags in &tags {
        sessions.create(tagged("1", tags.clone()).data(json!({ "tags": tags }))).await.unwrap();
    }
    let count = async |filter: Filter<Tagged>| sessions.query().filter(filter).count().await.unwrap();
    let others = tags.len() as u64 - 1;
    for tags in &tags {
        assert_eq!(count(Tagged::TAGS.eq(tags.clone())).await, 1, "{tags}");
        assert_eq!(count(Tagged::TAGS.ne(tags.clone())).await, others, "{tags}");
        assert_eq!(count(Tagged::TAGS.is_in([tags.clone(), json!({})])).await, 1, "{tags}");
        assert_eq!(count(Tagged::TAGS.is_not_in([tags.clone(), json!({})])).await, others, "{tags}");
        assert_eq!(sessions.query().data(json!({ "tags": tags })).count().await.unwrap(), 1, "{tags}");
        let dynamic = DynamicValue::Json(tags.to_string());
        let table = DynamicFields::definition_from(&db.database(), None, "tagged").await.unwrap().unwrap();
        let by_name =
            Sessions::<DynamicFields>::with_definition(db.database(), table, db.config().build().unwrap());
        let by_name = by_name.unwrap();
        let filter = DynamicFields::equals(by_name.definition(), "tags", &dynamic);
        assert_eq!(by_name.query().filter(filter).count().await.unwrap(), 1, "{tags}");
    }
    // What is equal stays.
    let spared = tags[0].clone();
    assert_eq!(sessions.query().filter(Tagged::TAGS.ne(spared.clone())).delete_all().await.unwrap(), others);
    assert_eq!(sessions.query().fetch_one().await.unwrap().fields.tags, spared);
}

/// MySQL's buffer for sorting has 256 KiB.
async fn a_row_larger_than_the_servers_buffer_is_sorted_among_the_others(db: TestDatabase) {
    let sessions = adopted(&db).await;
    let large = "x".repeat(600_000);
    let mut created = Vec::new();
    for number in 0..6 {
        let large = if number % 2 == 1 { large.as_str() } else { "" };
        let new = tagged("1234", json!([number, large])).data(json!({ "n": number, "large": large }));
        created.push(sessions.create(new).await.unwrap().session);
        db.clock().advance(Duration::from_secs(1));
    }
    let newest: Vec<Session<Tagged>> = created.iter().rev().cloned().collect();
    let query = || sessions.query().filter(Tagged::USER_ID.eq("1234"));
    assert!(query().fetch_all().await.unwrap() == newest);
    assert!(sessions.query().fetch_all().await.unwrap() == newest);
    assert!(sessions.query().oldest_first().fetch_all().await.unwrap() == created);
    assert!(sessions.query().limit(2).fetch_all().await.unwrap() == newest[..2]);
    assert!(sessions.query().limit(2).after(newest[1].cursor()).fetch_all().await.unwrap() == newest[2..4]);
    assert!(sessions.query().stream().try_collect::<Vec<_>>().await.unwrap() == newest);
    let by = |order| sessions.query().order_by(Expr::col(Alias::new("expires_at")), order);
    assert!(by(Order::Asc).fetch_all().await.unwrap() == created);
    assert!(by(Order::Desc).limit(3).fetch_all().await.unwrap() == newest[..3]);
    // A filter reads the large value too.
    let last = json!([5, large]);
    assert!(sessions.query().filter(Tagged::TAGS.ne(last.clone())).fetch_all().await.unwrap() == newest[1..]);
    assert!(sessions.query().filter(Tagged::TAGS.eq(last)).fetch_one().await.unwrap() == newest[0]);
    let several = sessions.query().filter(Tagged::TAGS.ne(json!([]))).fetch_optional().await.unwrap_err();
    assert_eq!(several.kind(), ErrorKind::MultipleSessions, "{several:?}");
    let mut transaction = sessions.begin().await.unwrap();
    assert!(sessions.within(&mut transaction).query().limit(4).fetch_all().await.unwrap() == newest[..4]);
    transaction.rollback().await.unwrap();
    assert_eq!(sessions.query().limit(2).expire_all().await.unwrap(), 2);
    assert!(sessions.query().fetch_all().await.unwrap() == newest[2..]);
    let expired = || sessions.query().status(Status::Expired).oldest_first();
    assert_eq!(expired().limit(1).delete_all().await.unwrap(), 1);
    assert_eq!(expired().fetch_one().await.unwrap().id, newest[0].id);
}

async fn what_is_answered_is_what_the_row_holds(db: TestDatabase) {
    let sessions = adopted(&db).await;
    let numbers = json!({"b": 1e20, "a": [1.5, 123_456_789_012_345_678_u64, -0.25], "é": "é"});
    let mut created = sessions.create(tagged("1", numbers.clone()).data(numbers.clone())).await.unwrap();
    let read = async || sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read().await, created.session);
    created.session.data["c"] = json!(2.5);
    sessions.update(&mut created.session).await.unwrap();
    assert_eq!(read().await.data, created.session.data);
    created.session.fields.tags = json!({"z": [], "a": {}});
    sessions.update(&mut created.session).await.unwrap();
    assert_eq!(read().await, created.session);
}

async fn a_table_made_here_holds_nothing_but_json(db: TestDatabase) {
    let sessions = db.sessions::<Tagged>().await;
    let created = sessions.create(tagged("1", json!([]))).await.unwrap();
    if db.kind() != Kind::Sqlite {
        for column in ["data", "tags"] {
            db.try_execute(&format!("UPDATE tagged SET {column} = '{{nope'")).await.unwrap_err();
        }
    }
    if db.kind() == Kind::MariaDb {
        let kept = r#"{"b":  1e20, "a":123456789012345678901234567890.10}"#;
        db.execute(&format!("UPDATE tagged SET data = '{kept}', tags = '{kept}'")).await;
        for column in ["data", "tags"] {
            assert_eq!(db.texts(&format!("SELECT {column} FROM tagged")).await, [Some(kept.to_owned())]);
        }
        sessions.authenticate(&created.token).await.unwrap().unwrap();
    }
}

/// Text is compared as text, and in a column of MySQL's own JSON type it would equal nothing.
async fn a_field_of_text_in_a_column_of_json_is_refused(db: TestDatabase) {
    db.sessions::<Tagged>().await;
    if db.is_mysql() {
        db.execute(
            "ALTER TABLE tagged MODIFY user_id json NOT NULL, DROP INDEX tagged_user_id_inserted_at_index",
        )
        .await;
        let error = Sessions::<Tagged>::new(db.database(), db.config().build().unwrap())
            .unwrap()
            .migrate()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ColumnMismatch, "{error:?}");
        assert!(error.to_string().contains("user_id"), "{error}");
    } else if db.kind() == Kind::MariaDb {
        // There the type is text.
        db.execute(
            "ALTER TABLE tagged MODIFY user_id json NOT NULL, DROP INDEX tagged_user_id_inserted_at_index",
        )
        .await;
        let sessions = Sessions::<Tagged>::new(db.database(), db.config().build().unwrap()).unwrap();
        sessions.create(tagged("\"text\"", json!([]))).await.unwrap();
        assert_eq!(sessions.query().filter(Tagged::USER_ID.ne("\"text\"")).count().await.unwrap(), 0);
    }
}

each_database! {
    json_equals_json_of_the_same_value_and_no_other,
    a_row_larger_than_the_servers_buffer_is_sorted_among_the_others,
    what_is_answered_is_what_the_row_holds,
    a_table_made_here_holds_nothing_but_json,
    a_field_of_text_in_a_column_of_json_is_refused,
}

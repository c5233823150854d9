use cloakroom::{ErrorKind, Sessions};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_database, user};
use serde_json::value::RawValue;
use serde_json::{Value, json};

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

async fn assert_intact(sessions: &Sessions<UserSession>, sample: &cloakroom::Session<UserSession>) {
    assert_eq!(&sessions.query().id(sample.id).fetch_one().await.unwrap(), sample);
    assert_eq!(sessions.query().count().await.unwrap(), 1);
}

async fn a_nul_in_data_is_stored_or_refused_in_words(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let bystander = sessions.create(user("1234")).await.unwrap().session;
    for data in [json!({"device": "a\u{0}b"}), json!({"a\u{0}b": 1}), json!(["\u{0}"])] {
        let mut changed = bystander.clone();
        *changed.data = data.clone();
        if db.kind() == Kind::Postgres {
            let errors = [
                sessions.create(user("1234").data(data.clone())).await.unwrap_err(),
                sessions.update(&mut changed).await.unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.kind(), ErrorKind::InvalidData, "{error:?}");
                assert!(error.to_string().contains("U+0000"), "{error}");
            }
        } else {
            let created = sessions.create(user("1234").data(data.clone())).await.unwrap();
            let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
            assert_eq!(read.data, data);
            let found = sessions.query().data(data).fetch_all().await.unwrap();
            assert_eq!(found, std::slice::from_ref(&read));
            assert!(sessions.delete(read).await.unwrap());
        }
    }
    assert_intact(&sessions, &bystander).await;
}

async fn json_that_no_value_can_hold_is_refused_before_it_is_written(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for text in [r#"{"half": "\ud800"}"#, r#"{"endless": 1e999999}"#] {
        let error = sessions.create(user("1234").raw_data(&raw(text))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error:?}");
        assert!(error.to_string().contains("data"), "{error}");
    }
    assert_eq!(sessions.query().count().await.unwrap(), 0);
}

async fn five_megabytes_of_data_come_back_whole(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let data = json!({"list": vec!["x".repeat(1_000); 2_500], "text": "é".repeat(1_250_000)});
    let created = sessions.create(user("1234").data(data.clone())).await.unwrap();
    let mut read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert!(read.data == data);
    read.data["list"][2_499] = json!("changed");
    sessions.update(&mut read).await.unwrap();
    let found = sessions.query().fetch_all().await.unwrap();
    assert!(found[0].data == read.data && found[0].data["list"][0] == data["list"][0]);
}

/// An array in an array in an array…
fn nested(depth: usize) -> Value {
    (1..depth).fold(json!([]), |inner, _| json!([inner]))
}

async fn deeply_nested_data_is_stored_whole_or_refused_as_data(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let bystander = sessions.create(user("1234")).await.unwrap().session;
    let mut deepest = 0;
    for depth in [10, 30, 100, 127, 128, 129, 1_000] {
        let data = nested(depth);
        let mut changed = bystander.clone();
        *changed.data = data.clone();
        match sessions.create(user("1234").data(data.clone())).await {
            Ok(created) => {
                deepest = depth;
                let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
                assert!(read.data == data);
                assert!(sessions.delete(read).await.unwrap());
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidData, "at {depth}: {error:?}");
                assert!(error.to_string().contains("data"), "{error}");
                let error = sessions.update(&mut changed).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidData, "at {depth}: {error:?}");
            }
        }
    }
    let expected = match db.kind() {
        Kind::Sqlite | Kind::Postgres => 127,
        // The servers' own limits.
        Kind::MariaDb if db.is_mysql() => 100,
        Kind::MariaDb => 30,
    };
    assert_eq!(deepest, expected);
    assert_intact(&sessions, &bystander).await;
}

each_database! {
    a_nul_in_data_is_stored_or_refused_in_words,
    json_that_no_value_can_hold_is_refused_before_it_is_written,
    five_megabytes_of_data_come_back_whole,
    deeply_nested_data_is_stored_whole_or_refused_as_data,
}

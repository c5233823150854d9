//! What the original does and this library does too: the lines of "Kept" in `golden/README.md`, in their
//! order.

use std::time::Duration;

use cloakroom::{
    ConfigError, DynamicFields, DynamicValue, ErrorKind, Hashing, NewSession, SessionFields, SessionTable,
    Sessions, Status, Token, TokenError,
};
use cloakroom_testing::{ApiKey, Kind, Role, START, TestDatabase, UserSession, each_mode, user};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::rows;

const DAY: Duration = Duration::from_hours(24);
const TICK: Duration = Duration::from_micros(1);

const DIGESTS: &str = "SELECT auth_token_digest FROM sessions";

/// From the golden vectors: SHA-256 of this token under the salt `super-secret`, and under none.
const TOKEN: &str = "Q0_x-7ZkAbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_aBcDeFgHiJkLmNoP9z";
const VECTORS: &str = include_str!("../../golden/vectors.json");

fn golden_digest(algorithm: &str, salt: Option<&str>) -> String {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let wanted = |vector: &&Value| {
        vector["algorithm"] == algorithm && vector["salt"] == json!(salt) && vector["token"] == TOKEN
    };
    let vector = vectors["digests"].as_array().unwrap().iter().find(wanted).unwrap();
    vector["digest"].as_str().unwrap().to_owned()
}

async fn the_digest_is_the_lower_case_hex_of_the_salted_hash(db: TestDatabase) {
    let salted = db.sessions_with::<UserSession>(db.config().secret_salt("super-secret")).await;
    let created = salted.create(user("1").import_token(Token::import(TOKEN).unwrap())).await.unwrap();
    let digest = golden_digest("sha256", Some("super-secret"));
    assert_eq!(db.texts(DIGESTS).await, [Some(digest.clone())]);
    assert!(digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(salted.authenticate(TOKEN).await.unwrap(), Some(created.session));
    let unsalted = db.sessions::<UserSession>().await;
    assert_eq!(unsalted.authenticate(TOKEN).await.unwrap(), None);
}

/// To the original an empty salt is none; a table that it made so is read without one.
async fn a_salt_is_refused_without_hashing_and_an_empty_one_in_any_case(db: TestDatabase) {
    assert_eq!(db.config().secret_salt("").build().unwrap_err(), ConfigError::EmptySalt);
    let sessions = db.sessions::<UserSession>().await;
    sessions.create(user("1").import_token(Token::import(TOKEN).unwrap())).await.unwrap();
    assert_eq!(db.texts(DIGESTS).await, [Some(golden_digest("sha256", None))]);
    for salt in ["", "super-secret"] {
        let config = db.config().hashing(Hashing::DangerousPlaintext).secret_salt(salt);
        assert_eq!(config.build().unwrap_err(), ConfigError::SaltWithoutHashing);
    }
}

async fn a_token_may_be_any_bytes(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap().session;
    for bytes in [&b"\xff\xfe\x00\xc3("[..], b"\0", b" ", b"'; DROP TABLE sessions; --", "🔑".as_bytes()] {
        assert_eq!(sessions.authenticate(bytes).await.unwrap(), None);
        let digest = sessions.config().digest(bytes).unwrap();
        db.execute(&format!("UPDATE sessions SET auth_token_digest = '{}'", digest.expose())).await;
        assert_eq!(sessions.authenticate(bytes).await.unwrap(), Some(created.clone()), "{bytes:?}");
        assert!(sessions.query().token(bytes).exists().await.unwrap());
    }
}

async fn a_token_has_the_configured_length_and_only_url_safe_characters(db: TestDatabase) {
    for length in [22, 23, 64, 255] {
        let sessions = db.sessions_with::<UserSession>(db.config().token_length(length)).await;
        let created = sessions.create(user("1")).await.unwrap();
        let token = created.token.expose();
        assert_eq!(token.len(), length);
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        assert_eq!(sessions.authenticate(token).await.unwrap(), Some(created.session));
    }
    // Six bits each: no fewer than 128.
    let refused = db.config().token_length(21).build().unwrap_err();
    assert!(refused.to_string().contains("at least 22"), "{refused}");
    assert!(matches!(Token::generate(21), Err(TokenError::TooShort { least: 22, .. })));
}

async fn a_session_is_valid_without_expiry_or_before_it_and_expired_from_that_instant_on(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let never = sessions.create(user("never").never_expires()).await.unwrap();
    let later = sessions.create(user("later").expires_at(START + TICK)).await.unwrap();
    let now = sessions.create(user("now").expires_at(START)).await.unwrap();
    let before = sessions.create(user("before").expires_at(START - TICK)).await.unwrap();
    for (created, is_valid) in [(&never, true), (&later, true), (&now, false), (&before, false)] {
        assert_eq!(created.session.is_valid(START), is_valid, "{created:?}");
        let status = if is_valid { Status::Valid } else { Status::Expired };
        assert_eq!(created.session.status(START), status);
        assert_eq!(sessions.authenticate(&created.token).await.unwrap().is_some(), is_valid);
        for asked in [Status::Valid, Status::Expired, Status::All] {
            let is_found = sessions.query().id(created.session.id).status(asked).exists().await.unwrap();
            assert_eq!(is_found, asked == status || asked == Status::All, "{created:?} {asked}");
        }
    }
    // The default asks for the valid ones.
    assert_eq!(sessions.query().count().await.unwrap(), 2);
}

async fn sessions_are_listed_newest_first(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for user_id in ["oldest", "middle", "newest"] {
        sessions.create(user(user_id)).await.unwrap();
        db.clock().advance(TICK);
    }
    let listed = sessions.query().fetch_all().await.unwrap();
    let users: Vec<&str> = listed.iter().map(|session| session.fields.user_id.as_str()).collect();
    assert_eq!(users, ["newest", "middle", "oldest"]);
}

/// The original's column compares as PostgreSQL does; MariaDB's default would take all of these for equal.
async fn text_is_equal_only_to_the_letter_and_the_last_space(db: TestDatabase) {
    const NAMES: [&str; 12] = [
        "bob",
        "Bob",
        "BOB",
        "bob ",
        " bob",
        "bob\t",
        "bób",
        "bo\u{301}b",
        "straße",
        "strasse",
        "ｂｏｂ",
        "🔑",
    ];
    let sessions = db.sessions::<UserSession>().await;
    for name in NAMES {
        sessions.create(user(name)).await.unwrap();
    }
    let users = async |filter| {
        let found = sessions.query().filter(filter).fetch_all().await.unwrap();
        found.into_iter().map(|session| session.into_row().fields.user_id).collect::<Vec<_>>()
    };
    for name in NAMES {
        assert_eq!(users(UserSession::USER_ID.eq(name)).await, [name]);
        assert_eq!(users(UserSession::USER_ID.is_in([name])).await, [name]);
        assert_eq!(users(UserSession::USER_ID.ne(name)).await.len(), NAMES.len() - 1);
        let definition = UserSession::definition();
        let dynamic = Sessions::<DynamicFields>::with_definition(
            db.database(),
            definition.clone(),
            sessions.config().clone(),
        );
        let filter = DynamicFields::equals(&definition, "user_id", &DynamicValue::Text(name.into()));
        assert_eq!(dynamic.unwrap().query().filter(filter).count().await.unwrap(), 1, "{name:?}");
    }
    assert_eq!(users(UserSession::USER_ID.eq("bob  ")).await, [""; 0]);
    assert_eq!(users(UserSession::USER_ID.eq("Straße")).await, [""; 0]);
    assert_eq!(sessions.query().filter(UserSession::USER_ID.eq("Bob")).expire_all().await.unwrap(), 1);
    assert_eq!(sessions.query().filter(UserSession::USER_ID.eq("bob ")).delete_all().await.unwrap(), 1);
    assert_eq!(users(UserSession::USER_ID.eq("bob")).await, ["bob"]);
}

/// Where tokens are not hashed, the digest's column is compared like any other text.
async fn a_plaintext_token_is_equal_only_to_the_letter_and_the_last_space(db: TestDatabase) {
    let config = db.config().hashing(Hashing::DangerousPlaintext);
    let sessions = db.sessions_with::<UserSession>(config).await;
    let token = Token::import("an-imported-token").unwrap();
    sessions.create(user("1").import_token(token)).await.unwrap();
    for other in ["An-imported-token", "an-imported-token ", "an-imported-token\0", "án-imported-token"] {
        assert_eq!(sessions.authenticate(other).await.unwrap(), None, "{other:?}");
        assert_eq!(sessions.query().token(other).fetch_optional().await.unwrap(), None, "{other:?}");
        assert_eq!(sessions.query().token(other).expire_all().await.unwrap(), 0, "{other:?}");
    }
    assert!(sessions.authenticate("an-imported-token").await.unwrap().is_some());
}

/// With a typed column it does not compile; what compiles says null by name.
async fn comparing_with_null_is_an_error_and_not_no_rows(db: TestDatabase) {
    let keys = db.sessions::<ApiKey>().await;
    let key = ApiKey { user_id: "1".into(), role: Role::Reader, quota: None };
    keys.create(NewSession::new(key)).await.unwrap();
    assert_eq!(keys.query().filter(ApiKey::QUOTA.is_null()).count().await.unwrap(), 1);

    let definition = ApiKey::definition();
    let config = keys.config().clone();
    let dynamic = Sessions::<DynamicFields>::with_definition(db.database(), definition.clone(), config);
    let dynamic = dynamic.unwrap();
    for name in ["quota", "user_id", "expires_at"] {
        let filter = || DynamicFields::equals(&definition, name, &DynamicValue::Null);
        for error in [
            dynamic.query().filter(filter()).fetch_all().await.unwrap_err(),
            dynamic.query().filter(filter()).count().await.unwrap_err(),
            dynamic.query().filter(filter()).delete_all().await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
    assert_eq!(keys.query().count().await.unwrap(), 1);
}

async fn data_compares_as_a_whole(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let data = json!({"device": {"os": "iOS", "version": [17, 2]}, "theme": "dark"});
    sessions.create(user("1").data(data.clone())).await.unwrap();
    let count = async |data: Value| sessions.query().data(data).count().await.unwrap();
    assert_eq!(count(data).await, 1);
    assert_eq!(count(json!({"theme": "dark", "device": {"version": [17, 2], "os": "iOS"}})).await, 1);
    for other in [
        json!({"theme": "dark"}),
        json!({}),
        json!({"device": {"os": "iOS", "version": [2, 17]}, "theme": "dark"}),
        json!({"device": {"os": "ios", "version": [17, 2]}, "theme": "dark"}),
        json!({"device": {"os": "iOS", "version": [17, 2]}, "theme": "dark", "more": null}),
    ] {
        assert_eq!(count(other.clone()).await, 0, "{other}");
    }
}

async fn a_blank_required_field_is_an_error_that_names_it(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for blank in ["", " ", "\t\r\n ", "\u{a0}\u{3000}"] {
        let error = sessions.create(user(blank)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidField);
        assert_eq!(error.to_string(), "user_id can't be blank");
    }
    let mut session = sessions.create(user("1")).await.unwrap().session;
    session.fields.user_id = " ".into();
    let error = sessions.update(&mut session).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::InvalidField, "user_id can't be blank")
    );
    sessions.reload(&mut session).await.unwrap();
    assert_eq!(session.fields.user_id, "1");
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 1);
}

/// A struct cannot leave a field out; a table known only at run time can.
async fn a_missing_required_field_is_an_error_that_names_it(db: TestDatabase) {
    let keys = db.sessions::<ApiKey>().await;
    let definition = DynamicFields::definition_from(&db.database(), None, "api_keys").await.unwrap().unwrap();
    let config = keys.config().clone();
    let dynamic = Sessions::with_definition(db.database(), definition.clone(), config).unwrap();
    let mut fields = DynamicFields::new(&definition, keys.backend());
    fields.set("user_id", DynamicValue::Text("1".into())).unwrap();
    let error = dynamic.create(NewSession::new(fields.clone())).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::InvalidField, "role can't be blank"));
    assert_eq!(keys.query().count().await.unwrap(), 0);
    // The limit alone may be missing.
    fields.set("role", DynamicValue::Text("reader".into())).unwrap();
    dynamic.create(NewSession::new(fields)).await.unwrap();
    assert_eq!(keys.query().fetch_one().await.unwrap().fields.quota, None);
}

async fn surrounding_white_space_is_kept(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let padded = "\n  a user\t ";
    let created = sessions.create(user(padded).data(json!({" key ": " value\n"}))).await.unwrap();
    let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read.fields.user_id, padded);
    assert_eq!(read.data, json!({" key ": " value\n"}));
    assert_eq!(db.texts("SELECT user_id FROM sessions").await, [Some(padded.to_owned())]);
}

async fn several_matches_for_one_are_an_error_and_none_for_one_that_must_exist(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let both = || sessions.query().filter(UserSession::USER_ID.eq("1"));
    assert_eq!(both().fetch_one().await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(both().fetch_optional().await.unwrap(), None);
    let first = sessions.create(user("1")).await.unwrap().session;
    assert_eq!(both().fetch_one().await.unwrap(), first);
    sessions.create(user("1")).await.unwrap();
    assert_eq!(both().fetch_one().await.unwrap_err().kind(), ErrorKind::MultipleSessions);
    assert_eq!(both().fetch_optional().await.unwrap_err().kind(), ErrorKind::MultipleSessions);
}

async fn an_extension_writes_only_past_the_threshold(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    let mut session = created.session.clone();
    db.clock().advance(DAY);
    // It would gain a day exactly, and more than a day is asked for.
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session.clone()));
    assert!(!sessions.extend(&mut session).await.unwrap());
    assert_eq!(session, created.session);
    sessions.reload(&mut session).await.unwrap();
    assert_eq!(session, created.session, "updated_at moved, or something was written");

    db.clock().advance(TICK);
    assert!(sessions.extend(&mut session).await.unwrap());
    let now = START + DAY + TICK;
    assert_eq!((session.expires_at, session.updated_at), (Some(now + 7 * DAY), now));
    assert_eq!(session.inserted_at, START);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(session.clone()));
    assert!(!sessions.extend(&mut session).await.unwrap());
    assert_eq!(session.updated_at, now);
}

/// As JSON text. PostgreSQL normalises white space, the order of keys and the exponent of numbers.
const ANY_DATA: [&str; 10] = [
    "{}",
    "[]",
    "null",
    "true",
    r#""text""#,
    "123456789012345678901234567890",
    r#"{"huge":123456789012345678901234567890,"exp":100000000000000000000,"tiny":0.00000010,"one":1.0,"n":1}"#,
    r#"{"":"","a":{"b":{"c":[[],{},[null,false]]}},"n":1}"#,
    r#"{"control":"a\nb\tc\u0001\u001f\u007f\\\"/","n":1}"#,
    r#"{"family":"👩‍👩‍👧","n":1,"separators":"\u2028\u2029","ключ":"日本"}"#,
];

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

async fn data_may_be_any_json_and_is_never_written_in_a_poorer_form(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for text in ANY_DATA {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        let created = sessions.create(user("1").raw_data(&raw)).await.unwrap();
        assert_eq!(created.session.data, parsed(text));
        let stored = format!("SELECT {} FROM sessions", data_as_text(db.kind()));
        let before = db.texts(&stored).await;

        // An extension and an update of another field leave the text as it is.
        db.clock().advance(2 * DAY);
        let mut session = sessions.authenticate(&created.token).await.unwrap().unwrap();
        assert_ne!(session.expires_at, created.session.expires_at);
        assert_eq!(session.data, parsed(text), "{text}");
        session.fields.user_id = "2".into();
        sessions.update(&mut session).await.unwrap();
        assert_eq!(db.texts(&stored).await, before);
        assert_eq!(Some(session.stored_data()), before[0].as_deref());

        // An update of one key leaves the text of every other.
        if session.data.get("n").is_some() {
            session.data["n"] = json!(2);
            sessions.update(&mut session).await.unwrap();
            let after = db.texts(&stored).await[0].clone().unwrap();
            let number = |text: &str, n: u8| {
                text.replace(&format!("\"n\":{n}"), "").replace(&format!("\"n\": {n}"), "")
            };
            assert_eq!(number(&after, 2), number(before[0].as_deref().unwrap(), 1));
            assert_eq!(sessions.authenticate(&created.token).await.unwrap().unwrap().data["n"], 2);
        }
        if text.contains("huge") {
            let text = db.texts(&stored).await[0].clone().unwrap();
            for digits in ["123456789012345678901234567890", "100000000000000000000", "0.00000010", "1.0"] {
                assert!(text.contains(digits), "{text} lacks {digits}");
            }
        }
        assert!(sessions.delete(session).await.unwrap());
    }
}

fn data_as_text(kind: Kind) -> &'static str {
    if kind == Kind::Postgres { "data::text" } else { "data" }
}

/// Written by others: text of another form than this library's own.
async fn data_that_others_wrote_is_kept_to_the_letter(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    let theirs = r#"{ "z": 1E20, "huge": 123456789012345678901234567890, "a": [ 1.50, -0.0 ] }"#;
    db.execute(&format!("UPDATE sessions SET data = '{theirs}'")).await;
    let stored = format!("SELECT {} FROM sessions", data_as_text(db.kind()));
    let before = db.texts(&stored).await;
    if db.kind() != Kind::Postgres {
        assert_eq!(before, [Some(theirs.to_owned())]);
    }
    db.clock().advance(2 * DAY);
    let mut session = sessions.authenticate(&created.token).await.unwrap().unwrap();
    session.fields.user_id = "2".into();
    sessions.update(&mut session).await.unwrap();
    assert_eq!(db.texts(&stored).await, before);
    session.data["new"] = json!(true);
    sessions.update(&mut session).await.unwrap();
    let after = db.texts(&stored).await[0].clone().unwrap();
    let digits = if db.kind() == Kind::Postgres { "100000000000000000000" } else { "1E20" };
    for kept in [digits, "123456789012345678901234567890", "1.50"] {
        assert!(after.contains(kept), "{after} lacks {kept}");
    }
}

/// As v0.3.0 of the original does.
async fn without_auto_extend_reading_never_extends(db: TestDatabase) {
    let sessions = db.sessions_with::<UserSession>(db.config().auto_extend(false)).await;
    let created = sessions.create(user("1")).await.unwrap();
    db.clock().advance(6 * DAY);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session.clone()));
    assert_eq!(sessions.query().fetch_optional().await.unwrap(), Some(created.session.clone()));
    assert_eq!(sessions.query().fetch_one().await.unwrap(), created.session);
    let unchanged = format!(
        "SELECT 'unchanged' FROM sessions WHERE expires_at = {} AND updated_at = {}",
        rows::instant(db.kind(), START + 7 * DAY),
        rows::instant(db.kind(), START)
    );
    assert_eq!(db.texts(&unchanged).await.len(), 1);
    // Asked for, it does.
    let mut session = created.session;
    assert!(sessions.extend(&mut session).await.unwrap());
    assert_eq!(session.expires_at, Some(START + 13 * DAY));
}

/// The names of the built-in columns are the original's.
async fn the_built_in_columns_have_the_originals_names(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    sessions.create(user("1")).await.unwrap();
    let columns = "SELECT user_id FROM sessions WHERE id IS NOT NULL AND auth_token_digest IS NOT NULL \
         AND data IS NOT NULL AND expires_at > inserted_at AND inserted_at = updated_at";
    assert_eq!(db.texts(columns).await, [Some("1".to_owned())]);
    let names = [UserSession::ID.name(), UserSession::EXPIRES_AT.name(), UserSession::INSERTED_AT.name()];
    assert_eq!(names, ["id", "expires_at", "inserted_at"]);
}

each_mode! {
    the_digest_is_the_lower_case_hex_of_the_salted_hash,
    a_salt_is_refused_without_hashing_and_an_empty_one_in_any_case,
    a_token_may_be_any_bytes,
    a_token_has_the_configured_length_and_only_url_safe_characters,
    a_session_is_valid_without_expiry_or_before_it_and_expired_from_that_instant_on,
    sessions_are_listed_newest_first,
    text_is_equal_only_to_the_letter_and_the_last_space,
    a_plaintext_token_is_equal_only_to_the_letter_and_the_last_space,
    comparing_with_null_is_an_error_and_not_no_rows,
    data_compares_as_a_whole,
    a_blank_required_field_is_an_error_that_names_it,
    a_missing_required_field_is_an_error_that_names_it,
    surrounding_white_space_is_kept,
    several_matches_for_one_are_an_error_and_none_for_one_that_must_exist,
    an_extension_writes_only_past_the_threshold,
    data_may_be_any_json_and_is_never_written_in_a_poorer_form,
    data_that_others_wrote_is_kept_to_the_letter,
    without_auto_extend_reading_never_extends,
    the_built_in_columns_have_the_originals_names,
}

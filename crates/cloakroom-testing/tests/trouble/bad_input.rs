use cloakroom::{Error, ErrorKind, Hashing, NewSession, SessionTable, Sessions, Status, Token};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_database, user};

const TEN_MEGABYTES: usize = 10_000_000;

/// Text that has meaning in SQL, in LIKE, in the drivers' placeholders, or inside the library.
const LADEN: [&str; 14] = [
    "' OR '1'='1",
    "'; DROP TABLE sessions; --",
    "\"; DROP TABLE sessions; --",
    "`; DROP TABLE sessions; #",
    "\\'; DELETE FROM sessions; --",
    "1234\\",
    "1234' --",
    "%",
    "_234",
    "?",
    "$1",
    ":user_id",
    "/* 1234 */",
    "$$1234$$",
];

/// What a client may present as a token and no session has.
fn nobodys_tokens() -> Vec<Vec<u8>> {
    let mut tokens: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![b'a'; TEN_MEGABYTES],
        vec![0xff; TEN_MEGABYTES],
        vec![b'a'; cloakroom::MAX_TOKEN_LENGTH],
        [0xff, 0xfe].repeat(32),
        vec![0xc3; 64],
        vec![0; 64],
        b"nul\0in the middle of a token of some length".to_vec(),
        b"\0cloakroom:0".to_vec(),
        "é".repeat(32).into_bytes(),
        "😀".repeat(16).into_bytes(),
        "é".repeat(200).into_bytes(),
        b" ".to_vec(),
        b"\n\r\t\x1b[31m".to_vec(),
    ];
    for text in LADEN {
        tokens.push(text.into());
        tokens.push(format!("{text:x<64}").into_bytes());
    }
    tokens
}

async fn assert_nobodys(sessions: &Sessions<UserSession>, token: &[u8]) {
    let shown = String::from_utf8_lossy(&token[..token.len().min(80)]);
    let query = || sessions.query().status(Status::All).token(token);
    assert_eq!(sessions.authenticate(token).await.unwrap(), None, "{shown:?}");
    assert_eq!(query().fetch_optional().await.unwrap(), None, "{shown:?}");
    assert_eq!(query().count().await.unwrap(), 0, "{shown:?}");
    assert!(!query().exists().await.unwrap(), "{shown:?}");
    assert_eq!(query().expire_all().await.unwrap(), 0, "{shown:?}");
    assert_eq!(query().delete_all().await.unwrap(), 0, "{shown:?}");
}

async fn whatever_a_client_presents_is_at_worst_nobodys_token(db: TestDatabase) {
    for hashing in [Hashing::Sha256, Hashing::DangerousPlaintext] {
        let sessions = db.sessions_with::<UserSession>(db.config().hashing(hashing)).await;
        let created = sessions.create(user("1234")).await.unwrap();
        for token in nobodys_tokens() {
            assert_nobodys(&sessions, &token).await;
        }
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
    }
    assert_eq!(db.sessions::<UserSession>().await.query().count().await.unwrap(), 2);
}

async fn what_resembles_a_token_is_not_that_token(db: TestDatabase) {
    for (hashing, is_adopted) in
        [(Hashing::Sha256, false), (Hashing::DangerousPlaintext, false), (Hashing::DangerousPlaintext, true)]
    {
        let sessions = db.sessions_with::<UserSession>(db.config().hashing(hashing)).await;
        if is_adopted && db.kind() == Kind::MariaDb {
            // As somebody else may have made the table: it compares like this by default.
            db.execute("ALTER TABLE sessions MODIFY auth_token_digest varchar(255) COLLATE utf8mb4_general_ci NOT NULL")
                .await;
        }
        let created = sessions.create(user("1234")).await.unwrap();
        let token = created.token.expose();
        let swapped: String = token
            .chars()
            .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect();
        for resembling in [
            swapped,
            format!("{token} "),
            format!(" {token}"),
            format!("{token}\0"),
            format!("{token}\n"),
            token[..63].to_owned(),
            format!("{token}{token}"),
        ] {
            assert_nobodys(&sessions, resembling.as_bytes()).await;
        }
        assert!(sessions.authenticate(token).await.unwrap().is_some());
    }
}

async fn an_imported_token_that_the_column_cannot_hold_is_an_error_that_says_so(db: TestDatabase) {
    let sessions = db.sessions_with::<UserSession>(db.config().hashing(Hashing::DangerousPlaintext)).await;
    let import = |text: String| user("1234").import_token(Token::import(text).unwrap());
    let mut stored = 0;
    // Too long for varchar(255), beyond ASCII, a NUL, and the form of a digest.
    for text in ["a-token-".repeat(40), "é-token".repeat(4), "a\0token".repeat(4), "c0ffee00".repeat(8)] {
        match sessions.create(import(text.clone())).await {
            Ok(created) => {
                stored += 1;
                assert_eq!(sessions.authenticate(&text).await.unwrap(), Some(created.session));
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
                assert!(!format!("{error:?}").contains(&text), "{error:?}");
                assert_eq!(sessions.authenticate(&text).await.unwrap(), None);
            }
        }
    }
    let expected = match db.kind() {
        Kind::Sqlite => 2,
        Kind::Postgres => 1,
        Kind::MariaDb => 0,
    };
    assert_eq!(stored, expected);
}

/// Columns that hold what text cannot.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "notes")]
struct Note {
    title: Option<String>,
    body: Vec<u8>,
    number: i64,
}

fn note(title: &str, body: &[u8]) -> NewSession<Note> {
    NewSession::new(Note { title: Some(title.to_owned()), body: body.to_owned(), number: 1 })
}

async fn text_that_is_laden_with_sql_is_stored_and_found_to_the_letter(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let bystander = sessions.create(user("1234")).await.unwrap().session;
    for text in LADEN {
        let created = sessions.create(user(text).data(serde_json::json!({ text: text }))).await.unwrap();
        assert_eq!(sessions.authenticate(&created.token).await.unwrap().as_ref(), Some(&created.session));
        for filter in [
            UserSession::USER_ID.eq(text),
            UserSession::USER_ID.is_in([text]),
            UserSession::USER_ID.ge(text).and(UserSession::USER_ID.le(text)),
        ] {
            let found = sessions.query().filter(filter).fetch_all().await.unwrap();
            assert_eq!(found, std::slice::from_ref(&created.session), "{text}");
        }
        let by_data = sessions.query().data(serde_json::json!({ text: text })).fetch_all().await.unwrap();
        assert_eq!(by_data, std::slice::from_ref(&created.session), "{text}");
        let mut session = created.session;
        session.fields.user_id = format!("{text}{text}");
        sessions.update(&mut session).await.unwrap();
        let owners = [session.fields.user_id.clone(), "nobody".to_owned()];
        let by_owner = sessions.query().has_many(UserSession::USER_ID, owners).await.unwrap();
        assert_eq!(by_owner.len(), 1, "{text}");
        let doomed = sessions.query().filter(UserSession::USER_ID.eq(session.fields.user_id.as_str()));
        assert_eq!(doomed.delete_all().await.unwrap(), 1, "{text}");
    }
    assert_eq!(sessions.query().status(Status::All).fetch_all().await.unwrap(), [bystander]);
}

async fn a_blank_required_text_is_an_error_that_names_the_field(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut session = sessions.create(user("1234")).await.unwrap().session;
    for blank in ["", " ", "\t\n", "\u{a0}\u{2003}"] {
        let error = sessions.create(user(blank)).await.unwrap_err();
        assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::InvalidField, "user_id can't be blank"));
        blank.clone_into(&mut session.fields.user_id);
        let error = sessions.update(&mut session).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidField, "{error}");
    }
    sessions.reload(&mut session).await.unwrap();
    assert_eq!(session.fields.user_id, "1234");
    assert_eq!(sessions.query().count().await.unwrap(), 1);
}

async fn text_of_ten_megabytes_is_stored_whole_or_refused(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let endless = "x".repeat(TEN_MEGABYTES);
    match sessions.create(user(&endless)).await {
        Ok(created) => {
            assert_eq!(db.kind(), Kind::Sqlite);
            let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
            assert!(read.fields.user_id == endless);
        }
        Err(error) => {
            assert_ne!(db.kind(), Kind::Sqlite);
            assert_too_long(&error);
        }
    }
    let found = sessions.query().filter(UserSession::USER_ID.eq(endless.as_str())).count().await.unwrap();
    assert_eq!(found, u64::from(db.kind() == Kind::Sqlite));
}

async fn text_of_more_than_255_characters_is_refused_where_the_column_is_so_long(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    // Characters, not bytes.
    let fitting = "é".repeat(255);
    let mut session = sessions.create(user(&fitting)).await.unwrap().session;
    assert_eq!(sessions.query().fetch_one().await.unwrap().fields.user_id, fitting);
    let too_long = "é".repeat(256);
    session.fields.user_id.clone_from(&too_long);
    let results = [sessions.create(user(&too_long)).await.map(drop), sessions.update(&mut session).await];
    for result in results {
        match result {
            Ok(()) => assert_eq!(db.kind(), Kind::Sqlite),
            Err(error) => assert_too_long(&error),
        }
    }
}

fn assert_too_long(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
    assert!(error.to_string().contains("too long"), "{error}");
}

async fn a_nul_in_text_is_stored_or_refused(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let text = "12\u{0}34";
    let bystander = sessions.create(user("12")).await.unwrap().session;
    let found = sessions.query().filter(UserSession::USER_ID.eq(text)).fetch_all().await;
    if db.kind() == Kind::Postgres {
        for error in [sessions.create(user(text)).await.unwrap_err(), found.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
            assert!(error.to_string().contains("0x00"), "{error}");
        }
    } else {
        assert_eq!(found.unwrap(), []);
        let created = sessions.create(user(text)).await.unwrap();
        assert_eq!(created.session.fields.user_id, text);
        let found = sessions.query().filter(UserSession::USER_ID.eq(text)).fetch_all().await.unwrap();
        assert_eq!(found, [created.session]);
    }
    assert_eq!(sessions.query().id(bystander.id).fetch_one().await.unwrap(), bystander);
}

async fn bytes_of_every_value_come_back_as_they_went(db: TestDatabase) {
    let sessions = db.sessions::<Note>().await;
    let every_byte: Vec<u8> = (0..=255).cycle().take(60_000).collect();
    for body in [&[][..], b"\0", b"\xff\xfe", b"'; DROP TABLE notes; --", &every_byte] {
        let created = sessions.create(note("", body)).await.unwrap();
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
        assert_eq!(sessions.query().filter(Note::BODY.eq(body)).count().await.unwrap(), 1);
    }
}

async fn ten_megabytes_of_bytes_are_stored_whole_or_refused_by_the_columns_name(db: TestDatabase) {
    let sessions = db.sessions::<Note>().await;
    let body = vec![0xfe; TEN_MEGABYTES];
    match sessions.create(note("", &body)).await {
        Ok(created) => {
            let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
            assert!(read.fields.body == body);
        }
        Err(error) => {
            assert_eq!(db.kind(), Kind::MariaDb);
            assert_too_long(&error);
            assert!(error.to_string().contains("body"), "{error}");
        }
    }
}

async fn an_integer_beyond_the_columns_range_is_refused(db: TestDatabase) {
    let sessions = db.sessions::<Note>().await;
    match db.kind() {
        // An integer of SQLite has 64 bits, whatever the column is called.
        Kind::Sqlite => {}
        Kind::Postgres => db.execute("ALTER TABLE notes ALTER COLUMN number TYPE int4").await,
        Kind::MariaDb => db.execute("ALTER TABLE notes MODIFY number int NOT NULL").await,
    }
    let with_number = |number| {
        let new = Note { title: None, body: b"x".to_vec(), number };
        NewSession::new(new)
    };
    for number in [i64::MAX, i64::MIN, 1 << 31] {
        match sessions.create(with_number(number)).await {
            Ok(created) => {
                assert_eq!(db.kind(), Kind::Sqlite);
                assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
            }
            Err(error) => {
                assert_ne!(db.kind(), Kind::Sqlite);
                assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
                assert!(error.to_string().to_lowercase().contains("out of range"), "{error}");
            }
        }
    }
    if db.kind() != Kind::Sqlite {
        assert_eq!(sessions.query().count().await.unwrap(), 0);
        sessions.create(with_number((1 << 31) - 1)).await.unwrap();
    }
}

each_database! {
    whatever_a_client_presents_is_at_worst_nobodys_token,
    what_resembles_a_token_is_not_that_token,
    an_imported_token_that_the_column_cannot_hold_is_an_error_that_says_so,
    text_that_is_laden_with_sql_is_stored_and_found_to_the_letter,
    a_blank_required_text_is_an_error_that_names_the_field,
    text_of_ten_megabytes_is_stored_whole_or_refused,
    text_of_more_than_255_characters_is_refused_where_the_column_is_so_long,
    a_nul_in_text_is_stored_or_refused,
    bytes_of_every_value_come_back_as_they_went,
    ten_megabytes_of_bytes_are_stored_whole_or_refused_by_the_columns_name,
    an_integer_beyond_the_columns_range_is_refused,
}

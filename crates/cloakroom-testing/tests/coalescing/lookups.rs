use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloakroom::{ColumnType, DynamicFields, DynamicValue, FieldDefinition, NewSession, Session, Sessions};
use cloakroom::{TableDefinition, Token};
use cloakroom_testing::{Kind, TestDatabase, UserSession, coalesced, hold_connections, user};

use crate::statements::Watched;
use crate::{all, begin, pool};

const CONNECTIONS: u32 = 3;

/// How many statements are out at once, where nothing else is set.
pub(crate) const SLOTS: usize = 2;

async fn watched(db: &TestDatabase, max_batch: usize) -> (Watched<UserSession>, Vec<Token>) {
    let pool = pool::of(db, CONNECTIONS).await;
    let watched = Watched::on(db, pool, db.config().max_batch(max_batch)).await;
    let mut tokens = Vec::new();
    for n in 0..300 {
        tokens.push(watched.sessions.create(user(&n.to_string())).await.unwrap().token);
    }
    (watched, tokens)
}

/// How many statements it takes to answer so many callers who all ask before the first is answered.
async fn statements_for(callers: usize, watched: &Watched<UserSession>, tokens: &[Token]) -> usize {
    let statements = watched.statements(async {
        let held = hold_connections(watched.sessions.database()).await;
        let asked =
            (0..callers).map(|n| {
                let (sessions, token) = (watched.sessions.clone(), tokens[n % tokens.len()].clone());
                begin(async move {
                    sessions.authenticate(&token).await.unwrap().unwrap().into_row().fields.user_id
                })
            });
        let asked: Vec<_> = asked.collect();
        drop(held);
        for (n, user_id) in all(asked).await.into_iter().enumerate() {
            assert_eq!(user_id, (n % tokens.len()).to_string());
        }
    });
    statements.await.len()
}

async fn a_lone_caller_makes_one_statement(db: TestDatabase) {
    let (watched, tokens) = watched(&db, 256).await;
    let statements = watched.statements(watched.sessions.authenticate(&tokens[0])).await;
    assert_eq!(statements.len(), 1, "{statements:?}");
    assert!(!statements[0].contains(" IN ") && !statements[0].contains("ANY"), "{statements:?}");
}

async fn those_who_wait_go_in_few_statements(db: TestDatabase) {
    let (watched, tokens) = watched(&db, 256).await;
    assert_eq!(statements_for(20 + SLOTS, &watched, &tokens).await, SLOTS + 1);
    // Of more, each slot takes its share: 99, 50, 32 and 17 of 198. SQLite joins no more than 60, which makes
    // 60, 60, 39, 32 and 7.
    let more = if db.kind() == Kind::Sqlite { [5, 6] } else { [4, 4] };
    assert_eq!(statements_for(198 + SLOTS, &watched, &tokens).await, SLOTS + more[0]);
    assert_eq!(statements_for(256 + SLOTS, &watched, &tokens).await, SLOTS + more[1]);
}

async fn no_statement_takes_more_than_the_configured_number(db: TestDatabase) {
    let (watched, tokens) = watched(&db, 3).await;
    assert_eq!(statements_for(30 + SLOTS, &watched, &tokens).await, SLOTS + 10);
}

/// A row of SQLite's has no room for all who could be joined.
async fn a_table_of_many_columns_is_read_for_many_callers_too(db: TestDatabase) {
    let pool = pool::of(&db, CONNECTIONS).await;
    let fields = (0..70).map(|n| FieldDefinition::dynamic(format!("field_{n}"), ColumnType::Integer));
    let definition = fields.fold(TableDefinition::new(db.unique_name()), TableDefinition::field);
    let config = db.config().build().unwrap();
    let sessions = Sessions::<DynamicFields>::with_definition(pool, definition, config).unwrap();
    sessions.migrate().await.unwrap();
    let fields = |n: i64| {
        let mut fields = DynamicFields::new(sessions.definition(), sessions.backend());
        for field in 0..70 {
            fields.set(&format!("field_{field}"), DynamicValue::Integer(100 * n + field)).unwrap();
        }
        fields
    };
    let mut tokens = Vec::new();
    for n in 0..40 {
        tokens.push(sessions.create(NewSession::new(fields(n))).await.unwrap().token);
    }
    let held = hold_connections(sessions.database()).await;
    let asked = tokens.into_iter().map(|token| {
        let sessions = sessions.clone();
        begin(async move { sessions.authenticate(&token).await.unwrap().unwrap().into_row().fields })
    });
    let asked: Vec<_> = asked.collect();
    drop(held);
    for (n, found) in (0..).zip(all(asked).await) {
        for field in 0..70 {
            assert_eq!(found.get(&format!("field_{field}")), Some(&DynamicValue::Integer(100 * n + field)));
        }
    }
}

async fn a_batch_of_one_is_a_statement_for_each(db: TestDatabase) {
    let (watched, tokens) = watched(&db, 1).await;
    assert_eq!(statements_for(40, &watched, &tokens).await, 40);
}

/// What a caller presents, and who it is to that.
#[derive(Clone)]
struct Presented {
    bytes: Vec<u8>,
    truth: Option<Session<UserSession>>,
}

/// Tokens of all kinds, with what each stands for.
async fn presented(db: &TestDatabase, sessions: &Sessions<UserSession>) -> Vec<Presented> {
    let mut all = Vec::new();
    for n in 0..40 {
        let new = user(&format!("user-{n}"));
        let new = if n % 4 == 0 { new.expires_in(Duration::from_secs(1)) } else { new };
        let created = sessions.create(new).await.unwrap();
        let bytes = created.token.expose().as_bytes().to_vec();
        // What is almost a token is none.
        let mut other = bytes.clone();
        other[n] ^= 1;
        let longer = [&bytes[..], b" "].concat();
        let truth = (n % 4 != 0 && n % 5 != 0).then_some(created.session.clone());
        if n % 5 == 0 {
            sessions.expire(&mut created.session.clone()).await.unwrap();
        }
        all.push(Presented { bytes, truth });
        all.push(Presented { bytes: other, truth: None });
        all.push(Presented { bytes: longer, truth: None });
    }
    for malformed in [&b""[..], b"\0", b"\xff\xfe", b"' OR 1=1 --", b"{\"a\":[", &[b'x'; 5_000]] {
        all.push(Presented { bytes: malformed.to_vec(), truth: None });
    }
    db.clock().advance(Duration::from_secs(1));
    all
}

async fn each_caller_gets_its_own_answer(db: TestDatabase) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for max_batch in [2, 7, 64, 256] {
        let config = db.config().max_batch(max_batch).max_in_flight(1 + max_batch % 3);
        let sessions = db.sessions_with::<UserSession>(config).await;
        let presented = presented(&db, &sessions).await;
        let asked = (0..400).map(|_| {
            // A few of them are asked for by many.
            let range = if random(2) == 0 { 5 } else { presented.len() };
            let Presented { bytes, truth } = presented[random(range)].clone();
            let sessions = sessions.clone();
            tokio::spawn(async move { (sessions.authenticate(&bytes).await.unwrap(), truth) })
        });
        for (answer, truth) in all(asked.collect()).await {
            assert_eq!(answer, truth);
        }
    }
}

async fn a_pool_of_one_connection_is_enough(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    let config = db.config().build().unwrap();
    let sessions = Sessions::<UserSession>::new(pool::of(&db, 1).await, config).unwrap();
    let asked = (0..100).map(|n| {
        let sessions = sessions.clone();
        tokio::spawn(async move {
            let created = sessions.create(user(&n.to_string())).await.unwrap();
            assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session.clone()));
            created
        })
    });
    let created = all(asked.collect()).await;
    // Now each is due to be extended.
    db.clock().advance(Duration::from_hours(48));
    let asked = created.into_iter().map(|created| {
        let sessions = sessions.clone();
        tokio::spawn(async move { sessions.authenticate(&created.token).await.unwrap() })
    });
    assert!(all(asked.collect()).await.iter().all(Option::is_some));
    sessions.database().close().await;
}

/// Lookups without a pause keep their connection for a while, and not for good.
async fn lookups_leave_room_for_all_else_that_needs_the_pool(db: TestDatabase) {
    let config = db.config().build().unwrap();
    let token = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap().token;
    let pool = pool::with_patience(&db, 1, Duration::from_secs(3)).await;
    let sessions = Sessions::<UserSession>::new(pool, config).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let callers = (0..64).map(|_| {
        let (sessions, token, is_over) = (sessions.clone(), token.clone(), Arc::clone(&is_over));
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                sessions.authenticate(&token).await?;
            }
            cloakroom::Result::<()>::Ok(())
        })
    });
    let callers = callers.collect();
    for n in 0..5 {
        sessions.query().count().await.expect("a query of the application's finds a connection");
        sessions.create(user(&n.to_string())).await.expect("so does a new session");
    }
    is_over.store(true, Ordering::Relaxed);
    for caller in all(callers).await {
        caller.expect("and no lookup fails");
    }
    sessions.database().close().await;
}

coalesced! {
    lookups_leave_room_for_all_else_that_needs_the_pool,
    a_lone_caller_makes_one_statement,
    those_who_wait_go_in_few_statements,
    no_statement_takes_more_than_the_configured_number,
    a_table_of_many_columns_is_read_for_many_callers_too,
    a_batch_of_one_is_a_statement_for_each,
    each_caller_gets_its_own_answer,
    a_pool_of_one_connection_is_enough,
}

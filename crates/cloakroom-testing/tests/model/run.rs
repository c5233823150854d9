//! Runs one sequence on the database and on the model.

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use cloakroom::{
    ConfigBuilder, Cursor, Error, ErrorKind, Key, NewSession, PerOwner, Scheme, Session, SessionQuery,
    SessionTable, Sessions, Sliding, Status, Token,
};
use cloakroom_testing::{Kind, Mode, START, TestDatabase, at_once, hold_connections, until_kept};
use futures_util::TryStreamExt;

use crate::DAY;
use crate::naive::{Change, Expiry, Naive, Row, Seen, Settings, TokenChoice, Wanted};
use crate::operation::{Operation, Selection};
use crate::random::Random;

/// A user's sessions, of which there may be a limit.
#[derive(Clone, Debug, PartialEq, SessionTable)]
struct UserSession {
    #[session(index, owner)]
    user_id: String,
}

const OPERATIONS: usize = 60;

/// How many handles a sequence keeps: few, so that most are used again after they went out of date.
const HANDLES: usize = 8;

/// How often the whole table is compared.
const EVERY: usize = 4;

pub(crate) async fn sequences(
    db: &TestDatabase,
    settings: Settings,
    configure: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
) {
    let config = db
        .config()
        .ttl(settings.ttl)
        .extend_after(settings.extend_after)
        .auto_extend(settings.auto_extend)
        .max_lifetime(settings.max_lifetime);
    let config = configure(config);
    let seeds: Vec<u64> = if let Ok(seed) = env::var("CLOAKROOM_MODEL_SEED") {
        vec![seed.parse().expect("CLOAKROOM_MODEL_SEED is a number")]
    } else {
        let first = RandomState::new().hash_one(0);
        let count = if db.kind() == Kind::Sqlite { 40 } else { 5 };
        (0..count).map(|number| first.wrapping_add(number)).collect()
    };
    for seed in seeds {
        sequence(db, config.clone(), settings, seed).await;
    }
}

async fn sequence(db: &TestDatabase, config: ConfigBuilder, settings: Settings, seed: u64) {
    let mut random = Random::new(seed);
    let start = START + time::Duration::nanoseconds(i64::try_from(random.below(1_000)).unwrap());
    db.clock().set(start);
    // What a handle knows of the last sequence, such as until when it pruned, is in the future now.
    let key = |number| Scheme::hmac_sha256(format!("key-{number}"), &Key::from_bytes([number; 32]).unwrap());
    let (config, older) = if settings.has_older_scheme {
        (config.clone().digests([key(2), key(1)]), config.digests([key(1)]))
    } else {
        (config.clone(), config)
    };
    let limited = |sessions: Sessions<UserSession>| match settings.limit {
        Some(limit) => sessions.with_limit(PerOwner::at_most(limit as u64)).unwrap(),
        None => sessions,
    };
    let sessions = &limited(db.sessions_with(config).await);
    let older = &limited(db.sessions_with(older).await);
    if db.mode() == Mode::Listening {
        until_kept(sessions, NewSession::new(UserSession { user_id: "nobody".into() })).await;
    }
    db.execute("DELETE FROM sessions").await;
    let mut trace = Trace { seed, operations: Vec::new() };
    let mut player = Player {
        db,
        sessions,
        older,
        model: Naive::new(settings, start),
        handles: Vec::new(),
        tokens: Vec::new(),
        newest_id: uuid::Uuid::nil(),
    };
    for operation in kept_over_a_step(settings) {
        trace.operations.push(format!("{} {operation:?}", player.model.now));
        player.play(operation).await;
    }
    // Nothing would be tested of a cache that is empty by then.
    assert_eq!(player.compare_memory().await, usize::from(keeps(db)), "answers out of memory");
    for step in 0..OPERATIONS {
        let model = &player.model;
        let operation = Operation::draw(&mut random, model, player.handles.len(), player.tokens.len());
        trace.operations.push(format!("{} {operation:?}", model.now));
        player.play(operation).await;
        player.model.check();
        player.compare_memory().await;
        if step % EVERY == 0 {
            player.compare_tables().await;
        }
    }
    player.compare_tables().await;
    player.compare_tokens().await;
    for number in 0..player.tokens.len() {
        player.play(Operation::Authenticate(TokenChoice::Given(number))).await;
    }
    player.compare_memory().await;
    player.compare_schemes().await;
}

fn keeps(db: &TestDatabase) -> bool {
    matches!(db.mode(), Mode::Cached | Mode::Listening)
}

/// What every sequence begins with: a session that is read, and then time passes.
fn kept_over_a_step(settings: Settings) -> [Operation; 3] {
    [
        Operation::Create { user_id: "ann".to_owned(), data: None, expiry: Expiry::Default, is_older: false },
        Operation::Authenticate(TokenChoice::Given(0)),
        Operation::Step(first_step(settings)),
    ]
}

/// A step after which a new session has not expired, and its extension is not due.
fn first_step(settings: Settings) -> time::Duration {
    let gain = settings.extend_after.filter(|_| settings.auto_extend);
    let least = [settings.ttl, gain, settings.max_lifetime].into_iter().flatten().min();
    (least.unwrap_or(DAY) / 2).try_into().unwrap()
}

/// Says, when a test fails, what led there.
struct Trace {
    seed: u64,
    operations: Vec<String>,
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("CLOAKROOM_MODEL_SEED={} repeats this sequence:", self.seed);
            for (number, operation) in self.operations.iter().enumerate() {
                eprintln!("{number:3} {operation}");
            }
        }
    }
}

struct Player<'a> {
    db: &'a TestDatabase,
    sessions: &'a Sessions<UserSession>,
    /// The same table in a process that knows the older scheme alone.
    older: &'a Sessions<UserSession>,
    model: Naive,
    /// Sessions as some caller read them, and what the model says that it saw.
    handles: Vec<(Session<UserSession>, Seen)>,
    /// Every token that was ever given out.
    tokens: Vec<Token>,
    newest_id: uuid::Uuid,
}

impl Player<'_> {
    async fn play(&mut self, operation: Operation) {
        let sessions = self.sessions;
        match operation {
            Operation::Step(span) => {
                self.model.now += span;
                self.db.clock().advance(span);
            }
            Operation::Create { user_id, data, expiry, is_older } => {
                self.create(user_id, data, expiry, is_older).await;
            }
            Operation::Authenticate(choice) => {
                let found = sessions.authenticate(self.token(choice)).await.expect("a read");
                let expected = self.model.authenticate(choice);
                assert_eq!(found.as_ref().map(seen), expected);
                self.keep(found);
            }
            Operation::FetchOptional(selection) => {
                let found = self.query(&selection).fetch_optional().await;
                let expected = self.model.fetch_optional(&self.wanted(&selection));
                assert_eq!(kind(found.as_ref()).map(|found| found.as_ref().map(seen)), expected);
                self.keep(found.unwrap_or_default());
            }
            Operation::FetchOne(selection) => {
                let found = self.query(&selection).fetch_one().await;
                let expected = self.model.fetch_one(&self.wanted(&selection));
                assert_eq!(kind(found.as_ref()).map(seen), expected);
                self.keep(found.ok());
            }
            Operation::FetchAll(selection) => {
                let found = self.query(&selection).fetch_all().await.expect("a list");
                assert_eq!(all_seen(&found), self.model.list(&self.wanted(&selection)));
                self.keep(found.into_iter().next());
            }
            Operation::Stream(selection) => {
                let found: Vec<_> = self.query(&selection).stream().try_collect().await.expect("a list");
                assert_eq!(all_seen(&found), self.model.list(&self.wanted(&selection)));
            }
            Operation::Count(selection) => {
                let count = self.query(&selection).count().await.expect("a count");
                assert_eq!(as_usize(count), self.model.list(&self.wanted(&selection)).len());
            }
            Operation::Exists(selection) => {
                let exists = self.query(&selection).exists().await.expect("an answer");
                assert_eq!(exists, !self.model.list(&self.wanted(&selection)).is_empty());
            }
            Operation::ExpireAll(selection) => {
                let count = self.query(&selection).expire_all().await.expect("a count");
                let wanted = self.wanted(&selection);
                assert_eq!(as_usize(count), self.model.expire_all(&wanted));
            }
            Operation::DeleteAll(selection) => {
                let count = self.query(&selection).delete_all().await.expect("a count");
                let wanted = self.wanted(&selection);
                assert_eq!(as_usize(count), self.model.delete_all(&wanted));
            }
            Operation::DeleteExpired => {
                let count = sessions.delete_expired().await.expect("a count");
                assert_eq!(as_usize(count), self.model.delete_expired());
            }
            Operation::Copy { handle } => {
                let copy = self.handles[handle].0.clone();
                self.keep(Some(copy));
            }
            Operation::Delete { handle } => {
                let (session, seen) = self.handles.swap_remove(handle);
                let deleted = sessions.delete(session).await.expect("an answer");
                assert_eq!(deleted, self.model.delete(seen.id));
            }
            Operation::Update { handle, change } => {
                // What a refused update leaves in the caller's hands is the caller's own changes.
                let (session, seen) = &mut self.handles[handle];
                let mut changed = session.clone();
                apply(&change, &mut changed);
                let result = kind(sessions.update(&mut changed).await);
                if result.is_ok() {
                    *session = changed;
                }
                assert_eq!(result, self.model.update(seen, &change));
                self.compare(handle);
            }
            Operation::Reload { handle }
            | Operation::UpdateWith { handle, .. }
            | Operation::Extend { handle }
            | Operation::Expire { handle }
            | Operation::Rotate { handle } => {
                self.play_on(handle, operation).await;
                self.compare(handle);
            }
        }
    }

    /// The operations that write what they did into the handle.
    async fn play_on(&mut self, handle: usize, operation: Operation) {
        let (sessions, model) = (self.sessions, &mut self.model);
        let (session, seen) = &mut self.handles[handle];
        match operation {
            Operation::Reload { .. } => {
                assert_eq!(kind(sessions.reload(session).await), model.reload(seen));
            }
            Operation::UpdateWith { change, .. } => {
                let result = sessions.update_with(session, |session| apply(&change, session)).await;
                assert_eq!(kind(result), model.update_with(seen, &change));
            }
            Operation::Extend { .. } => {
                assert_eq!(kind(sessions.extend(session).await), model.extend(seen));
            }
            Operation::Expire { .. } => {
                assert_eq!(sessions.expire(session).await.expect("an answer"), model.expire(seen));
                assert!(!session.is_valid(model.now()), "an ended session says that it is valid");
            }
            Operation::Rotate { .. } => {
                let token = sessions.rotate(session).await;
                let expected = model.rotate(seen, self.tokens.len());
                assert_eq!(kind(token.as_ref()).map(drop), expected);
                self.tokens.extend(token);
            }
            other => unreachable!("{other:?} is not on a handle"),
        }
    }

    async fn create(
        &mut self,
        user_id: String,
        data: Option<serde_json::Value>,
        expiry: Expiry,
        is_older: bool,
    ) {
        let expected = self.model.create(&user_id, data.as_ref(), expiry);
        let mut new = NewSession::new(UserSession { user_id });
        if let Some(data) = data {
            new = new.data(data);
        }
        new = match expiry {
            Expiry::Default => new,
            Expiry::At(instant) => new.expires_at(instant),
            Expiry::In(span) => new.expires_in(span),
            Expiry::Sliding(span) => new.sliding(span),
            Expiry::Never => new.never_expires(),
        };
        let created = if is_older { self.older.create(new).await } else { self.sessions.create(new).await };
        let session =
            kind(created.as_ref()).map(|created| Seen { id: uuid::Uuid::nil(), ..seen(&created.session) });
        assert_eq!(session, expected);
        if let Ok(created) = created {
            assert!(created.session.id > self.newest_id, "ids are not in the order of creation");
            self.newest_id = created.session.id;
            self.model.make_room(&created.session.fields.user_id);
            self.model.rows.push(Row { seen: seen(&created.session), token: self.tokens.len(), is_older });
            self.tokens.push(created.token);
            self.keep(Some(created.session));
        }
    }

    fn keep(&mut self, session: Option<Session<UserSession>>) {
        let Some(session) = session else { return };
        let seen = seen(&session);
        if self.handles.len() == HANDLES {
            self.handles.remove(0);
        }
        self.handles.push((session, seen));
    }

    fn compare(&self, handle: usize) {
        let (session, expected) = &self.handles[handle];
        assert_eq!(seen(session), *expected, "what the caller holds");
    }

    async fn compare_tables(&self) {
        let rows =
            self.sessions.query().status(Status::All).oldest_first().fetch_all().await.expect("a list");
        let mut expected: Vec<_> = self.model.rows.iter().map(|row| row.seen.clone()).collect();
        expected.sort_by_key(|seen| (seen.inserted_at, seen.id));
        assert_eq!(all_seen(&rows), expected, "the whole table");
    }

    /// Each token stands for the session that has it now, and for no other.
    async fn compare_tokens(&self) {
        for (number, token) in self.tokens.iter().enumerate() {
            let found =
                self.sessions.query().status(Status::All).token(token).fetch_all().await.expect("a list");
            let expected: Vec<_> = self
                .model
                .rows
                .iter()
                .filter(|row| row.token == number)
                .map(|row| row.seen.clone())
                .collect();
            assert_eq!(all_seen(&found), expected, "the sessions of token {number}");
        }
    }

    async fn compare_schemes(&self) {
        if !self.model.settings.has_older_scheme {
            return;
        }
        let counts = self.sessions.count_by_scheme().await.expect("an answer");
        let older = self.model.rows.iter().filter(|row| row.is_older).count();
        let expected = [("key-2", self.model.rows.len() - older), ("key-1", older)];
        let found: Vec<_> = counts.iter().map(|count| (&*count.scheme, as_usize(count.count))).collect();
        assert_eq!(found, expected, "the rows under each key");
    }

    /// Whatever is answered without the database is what it would answer; how many sessions are.
    async fn compare_memory(&mut self) -> usize {
        let mut kept = 0;
        if !keeps(self.db) {
            return kept;
        }
        let _held = hold_connections(&self.db.database()).await;
        for (number, token) in self.tokens.iter().enumerate() {
            let Some(found) = at_once(self.sessions.authenticate(token)) else { continue };
            let found = found.expect("what is kept is no error");
            let expected = self.model.authenticate(TokenChoice::Given(number));
            assert_eq!(found.as_ref().map(seen), expected, "what is kept of token {number}");
            kept += usize::from(found.is_some());
        }
        kept
    }

    fn query(&self, selection: &Selection) -> SessionQuery<'static, UserSession> {
        let mut query = self.sessions.query().status(selection.status);
        if let Some(handle) = selection.id_of {
            query = query.id(self.handles[handle].0.id);
        }
        if let Some(choice) = selection.token {
            query = query.token(self.token(choice));
        }
        if let Some(user_id) = &selection.user_id {
            query = query.filter(UserSession::USER_ID.eq(&**user_id));
        }
        if let Some(data) = &selection.data {
            query = query.data(data.clone());
        }
        if selection.oldest_first {
            query = query.oldest_first();
        }
        if let Some(handle) = selection.after {
            let written = self.handles[handle].0.cursor().to_string();
            query = query.after(written.parse::<Cursor>().expect("a cursor is read as it is written"));
        }
        if let Some(limit) = selection.limit {
            query = query.limit(limit);
        }
        query
    }

    fn wanted(&self, selection: &Selection) -> Wanted {
        let of = |handle: usize| &self.handles[handle].1;
        Wanted {
            id: selection.id_of.map(|handle| of(handle).id),
            token: selection.token,
            user_id: selection.user_id.clone(),
            data: selection.data.clone(),
            status: selection.status,
            oldest_first: selection.oldest_first,
            after: selection.after.map(|handle| (of(handle).inserted_at, of(handle).id)),
            limit: selection.limit,
        }
    }

    fn token(&self, choice: TokenChoice) -> Vec<u8> {
        match choice {
            TokenChoice::Given(number) => self.tokens[number].expose().into(),
            TokenChoice::Unknown(bytes) => bytes.into(),
        }
    }
}

fn apply(change: &Change, session: &mut Session<UserSession>) {
    let mut changed = seen(session);
    change.apply(&mut changed);
    session.fields.user_id = changed.user_id;
    *session.data = changed.data;
    session.expires_at = changed.expires_at;
}

fn seen(session: &Session<UserSession>) -> Seen {
    Seen {
        id: session.id,
        user_id: session.fields.user_id.clone(),
        data: session.data.clone(),
        expires_at: session.expires_at,
        inserted_at: session.inserted_at,
        updated_at: session.updated_at,
        span: match session.sliding() {
            Sliding::AsConfigured => None,
            Sliding::Fixed => Some(Duration::ZERO),
            Sliding::By(span) => Some(span),
        },
    }
}

fn all_seen(sessions: &[Session<UserSession>]) -> Vec<Seen> {
    sessions.iter().map(seen).collect()
}

fn kind<T>(result: Result<T, impl std::borrow::Borrow<Error>>) -> Result<T, ErrorKind> {
    result.map_err(|error| error.borrow().kind())
}

fn as_usize(count: u64) -> usize {
    usize::try_from(count).expect("a small number")
}

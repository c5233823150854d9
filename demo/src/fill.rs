//! A thousand example users: their devices and keys of the last weeks, created on a clock of their own.

use std::error::Error;
use std::sync::Arc;

use cloakroom::{
    Clock, Config, ConfigError, ManualClock, NewSession, Scopes, Session, SessionTable, Sessions,
};
use time::{Duration, OffsetDateTime};

use crate::app::{App, TTL};
use crate::pages::login::REMEMBERED;
use crate::tables::{ApiKey, Permission, UserSession};

/// The password of every example user.
pub const PASSWORD: &str = "cloakroom";

/// Each first name with each last name: a thousand users.
const FIRST_NAMES: [&str; 40] = [
    "ada", "aiko", "amir", "anna", "ben", "bruno", "chen", "clara", "dana", "elias", "emma", "farah",
    "felix", "grace", "hana", "hugo", "ines", "ivan", "jonas", "julia", "kofi", "lea", "leo", "lina",
    "marco", "maya", "mei", "mila", "nils", "nora", "omar", "oscar", "priya", "rosa", "samir", "sofia",
    "tariq", "tom", "vera", "yuki",
];
const LAST_NAMES: [&str; 25] = [
    "abel", "bauer", "costa", "diaz", "evans", "fischer", "garcia", "haas", "ito", "jensen", "khan", "lopez",
    "meyer", "nowak", "okafor", "patel", "quinn", "rossi", "silva", "tanaka", "ueda", "vogel", "weber",
    "yang", "ziegler",
];

const USER_AGENTS: [&str; 8] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
];

const KEY_NAMES: [&str; 6] = ["backup", "ci", "dashboard", "home server", "phone widget", "spreadsheet"];

/// How far back the example data goes.
const PAST: Duration = Duration::days(45);

const KEY_LIFE: std::time::Duration = std::time::Duration::from_hours(14 * 24);

/// An event, and its user or device.
#[derive(Clone, Copy)]
enum Event {
    LogIn { user: usize, device: usize },
    Return { device: usize },
    LogOut { device: usize },
    MakeKey { user: usize },
}

/// Fills the database in one transaction, unless that was done before.
pub async fn fill(app: &App) -> Result<(), Box<dyn Error + Send + Sync>> {
    // One hash for all users: a thousand would take a minute.
    let hash = app.passwords.hash(PASSWORD.to_owned()).await?;
    let mut users = Vec::new();
    for first in FIRST_NAMES {
        for last in LAST_NAMES {
            let Some(user) = app.users.create(&format!("{first}.{last}"), &hash).await? else {
                tracing::info!("the thousand users are there already");
                return Ok(());
            };
            users.push(user.id);
        }
    }
    // The same data each time.
    let mut random = fastrand::Rng::with_seed(1000);
    let now = app.sessions.config().now();
    let (events, devices) = invent(&mut random, users.len(), now);
    live(app, &mut random, &users, events, devices).await?;
    tracing::info!(users = users.len(), devices, "filled: log in as ada.abel with the password `{PASSWORD}`");
    Ok(())
}

/// Draws the events, and the number of devices.
fn invent(
    random: &mut fastrand::Rng,
    users: usize,
    now: OffsetDateTime,
) -> (Vec<(OffsetDateTime, Event)>, usize) {
    let minutes = PAST.whole_minutes();
    let mut events = Vec::new();
    let mut device = 0;
    for user in 0..users {
        // The first user is the one to log in as, and has more than a page of devices.
        let devices = if user == 0 { 30 } else { random.usize(1..=5) };
        for _ in 0..devices {
            let mut at = random.i64(1..minutes);
            events.push((now - Duration::minutes(at), Event::LogIn { user, device }));
            // The device comes back every few days, until it logs out or is forgotten.
            for _ in 0..random.usize(0..=6) {
                at -= random.i64(60..6 * 24 * 60);
                if at > 0 {
                    events.push((now - Duration::minutes(at), Event::Return { device }));
                }
            }
            if random.u8(..100) < 30 && at > 1 {
                events.push((now - Duration::minutes(random.i64(1..at)), Event::LogOut { device }));
            }
            device += 1;
        }
        if user == 0 || random.u8(..100) < 20 {
            for _ in 0..random.usize(1..=3) {
                events.push((now - Duration::minutes(random.i64(1..minutes)), Event::MakeKey { user }));
            }
        }
    }
    events.sort_by_key(|(at, _)| *at);
    (events, device)
}

/// Applies the events, in one transaction.
async fn live(
    app: &App,
    random: &mut fastrand::Rng,
    users: &[String],
    events: Vec<(OffsetDateTime, Event)>,
    devices: usize,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let clock = Arc::new(ManualClock::new(app.sessions.config().now()));
    let now = clock.now();
    let (sessions, keys) = (at(&app.sessions, &clock)?, at(&app.keys, &clock)?);
    let last_uses = last_uses(&events, devices);
    let mut devices: Vec<Option<Session<UserSession>>> = vec![None; devices];
    let mut transaction = app.database.begin().await?;
    for (instant, event) in events {
        clock.set(instant);
        match event {
            Event::LogIn { user, device } => {
                let mut fields = UserSession::of(&users[user]);
                fields.user_agent = Some(USER_AGENTS[random.usize(..USER_AGENTS.len())].to_owned());
                // Networks that are reserved for documentation.
                fields.address = Some(match random.u8(..3) {
                    0 => format!("198.51.100.{}", random.u8(1..255)),
                    1 => format!("203.0.113.{}", random.u8(1..255)),
                    _ => format!("2001:db8:{:x}::{:x}", random.u16(1..), random.u16(1..)),
                });
                fields.last_seen = last_uses[device];
                fields.last_address.clone_from(&fields.address);
                let new = NewSession::new(fields);
                let new = if is_remembered(device) { new.sliding(REMEMBERED) } else { new };
                let created = sessions.within(&mut transaction).create(new).await?;
                devices[device] = Some(created.session);
            }
            Event::Return { device } => {
                if let Some(session) = devices[device].as_mut() {
                    sessions.within(&mut transaction).extend(session).await?;
                }
            }
            Event::LogOut { device } => {
                if let Some(session) = devices[device].as_mut() {
                    sessions.within(&mut transaction).expire(session).await?;
                }
            }
            Event::MakeKey { user } => {
                let name = KEY_NAMES[random.usize(..KEY_NAMES.len())].to_owned();
                let mut scopes: Scopes<Permission> = [Permission::Read].into_iter().collect();
                if random.bool() {
                    scopes.insert(Permission::Write);
                }
                let mut key = ApiKey::new(&users[user], name, scopes);
                if random.bool() {
                    key.last_seen = Some(clock.now() + (now - clock.now()) * random.f64());
                    key.last_address = Some("198.51.100.7".to_owned());
                }
                let key = NewSession::new(key);
                let key = if random.bool() { key.never_expires() } else { key.expires_in(KEY_LIFE) };
                keys.within(&mut transaction).create(key).await?;
            }
        }
    }
    Ok(transaction.commit().await?)
}

/// Most people tick the box.
fn is_remembered(device: usize) -> bool {
    !device.is_multiple_of(5)
}

/// Returns when each device comes back for the last time while it is logged in: its row says so from the beginning.
fn last_uses(events: &[(OffsetDateTime, Event)], devices: usize) -> Vec<Option<OffsetDateTime>> {
    let mut uses: Vec<Option<OffsetDateTime>> = vec![None; devices];
    for (at, event) in events {
        match *event {
            Event::LogIn { device, .. } => uses[device] = Some(*at),
            Event::Return { device } => {
                let life = if is_remembered(device) { REMEMBERED } else { TTL };
                // A device whose time is over comes back logged out.
                uses[device] = uses[device].map(|last| if *at < last + life { *at } else { last });
            }
            Event::LogOut { .. } | Event::MakeKey { .. } => {}
        }
    }
    uses
}

/// Returns the same table with another clock.
fn at<T: SessionTable>(sessions: &Sessions<T>, clock: &Arc<ManualClock>) -> Result<Sessions<T>, ConfigError> {
    let config = sessions.config();
    let config = Config::builder()
        .ttl(config.ttl())
        .extend_after(config.extend_after())
        .max_lifetime(config.max_lifetime())
        .token_format(config.token_format().clone())
        .clock(Arc::clone(clock) as Arc<dyn Clock>)
        .build()?;
    Sessions::new(sessions.database().clone(), config)
}

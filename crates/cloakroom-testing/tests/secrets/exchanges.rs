//! Tokens that are exchanged and rotated with a grace: neither they, nor their digests, nor what they are sealed in. Nor is
//! any of that in an event or in the audit log.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom::{
    Config, ErrorKind, EventReceiver, NewSession, Outcome, SessionTable, Sessions, Token, event_channel,
};
use cloakroom_testing::{Kind, TestDatabase};
use serde_json::json;

use crate::seen::Seen;

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "devices", exchange, rotation_grace, audit_log)]
struct Device {
    #[session(owner)]
    user_id: String,
}

/// What is sealed, in hexadecimal.
async fn sealed(db: &TestDatabase) -> Vec<String> {
    let hex = if db.kind() == Kind::Postgres { "encode(sealed, 'hex')" } else { "HEX(sealed)" };
    let sealed =
        db.texts(&format!("SELECT {hex} FROM devices_retired_tokens WHERE sealed IS NOT NULL")).await;
    sealed.into_iter().flatten().collect()
}

/// Every exchange and rotation that succeeds, and some that fail.
pub(crate) async fn exchange(db: &TestDatabase, config: &Config, seen: &mut Seen) {
    let (sender, receiver) = event_channel(100);
    seen.show("EventSender", &sender);
    let made = Sessions::<Device>::new(db.database(), config.clone());
    let Some(sessions) = seen.made(made.and_then(|sessions| sessions.with_observer(sender))) else { return };
    sessions.migrate_down().await.unwrap();
    sessions.migrate().await.unwrap();
    let first = sessions.create(NewSession::new(Device { user_id: "1234".into() })).await.unwrap().token;
    seen.token(&first, config);
    let mut tokens = vec![first];
    for _ in 0..3 {
        let answer = sessions.exchange(tokens.last().unwrap()).await.unwrap().unwrap();
        seen.show("Exchange", &answer);
        let created = answer.successor().unwrap();
        seen.token(&created.token, config);
        seen.session(&created.session);
        tokens.push(created.token);
        for sealed in sealed(db).await {
            seen.secret("a seal", sealed.as_bytes());
        }
    }
    let again = sessions.exchange(&tokens[2]).await.unwrap().unwrap();
    seen.show("Exchange", &again);
    assert_eq!(again.successor().unwrap().token, tokens[3]);
    seen.show("Exchange", &sessions.exchange(&tokens[0]).await.unwrap().unwrap());

    let mut created = sessions.create(NewSession::new(Device { user_id: "1234".into() })).await.unwrap();
    seen.token(&created.token, config);
    let rotated = sessions.rotate_with_grace(&mut created.session, Duration::from_hours(1)).await.unwrap();
    seen.token(&rotated, config);
    seen.session(&sessions.authenticate(&created.token).await.unwrap().unwrap());
    seen.show("RetiredToken", &sessions.retired_tokens(&created.session).await.unwrap()[0]);
    let mut last = created.session;
    *last.data = json!("of no concern to an auditor");
    seen.secret("data", b"of no concern to an auditor");
    sessions.update(&mut last).await.unwrap();
    sessions.delete(last).await.unwrap();
    let second = sessions.create(NewSession::new(Device { user_id: "1234".into() })).await.unwrap();
    seen.token(&second.token, config);
    let mut session = second.session;
    let rotated = sessions.rotate_with_grace(&mut session, Duration::from_hours(1)).await.unwrap();
    seen.token(&rotated, config);
    happened(&sessions, receiver, seen).await;
    refused(db, &sessions, &rotated, seen).await;
}

/// Everything that is told and kept of it.
async fn happened(sessions: &Sessions<Device>, mut receiver: EventReceiver, seen: &mut Seen) {
    seen.show("EventReceiver", &receiver);
    let mut names = BTreeSet::new();
    while let Some(event) = receiver.try_recv() {
        names.insert(event.name());
        seen.show("Event", &event);
        seen.show("EventKind", &event.kind);
        seen.print(&event);
        seen.print(&serde_json::to_string(&event).unwrap());
    }
    assert_eq!(names, BTreeSet::from(["created", "deleted", "exchanged", "reused", "rotated", "updated"]));
    let log = sessions.audit_log();
    seen.show("AuditLog", &log);
    let entries = log.fetch_all().await.unwrap();
    assert!(entries.len() > 8, "{entries:?}");
    for entry in &entries {
        seen.show("AuditEntry", entry);
        seen.print(&entry.details());
    }
}

/// The server quotes the digest that is there already.
async fn refused(db: &TestDatabase, sessions: &Sessions<Device>, token: &Token, seen: &mut Seen) {
    // No statement of the test's shows it either.
    db.execute(
        "UPDATE devices_retired_tokens SET token_digest = (SELECT auth_token_digest FROM devices \
         WHERE devices.id = devices_retired_tokens.session_id) WHERE sealed IS NULL AND usable_until IS NOT NULL",
    )
    .await;
    let mut session = sessions.authenticate(token).await.unwrap().unwrap();
    assert_eq!(seen.failed(sessions.exchange(token).await), ErrorKind::Constraint);
    let rotated = sessions.rotate_with_grace(&mut session, Duration::from_hours(1)).await;
    assert_eq!(rotated.as_ref().unwrap_err().outcome(), Outcome::NotDone);
    assert_eq!(seen.failed(rotated), ErrorKind::Constraint);
    // Nothing was done.
    assert!(sessions.authenticate(token).await.unwrap().is_some());
    db.execute("DROP TABLE devices_retired_tokens").await;
    seen.failed(sessions.exchange(token).await);
    seen.failed(sessions.authenticate("a token that no session has, of some length").await);
}

use std::sync::Arc;
use std::time::Duration;

use cloakroom::{ErrorKind, Hashing, SessionFields, Sessions, Status};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::files::{self, Golden, StoredRow};
use crate::tables::{CAPTURED, GoldenSession, Original, each_kind_of_instant};

const DAY: Duration = Duration::from_hours(24);
const CENTURY: Duration = Duration::from_hours(100 * 365 * 24);

/// Newest first, as every list is.
const LABELS: [&str; 11] = [
    "leo-ttl-nil-explicit-expiry",
    "heidi-plaintext",
    "erin-expired-by-call",
    "dave-null-expiry",
    "unicode-user",
    "carol-only",
    "bob-expired",
    "bob-types",
    "alice-expired",
    "alice-nested",
    "alice-default",
];

fn instant(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap()
}

fn ids(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| files::row(label).row.id).collect()
}

async fn listed(query: cloakroom::SessionQuery<'_, GoldenSession>) -> Vec<String> {
    query.fetch_all().await.unwrap().iter().map(|session| session.id.to_string()).collect()
}

/// The sessions of a row under the configuration that it was written with.
async fn under_its_config(original: &Original, golden: &Golden) -> Sessions<GoldenSession> {
    original.adopt(original.config_of(golden)).await
}

async fn every_row_reads_as_the_original_read_it(original: Arc<Original>) {
    let sessions = original.adopt::<GoldenSession>(original.db.config()).await;
    for golden in files::rows() {
        let expected = &golden.read_back;
        let id = expected.id.parse().unwrap();
        let session = sessions.query().id(id).status(Status::All).fetch_one().await.unwrap();
        assert_eq!(session.id, id);
        assert_eq!(session.fields.user_id, expected.user_id);
        assert_eq!(session.data, expected.data, "{}", golden.label);
        assert_eq!(session.expires_at, expected.expires_at.as_deref().map(instant), "{}", golden.label);
        assert_eq!(session.inserted_at, instant(&expected.inserted_at));
        assert_eq!(session.updated_at, instant(&expected.updated_at));
        // The original takes a session that never expires for one that has.
        let has_expired = expected.is_expired && expected.expires_at.is_some();
        assert_eq!(session.is_valid(CAPTURED), !has_expired, "{}", golden.label);
        assert_eq!(session.stored_data(), golden.row.data_text);
        assert_eq!(golden.row.auth_token_digest, expected.auth_token_digest);
        assert_eq!(expected.auth_token, None);
        // Nothing was due, so nothing was written.
        assert_eq!(original.stored(&expected.id).await, golden.row);
    }
}

async fn every_row_authenticates_with_its_token_under_its_configuration(original: Arc<Original>) {
    let mut valid = 0;
    for golden in files::rows() {
        let sessions = under_its_config(&original, &golden).await;
        let found = sessions.authenticate(&golden.token).await.unwrap();
        let by_token = sessions.query().token(&golden.token).status(Status::All).fetch_one().await.unwrap();
        assert_eq!(by_token.id.to_string(), golden.row.id);
        if golden.read_back.is_expired && golden.row.expires_at.is_some() {
            assert_eq!(found, None, "{}", golden.label);
        } else {
            assert_eq!(found, Some(by_token), "{}", golden.label);
            valid += 1;
        }
        let digest = sessions.config().digest(&golden.token).unwrap();
        assert_eq!(digest.expose(), golden.row.auth_token_digest, "{}", golden.label);
        assert_eq!(original.stored(&golden.row.id).await, golden.row);
    }
    assert_eq!(valid, 8);
}

async fn a_token_is_unknown_under_another_configuration(original: Arc<Original>) {
    let plain = original.db.config().hashing(Hashing::DangerousPlaintext);
    for config in [
        original.db.config().secret_salt("pepper"),
        original.db.config().hashing(Hashing::Sha512),
        plain.clone(),
    ] {
        let sessions = original.adopt::<GoldenSession>(config).await;
        let carol = files::row("carol-only");
        assert_eq!(sessions.authenticate(&carol.token).await.unwrap(), None);
    }
    let heidi = files::row("heidi-plaintext");
    let hashed = original.adopt::<GoldenSession>(original.db.config()).await;
    assert_eq!(hashed.authenticate(&heidi.token).await.unwrap(), None);
    // A digest stolen from a hashed row is no token where tokens are not hashed.
    let plain = original.adopt::<GoldenSession>(plain).await;
    for golden in files::rows().iter().filter(|golden| golden.label != heidi.label) {
        assert_eq!(plain.authenticate(&golden.row.auth_token_digest).await.unwrap(), None);
        assert_eq!(plain.query().token(&golden.row.auth_token_digest).count().await.unwrap(), 0);
    }
    assert_eq!(plain.authenticate(&heidi.token).await.unwrap().unwrap().fields.user_id, "heidi");
}

async fn a_row_is_extended_when_that_is_due_and_no_other_is_written(original: Arc<Original>) {
    original.db.clock().advance(2 * DAY);
    for golden in files::rows() {
        let sessions = under_its_config(&original, &golden).await;
        let found = sessions.authenticate(&golden.token).await.unwrap();
        let stored = original.stored(&golden.row.id).await;
        if golden.label == "alice-default" {
            let found = found.unwrap();
            assert_eq!(found.expires_at, Some(CAPTURED + 9 * DAY));
            assert_eq!(found.updated_at, CAPTURED + 2 * DAY);
            let expected = StoredRow {
                expires_at: Some("2026-12-02 02:02:00".into()),
                updated_at: "2026-11-25 02:02:00".into(),
                ..golden.row
            };
            assert_eq!(stored, expected);
        } else {
            assert_eq!(stored, golden.row, "{}", golden.label);
        }
    }
}

async fn a_row_whose_last_day_has_passed_is_not_extended(original: Arc<Original>) {
    let alice = files::row("alice-default");
    let sessions = under_its_config(&original, &alice).await;
    original.db.clock().set(instant(&alice.read_back.expires_at.clone().unwrap()));
    assert_eq!(sessions.authenticate(&alice.token).await.unwrap(), None);
    let id = alice.row.id.parse().unwrap();
    let mut read = sessions.query().id(id).status(Status::Expired).fetch_one().await.unwrap();
    assert!(!sessions.extend(&mut read).await.unwrap());
    assert_eq!(original.stored(&alice.row.id).await, alice.row);
}

async fn an_extension_leaves_data_with_numbers_of_any_size_alone(original: Arc<Original>) {
    let bob = files::row("bob-types");
    let sessions = original.adopt::<GoldenSession>(original.db.config().ttl(CENTURY)).await;
    let extended = sessions.authenticate(&bob.token).await.unwrap().unwrap();
    assert_eq!(extended.expires_at, Some(CAPTURED + CENTURY));
    let stored = original.stored(&bob.row.id).await;
    let expected = StoredRow {
        expires_at: Some("2126-10-30 02:02:00".into()),
        updated_at: "2026-11-23 02:02:00".into(),
        ..bob.row
    };
    assert_eq!(stored, expected);
    assert!(stored.data_text.contains("\"huge\": 123456789012345678901234567890"));
    assert!(stored.data_text.contains("\"exp\": 100000000000000000000,"));
}

async fn an_update_of_another_field_leaves_data_with_numbers_of_any_size_alone(original: Arc<Original>) {
    let bob = files::row("bob-types");
    let sessions = original.adopt::<GoldenSession>(original.db.config()).await;
    let mut session = sessions.authenticate(&bob.token).await.unwrap().unwrap();
    session.fields.user_id = "robert".into();
    sessions.update(&mut session).await.unwrap();
    let expected =
        StoredRow { user_id: "robert".into(), updated_at: "2026-11-23 02:02:00".into(), ..bob.row };
    assert_eq!(original.stored(&expected.id).await, expected);
}

async fn an_update_of_one_key_leaves_the_numbers_of_all_others_alone(original: Arc<Original>) {
    let bob = files::row("bob-types");
    let sessions = original.adopt::<GoldenSession>(original.db.config()).await;
    let mut session = sessions.authenticate(&bob.token).await.unwrap().unwrap();
    session.data["int"] = json!(43);
    session.data["arr"][3]["k"] = json!("one");
    sessions.update(&mut session).await.unwrap();
    let stored = original.stored(&bob.row.id).await;
    let data_text =
        bob.row.data_text.replace("\"int\": 42", "\"int\": 43").replace("{\"k\": 1}", "{\"k\": \"one\"}");
    assert_ne!(data_text, bob.row.data_text);
    let expected = StoredRow { data_text, updated_at: "2026-11-23 02:02:00".into(), ..bob.row };
    assert_eq!(stored, expected);

    // The session in hand goes on from what it wrote.
    session.data["int"] = json!(42);
    session.data["arr"][3]["k"] = json!(1);
    sessions.update(&mut session).await.unwrap();
    assert_eq!(original.stored(&expected.id).await.data_text, files::row("bob-types").row.data_text);
}

async fn rows_are_updated_only_as_they_were_read(original: Arc<Original>) {
    let carol = files::row("carol-only");
    let sessions = original.adopt::<GoldenSession>(original.db.config()).await;
    let mut one = sessions.authenticate(&carol.token).await.unwrap().unwrap();
    let mut other = one.clone();
    one.data["theme"] = json!("light");
    sessions.update(&mut one).await.unwrap();
    other.data["theme"] = json!("none");
    assert_eq!(sessions.update(&mut other).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(original.stored(&carol.row.id).await.data_text, r#"{"theme": "light"}"#);

    let new_token = sessions.rotate(&mut one).await.unwrap();
    assert_eq!(sessions.authenticate(&carol.token).await.unwrap(), None);
    assert_eq!(sessions.authenticate(&new_token).await.unwrap(), Some(one.clone()));
    assert!(sessions.expire(&mut one).await.unwrap());
    assert_eq!(original.stored(&carol.row.id).await.expires_at.unwrap(), "2026-11-23 02:02:00");
    assert_eq!(sessions.authenticate(&new_token).await.unwrap(), None);
}

async fn rows_are_listed_and_counted_by_status_and_owner(original: Arc<Original>) {
    let sessions = original.adopt::<GoldenSession>(original.db.config()).await;
    let expired = ["erin-expired-by-call", "bob-expired", "alice-expired"];
    let valid: Vec<&str> = LABELS.into_iter().filter(|label| !expired.contains(label)).collect();
    assert_eq!(listed(sessions.query()).await, ids(&valid));
    assert_eq!(listed(sessions.query().status(Status::Expired)).await, ids(&expired));
    assert_eq!(listed(sessions.query().status(Status::All)).await, ids(&LABELS));
    let mut reversed = LABELS;
    reversed.reverse();
    assert_eq!(listed(sessions.query().status(Status::All).oldest_first()).await, ids(&reversed));
    assert_eq!(sessions.query().count().await.unwrap(), 8);
    assert_eq!(sessions.query().status(Status::Expired).count().await.unwrap(), 3);

    let alice = || sessions.query().filter(GoldenSession::USER_ID.eq("alice"));
    assert_eq!(listed(alice()).await, ids(&["alice-nested", "alice-default"]));
    assert_eq!(alice().status(Status::All).count().await.unwrap(), 3);
    let unicode = files::row("unicode-user").row.user_id;
    assert_eq!(listed(sessions.query().filter(GoldenSession::USER_ID.eq(unicode))).await.len(), 1);
    assert_eq!(listed(sessions.query().data(json!({"theme": "dark"}))).await, ids(&["carol-only"]));
    let nested = files::row("alice-nested");
    assert_eq!(listed(sessions.query().data(nested.read_back.data)).await, [nested.row.id]);

    let page = alice().status(Status::All).limit(1).fetch_one().await.unwrap();
    let next = alice().status(Status::All).after(page.cursor());
    assert_eq!(listed(next).await, ids(&["alice-nested", "alice-default"]));
}

/// In the server's zone all of these would be off by nine hours.
async fn instants_are_compared_in_utc(original: Arc<Original>) {
    let sessions = original.adopt::<GoldenSession>(original.db.config()).await;
    let tick = Duration::from_micros(1);
    for golden in files::rows() {
        let all = || sessions.query().status(Status::All);
        let inserted_at = instant(&golden.read_back.inserted_at);
        let only = ids(&[&golden.label]);
        assert_eq!(listed(all().filter(GoldenSession::INSERTED_AT.eq(inserted_at))).await, only);
        let around = GoldenSession::INSERTED_AT
            .gt(inserted_at - tick)
            .and(GoldenSession::INSERTED_AT.lt(inserted_at + tick));
        assert_eq!(listed(all().filter(around)).await, only);
        let Some(expires_at) = golden.read_back.expires_at.as_deref().map(instant) else {
            assert_eq!(listed(all().filter(GoldenSession::EXPIRES_AT.is_null())).await, only);
            continue;
        };
        let by_expiry = all().filter(GoldenSession::EXPIRES_AT.is_in([expires_at])).filter(
            GoldenSession::INSERTED_AT.le(inserted_at).and(GoldenSession::INSERTED_AT.ge(inserted_at)),
        );
        assert_eq!(listed(by_expiry).await, only);

        // Valid until the very instant of its expiry, unless that was over when the row was written.
        let id = golden.row.id.parse().unwrap();
        original.db.clock().set(expires_at - tick);
        let had_ended = expires_at <= instant(&golden.read_back.updated_at);
        assert_eq!(sessions.query().id(id).exists().await.unwrap(), !had_ended);
        original.db.clock().set(expires_at);
        assert!(!sessions.query().id(id).exists().await.unwrap());
    }
}

async fn expired_rows_are_pruned_and_no_others(original: Arc<Original>) {
    let sessions = original.adopt::<GoldenSession>(original.db.config()).await;
    assert_eq!(sessions.delete_expired().await.unwrap(), 3);
    let left = [
        "leo-ttl-nil-explicit-expiry",
        "heidi-plaintext",
        "dave-null-expiry",
        "unicode-user",
        "carol-only",
        "bob-types",
        "alice-nested",
        "alice-default",
    ];
    assert_eq!(listed(sessions.query().status(Status::All)).await, ids(&left));
    assert_eq!(sessions.delete_expired().await.unwrap(), 0);

    let alice = instant(&files::row("alice-default").read_back.expires_at.unwrap());
    original.db.clock().set(alice);
    let mut pruner = cloakroom::Pruner::spawn(sessions.clone(), Duration::from_hours(1));
    assert_eq!(pruner.run_ended().await.deleted, 1);
    pruner.stop().await;
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 7);
}

async fn rows_are_expired_and_deleted_by_query(original: Arc<Original>) {
    let sessions = original.adopt::<GoldenSession>(original.db.config()).await;
    let alice = || sessions.query().filter(GoldenSession::USER_ID.eq("alice")).status(Status::All);
    assert_eq!(alice().expire_all().await.unwrap(), 2);
    let nested = files::row("alice-nested");
    let expected = StoredRow {
        expires_at: Some("2026-11-23 02:02:00".into()),
        updated_at: "2026-11-23 02:02:00".into(),
        ..nested.row
    };
    assert_eq!(original.stored(&expected.id).await, expected);
    // The one that had expired long ago keeps the instant at which it did.
    let long_ago = files::row("alice-expired");
    assert_eq!(original.stored(&long_ago.row.id).await, long_ago.row);
    assert_eq!(sessions.authenticate(&nested.token).await.unwrap(), None);
    assert_eq!(alice().delete_all().await.unwrap(), 3);
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 8);
    let dave = files::row("dave-null-expiry");
    let dave = sessions.authenticate(&dave.token).await.unwrap().unwrap();
    assert!(sessions.delete(dave.clone()).await.unwrap());
    assert!(!sessions.delete(dave).await.unwrap());
}

each_kind_of_instant! {
    every_row_reads_as_the_original_read_it,
    every_row_authenticates_with_its_token_under_its_configuration,
    a_token_is_unknown_under_another_configuration,
    a_row_is_extended_when_that_is_due_and_no_other_is_written,
    a_row_whose_last_day_has_passed_is_not_extended,
    an_extension_leaves_data_with_numbers_of_any_size_alone,
    an_update_of_another_field_leaves_data_with_numbers_of_any_size_alone,
    an_update_of_one_key_leaves_the_numbers_of_all_others_alone,
    rows_are_updated_only_as_they_were_read,
    rows_are_listed_and_counted_by_status_and_owner,
    instants_are_compared_in_utc,
    expired_rows_are_pruned_and_no_others,
    rows_are_expired_and_deleted_by_query,
}

use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Config, ErrorKind, NewSession, Status};
use serde_json::json;
use time::macros::datetime;

use crate::files::{self, StoredRow};
use crate::tables::{GoldenKey, GoldenSession, Original, each_kind_of_instant};

fn new(user_id: &str) -> NewSession<GoldenSession> {
    NewSession::new(GoldenSession { user_id: user_id.to_owned() })
}

fn digest(config: &Config, token: &cloakroom::Token) -> String {
    config.digest(token).unwrap().expose().to_owned()
}

async fn a_new_row_has_the_form_that_the_original_writes(original: Arc<Original>) {
    // Finer than a microsecond, which no column holds.
    original.db.clock().set(datetime!(2026-12-31 23:59:59.000006999 UTC));
    let sessions = original.adopt::<GoldenSession>(original.db.config()).await;
    let created = sessions.create(new("用户-ñ-🔑")).await.unwrap();
    let stored = original.stored(&created.session.id.to_string()).await;
    let expected = StoredRow {
        id: created.session.id.to_string(),
        auth_token_digest: digest(sessions.config(), &created.token),
        data_text: "{}".into(),
        expires_at: Some("2027-01-07 23:59:59.000006".into()),
        user_id: "用户-ñ-🔑".into(),
        inserted_at: "2026-12-31 23:59:59.000006".into(),
        updated_at: "2026-12-31 23:59:59.000006".into(),
    };
    assert_eq!(stored, expected);
    assert_eq!(stored.auth_token_digest.len(), 64);
    assert!(stored.auth_token_digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(created.session.inserted_at, datetime!(2026-12-31 23:59:59.000006 UTC));

    let described = "SELECT concat_ws(' ', pg_typeof(id), pg_typeof(auth_token_digest), pg_typeof(data), \
         jsonb_typeof(data)) FROM sessions ORDER BY inserted_at DESC LIMIT 1";
    assert_eq!(original.texts(described).await, ["uuid character varying jsonb object"]);
}

async fn a_new_row_without_expiry_has_null_and_one_with_data_has_an_object(original: Arc<Original>) {
    let sessions = original.adopt::<GoldenSession>(original.db.config()).await;
    let data = files::row("alice-nested").read_back.data;
    let created = sessions.create(new("alice").never_expires().data(data)).await.unwrap();
    let stored = original.stored(&created.session.id.to_string()).await;
    assert_eq!(stored.expires_at, None);
    // To the letter what the original stored of the same data.
    assert_eq!(stored.data_text, files::row("alice-nested").row.data_text);
    let bob = files::row("bob-types");
    let raw = serde_json::value::RawValue::from_string(bob.row.data_text.clone()).unwrap();
    let created = sessions.create(new("bob").raw_data(&raw)).await.unwrap();
    assert_eq!(original.stored(&created.session.id.to_string()).await.data_text, bob.row.data_text);
}

async fn an_expiry_in_another_zone_is_stored_in_utc(original: Arc<Original>) {
    let sessions = original.adopt::<GoldenSession>(original.db.config()).await;
    let expires_at = datetime!(2027-03-01 00:00:00.5 +09:00);
    let created = sessions.create(new("alice").expires_at(expires_at)).await.unwrap();
    let stored = original.stored(&created.session.id.to_string()).await;
    assert_eq!(stored.expires_at.unwrap(), "2027-02-28 15:00:00.5");
    assert_eq!(created.session.expires_at, Some(expires_at));
}

async fn every_write_leaves_the_row_in_the_originals_form(original: Arc<Original>) {
    let sessions = original.adopt::<GoldenSession>(original.db.config()).await;
    let mut session = sessions.create(new("alice")).await.unwrap().session;
    let id = session.id.to_string();
    let created = original.stored(&id).await;

    original.db.clock().advance(Duration::from_micros(2 * 86_400_000_000 + 1));
    assert!(sessions.extend(&mut session).await.unwrap());
    let extended = StoredRow {
        expires_at: Some("2026-12-02 02:02:00.000001".into()),
        updated_at: "2026-11-25 02:02:00.000001".into(),
        ..created
    };
    assert_eq!(original.stored(&id).await, extended);

    *session.data = json!({"theme": "dark"});
    session.expires_at = Some(datetime!(2099-12-31 23:59:59.123456 UTC));
    sessions.update(&mut session).await.unwrap();
    let updated = StoredRow {
        data_text: r#"{"theme": "dark"}"#.into(),
        expires_at: Some("2099-12-31 23:59:59.123456".into()),
        // A write later than the last, although the clock stands still.
        updated_at: "2026-11-25 02:02:00.000002".into(),
        ..extended
    };
    assert_eq!(original.stored(&id).await, updated);

    let token = sessions.rotate(&mut session).await.unwrap();
    let rotated = StoredRow {
        auth_token_digest: digest(sessions.config(), &token),
        updated_at: "2026-11-25 02:02:00.000003".into(),
        ..updated
    };
    assert_eq!(original.stored(&id).await, rotated);

    assert!(sessions.expire(&mut session).await.unwrap());
    let expired = StoredRow {
        expires_at: Some("2026-11-25 02:02:00.000001".into()),
        updated_at: "2026-11-25 02:02:00.000004".into(),
        ..rotated
    };
    assert_eq!(original.stored(&id).await, expired);
}

async fn a_row_of_the_second_table_is_written_read_and_found(original: Arc<Original>) {
    let keys = original.adopt::<GoldenKey>(original.db.config()).await;
    let fields = GoldenKey { user_id: "alice".into(), role: "reader".into(), quota: i32::MAX };
    let created = keys.create(NewSession::new(fields)).await.unwrap();
    let row = "SELECT concat_ws('|', id, auth_token_digest, data, user_id, role, quota, pg_typeof(quota)) \
         FROM auth.api_keys";
    let expected = format!(
        "{}|{}|{{}}|alice|reader|2147483647|integer",
        created.session.id,
        digest(keys.config(), &created.token)
    );
    assert_eq!(original.texts(row).await, [expected]);
    assert_eq!(keys.authenticate(&created.token).await.unwrap(), Some(created.session.clone()));
    let found = keys.query().filter(GoldenKey::QUOTA.gt(0)).filter(GoldenKey::ROLE.eq("reader"));
    let mut found = found.fetch_one().await.unwrap();
    found.fields.quota = -1;
    keys.update(&mut found).await.unwrap();
    assert_eq!(original.texts("SELECT quota::text FROM auth.api_keys").await, ["-1"]);
    original.db.clock().advance(Duration::from_hours(8 * 24));
    assert_eq!(keys.query().status(Status::Expired).count().await.unwrap(), 1);
    assert_eq!(keys.delete_expired().await.unwrap(), 1);
    // The first table's expired rows are another's affair.
    let sessions = original.sessions::<GoldenSession>(original.db.config());
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 11);
}

async fn a_value_that_the_originals_column_cannot_hold_is_refused(original: Arc<Original>) {
    let sessions = original.adopt::<GoldenSession>(original.db.config()).await;
    let longest = "ü".repeat(255);
    let created = sessions.create(new(&longest)).await.unwrap();
    assert_eq!(created.session.fields.user_id, longest);
    let error = sessions.create(new(&"ü".repeat(256))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidField);
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 12);
}

each_kind_of_instant! {
    a_new_row_has_the_form_that_the_original_writes,
    a_new_row_without_expiry_has_null_and_one_with_data_has_an_object,
    an_expiry_in_another_zone_is_stored_in_utc,
    every_write_leaves_the_row_in_the_originals_form,
    a_row_of_the_second_table_is_written_read_and_found,
    a_value_that_the_originals_column_cannot_hold_is_refused,
}

//! An update writes what its caller changed, and leaves what SQL of the application's own wrote in between.

use cloakroom::{
    DynamicFields, DynamicValue, ErrorKind, NewSession, Operations, Result, Session, SessionTable, Sessions,
};
use cloakroom_testing::{Kind, Role, START, TestDatabase, each_mode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::types::Json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::rows;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Device {
    name: String,
}

#[derive(Clone, Debug, PartialEq, sqlx::Type)]
#[sqlx(transparent)]
struct Points(i64);

/// A column of each way in which a value goes to the database.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "accounts")]
struct Account {
    user_id: String,
    role: Role,
    points: Points,
    quota: Option<i64>,
    ratio: f64,
    is_trusted: bool,
    owner: Uuid,
    key: Vec<u8>,
    seen_at: Option<OffsetDateTime>,
    device: Json<Device>,
    note: Option<String>,
    former: Option<Role>,
}

fn account() -> Account {
    Account {
        user_id: "1".into(),
        role: Role::Admin,
        points: Points(1),
        quota: Some(1),
        ratio: 0.5,
        is_trusted: true,
        owner: Uuid::from_u128(1),
        key: vec![1],
        seen_at: Some(START),
        device: Json(Device { name: "a phone".into() }),
        note: None,
        former: Some(Role::Admin),
    }
}

/// What SQL makes of all columns but the first.
fn demoted() -> Account {
    Account {
        role: Role::Reader,
        points: Points(0),
        quota: None,
        ratio: 0.25,
        is_trusted: false,
        owner: Uuid::from_u128(2),
        key: vec![2],
        seen_at: Some(START + Duration::DAY),
        device: Json(Device { name: "none".into() }),
        note: Some("demoted".into()),
        former: None,
        ..account()
    }
}

fn demote(kind: Kind) -> String {
    let bytes = if kind == Kind::Postgres { "'\\x02'" } else { "x'02'" };
    format!(
        "UPDATE accounts SET role = 'reader', points = 0, quota = NULL, ratio = 0.25, is_trusted = FALSE, \
         owner = {}, {} = {bytes}, seen_at = {}, device = '{{\"name\":\"none\"}}', note = 'demoted', former = NULL",
        rows::uuid(kind, Uuid::from_u128(2)),
        if kind == Kind::MariaDb { "`key`" } else { "key" },
        rows::instant(kind, START + Duration::DAY),
    )
}

async fn created(db: &TestDatabase) -> (Sessions<Account>, Session<Account>) {
    let sessions = db.sessions::<Account>().await;
    let session = sessions.create(NewSession::new(account())).await.unwrap().session;
    (sessions, session)
}

async fn row(sessions: &Sessions<Account>) -> Session<Account> {
    sessions.query().fetch_one().await.unwrap()
}

async fn what_sql_took_away_in_between_is_not_given_back_by_an_update_of_something_else(db: TestDatabase) {
    let (sessions, mut created) = created(&db).await;
    let mut read = row(&sessions).await;
    for session in [&mut created, &mut read] {
        sessions.reload(session).await.unwrap();
        db.execute(&demote(db.kind())).await;
        *session.data = json!({"visits": 1});
        sessions.update(session).await.unwrap();
        assert_eq!(session.fields.role, Role::Admin, "as it was read");
        let stored = row(&sessions).await;
        assert_eq!(stored.fields, demoted());
        assert_eq!(stored.data, json!({"visits": 1}));

        // Nor by the next one, of a field.
        session.fields.user_id = "2".into();
        sessions.update(session).await.unwrap();
        let mut stored = row(&sessions).await;
        assert_eq!(stored.fields, Account { user_id: "2".into(), ..demoted() });
        stored.fields = account();
        sessions.update(&mut stored).await.unwrap();
        assert_eq!(row(&sessions).await.fields, account());
    }
}

async fn each_column_is_written_if_it_alone_was_changed(db: TestDatabase) {
    let (sessions, mut session) = created(&db).await;
    let changes: [fn(&mut Account); 11] = [
        |account| account.role = demoted().role,
        |account| account.points = demoted().points,
        |account| account.quota = demoted().quota,
        |account| account.ratio = demoted().ratio,
        |account| account.is_trusted = demoted().is_trusted,
        |account| account.owner = demoted().owner,
        |account| account.key = demoted().key,
        |account| account.seen_at = demoted().seen_at,
        |account| account.device = demoted().device,
        |account| account.note = demoted().note,
        |account| account.former = demoted().former,
    ];
    let mut expected = account();
    for change in changes {
        change(&mut session.fields);
        change(&mut expected);
        sessions.update(&mut session).await.unwrap();
        assert_eq!(row(&sessions).await.fields, expected);
    }
    assert_eq!(expected, demoted());
}

async fn what_is_updated_with_leaves_what_sql_wrote_in_between(db: TestDatabase) {
    let (sessions, mut session) = created(&db).await;
    db.execute(&demote(db.kind())).await;
    sessions.update_with(&mut session, |session| session.fields.user_id = "2".into()).await.unwrap();
    assert_eq!(row(&sessions).await.fields, Account { user_id: "2".into(), ..demoted() });
}

async fn what_an_update_within_a_transaction_did_not_change_stays(db: TestDatabase) {
    async fn update(mut within: Operations<'_, Account>, session: &mut Session<Account>) -> Result<()> {
        session.fields.note = Some("mine".into());
        within.update(session).await?;
        within.update_with(session, |session| session.fields.points = Points(7)).await
    }
    let (sessions, mut session) = created(&db).await;
    db.execute(&demote(db.kind())).await;
    let mut transaction = sessions.begin().await.unwrap();
    update(sessions.within(&mut transaction), &mut session).await.unwrap();
    transaction.commit().await.unwrap();
    let expected = Account { note: Some("mine".into()), points: Points(7), ..demoted() };
    assert_eq!(row(&sessions).await.fields, expected);
}

async fn an_update_of_dynamic_fields_writes_those_that_were_set(db: TestDatabase) {
    let (sessions, session) = created(&db).await;
    let table = DynamicFields::definition_from(&db.database(), None, "accounts").await.unwrap().unwrap();
    let config = db.config().build().unwrap();
    let dynamic = Sessions::<DynamicFields>::with_definition(db.database(), table, config).unwrap();
    let mut read = dynamic.query().id(session.id).fetch_one().await.unwrap();
    db.execute(&demote(db.kind())).await;
    read.fields.set("user_id", DynamicValue::Text("2".into())).unwrap();
    read.fields.set("note", DynamicValue::Null).unwrap();
    dynamic.update(&mut read).await.unwrap();
    assert_eq!(row(&sessions).await.fields, Account { user_id: "2".into(), ..demoted() });
    read.fields.set("note", DynamicValue::Text("set".into())).unwrap();
    dynamic
        .update_with(&mut read, |read| read.fields.set("quota", DynamicValue::Integer(9)).unwrap())
        .await
        .unwrap();
    let expected = Account { user_id: "2".into(), note: Some("set".into()), quota: Some(9), ..demoted() };
    assert_eq!(row(&sessions).await.fields, expected);
}

async fn sql_that_moves_updated_at_is_a_conflict_and_update_with_starts_anew_with_what_it_wrote(
    db: TestDatabase,
) {
    let (sessions, mut session) = created(&db).await;
    let now = rows::instant(db.kind(), START + Duration::SECOND);
    db.execute(&format!("UPDATE accounts SET quota = 5, updated_at = {now}")).await;
    *session.data = json!(1);
    assert_eq!(sessions.update(&mut session).await.unwrap_err().kind(), ErrorKind::Conflict);
    let one_more =
        |session: &mut Session<Account>| session.fields.quota = session.fields.quota.map(|quota| quota + 1);
    sessions.update_with(&mut session, one_more).await.unwrap();
    assert_eq!(row(&sessions).await, session);
    assert_eq!(session.fields.quota, Some(6));
}

async fn a_row_that_was_taken_out_copied_or_swapped_is_still_compared_with_what_was_read(db: TestDatabase) {
    let (sessions, mut session) = created(&db).await;
    let points = async || row(&sessions).await.fields.points.0;

    let mut taken = session.into_row();
    taken.fields.points = Points(2);
    session = taken.into();
    sessions.update(&mut session).await.unwrap();
    assert_eq!(points().await, 2);

    let mut copy = (*session).clone();
    copy.fields.points = Points(3);
    session = copy.into();
    sessions.update(&mut session).await.unwrap();
    assert_eq!(points().await, 3);

    let mut other = session.clone();
    other.fields.points = Points(4);
    std::mem::swap(&mut *session, &mut *other);
    sessions.update(&mut session).await.unwrap();
    assert_eq!(points().await, 4);

    // The fields alone, as often as one likes.
    for expected in [5, 6] {
        let fields = std::mem::replace(&mut session.fields, demoted());
        session.fields = Account { points: Points(expected), ..fields };
        db.execute("UPDATE accounts SET quota = NULL").await;
        sessions.update(&mut session).await.unwrap();
        assert_eq!(
            row(&sessions).await.fields,
            Account { points: Points(expected), quota: None, ..account() }
        );
    }
    // Not by what a later reading of another clone found.
    let mut stale = session.clone();
    stale.fields.points = Points(7);
    db.execute("UPDATE accounts SET points = 99").await;
    sessions.reload(&mut session).await.unwrap();
    stale.fields.points = Points(6);
    sessions.update(&mut stale).await.unwrap();
    assert_eq!(points().await, 99);
}

async fn a_value_that_is_the_same_to_the_bit_is_no_change_and_any_other_is(db: TestDatabase) {
    let (sessions, mut session) = created(&db).await;
    db.execute("UPDATE accounts SET ratio = 0.125, quota = 3").await;
    let finer = Duration::nanoseconds(999);
    session.fields.ratio = 0.5;
    session.fields.seen_at = session.fields.seen_at.map(|seen_at| seen_at + finer);
    session.fields.quota = Some(1);
    db.execute(&format!("UPDATE accounts SET seen_at = {}", rows::instant(db.kind(), START + Duration::DAY)))
        .await;
    sessions.update(&mut session).await.unwrap();
    assert_eq!(session.fields, account());
    let stored = row(&sessions).await.into_row().fields;
    let expected =
        Account { ratio: 0.125, quota: Some(3), seen_at: Some(START + Duration::DAY), ..account() };
    assert_eq!(stored, expected);

    // Equal, and another number all the same.
    session.fields.ratio = 0.0;
    sessions.update(&mut session).await.unwrap();
    session.fields.ratio = -0.0;
    sessions.update(&mut session).await.unwrap();
    // SQLite stores what has no fraction as an integer, of which there is one nought; MariaDB drops the sign.
    let keeps_the_sign = db.kind() == Kind::Postgres || db.is_mysql();
    assert_eq!(row(&sessions).await.fields.ratio.is_sign_negative(), keeps_the_sign);
}

async fn a_required_field_that_sql_left_blank_hinders_no_update_of_another(db: TestDatabase) {
    let (sessions, _) = created(&db).await;
    db.execute("UPDATE accounts SET user_id = ''").await;
    let mut session = row(&sessions).await;
    session.fields.points = Points(2);
    sessions.update(&mut session).await.unwrap();
    assert_eq!(
        row(&sessions).await.fields,
        Account { user_id: String::new(), points: Points(2), ..account() }
    );
    session.fields.user_id = " ".into();
    assert_eq!(sessions.update(&mut session).await.unwrap_err().kind(), ErrorKind::InvalidField);
}

each_mode! {
    what_sql_took_away_in_between_is_not_given_back_by_an_update_of_something_else,
    each_column_is_written_if_it_alone_was_changed,
    what_is_updated_with_leaves_what_sql_wrote_in_between,
    what_an_update_within_a_transaction_did_not_change_stays,
    an_update_of_dynamic_fields_writes_those_that_were_set,
    sql_that_moves_updated_at_is_a_conflict_and_update_with_starts_anew_with_what_it_wrote,
    a_row_that_was_taken_out_copied_or_swapped_is_still_compared_with_what_was_read,
    a_value_that_is_the_same_to_the_bit_is_no_change_and_any_other_is,
    a_required_field_that_sql_left_blank_hinders_no_update_of_another,
}

//! The roles `ended_because` and `owner`: why a session was ended, and whose it is.

use std::time::Duration;

use cloakroom::{
    DynamicFields, DynamicValue, EndReason, ErrorKind, FieldDefinition, HasEndedBecause, HasOwner,
    NewSession, Role, Session, SessionTable, Sessions, Status, TableDefinition,
};
use cloakroom_testing::{Kind, TestDatabase, each_database, each_mode};
use futures_util::future::join_all;
use uuid::Uuid;

const DAY: Duration = Duration::from_hours(24);

const STOLEN: EndReason = EndReason::from_static("stolen");

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "devices")]
pub(crate) struct Device {
    #[session(index, owner)]
    pub(crate) user_id: String,
    pub(crate) kind: Option<String>,
    #[session(ended_because, column = "why")]
    pub(crate) ended_because: Option<String>,
}

pub(crate) fn device(user_id: &str) -> NewSession<Device> {
    NewSession::new(Device { user_id: user_id.into(), kind: None, ended_because: None })
}

/// Returns the reasons that the rows hold, in the order of their creation.
pub(crate) async fn stored(db: &TestDatabase) -> Vec<Option<String>> {
    db.texts("SELECT why FROM devices ORDER BY inserted_at, id").await
}

fn texts<const N: usize>(reasons: [Option<&str>; N]) -> Vec<Option<String>> {
    reasons.map(|reason| reason.map(str::to_owned)).into()
}

async fn row(sessions: &Sessions<Device>, session: &Session<Device>) -> Session<Device> {
    sessions.query().id(session.id).status(Status::All).fetch_one().await.unwrap()
}

async fn an_end_says_why_in_its_row_and_in_the_session(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    let [mut logged_out, mut stolen, mut unending, mut within] = [
        sessions.create(device("1")).await.unwrap(),
        sessions.create(device("2")).await.unwrap(),
        sessions.create(device("3").never_expires()).await.unwrap(),
        sessions.create(device("4")).await.unwrap(),
    ]
    .map(|created| {
        assert_eq!(created.session.ended_because(), None);
        created.session
    });
    assert!(sessions.expire(&mut logged_out).await.unwrap());
    assert!(sessions.expire_because(&mut stolen, STOLEN).await.unwrap());
    assert!(sessions.expire_because(&mut unending, EndReason::REUSE).await.unwrap());
    let mut transaction = sessions.begin().await.unwrap();
    assert!(sessions.within(&mut transaction).expire_because(&mut within, STOLEN).await.unwrap());
    transaction.commit().await.unwrap();
    let ended = [(logged_out, "logged_out"), (stolen, "stolen"), (unending, "reuse"), (within, "stolen")];
    for (session, reason) in &ended {
        assert_eq!(session.ended_because(), Some(*reason));
        assert_eq!(row(&sessions, session).await, *session);
        assert!(!session.is_valid(db.now()));
    }
    assert_eq!(stored(&db).await, texts(ended.map(|(_, reason)| Some(reason))));
}

async fn the_first_reason_stays(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    let mut first = sessions.create(device("1")).await.unwrap().session;
    let mut second = first.clone();
    assert!(sessions.expire_because(&mut first, STOLEN).await.unwrap());
    // As it was read, it is still valid.
    assert!(!sessions.expire_because(&mut second, EndReason::REUSE).await.unwrap());
    assert_eq!((second.ended_because(), &second), (Some("stolen"), &first));
    assert!(!sessions.expire(&mut second).await.unwrap());
    assert_eq!(sessions.query().expire_all_because(EndReason::REUSE).await.unwrap(), 0);
    assert_eq!(stored(&db).await, texts([Some("stolen")]));
}

async fn the_reason_is_written_although_another_caller_has_changed_the_row(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    let mut session = sessions.create(device("1")).await.unwrap().session;
    let mut other = session.clone();
    other.fields.kind = Some("phone".into());
    sessions.update(&mut other).await.unwrap();
    session.fields.kind = Some("never written".into());
    assert!(sessions.expire_because(&mut session, STOLEN).await.unwrap());
    assert_eq!(session.fields.kind.as_deref(), Some("phone"));
    assert_eq!((session.ended_because(), &row(&sessions, &session).await), (Some("stolen"), &session));
}

async fn an_end_writes_none_of_the_callers_other_changes(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    let mut session = sessions.create(device("1")).await.unwrap().session;
    session.fields.kind = Some("phone".into());
    assert!(sessions.expire(&mut session).await.unwrap());
    assert_eq!(
        (session.fields.kind.as_deref(), session.ended_because()),
        (Some("phone"), Some("logged_out"))
    );
    assert_eq!(row(&sessions, &session).await.fields.kind, None);
    sessions.update(&mut session).await.unwrap();
    let row = row(&sessions, &session).await;
    assert_eq!((row.fields.kind.as_deref(), row.ended_because()), (Some("phone"), Some("logged_out")));
}

async fn ends_that_share_a_statement_have_a_reason_each(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    let created = join_all((0..40).map(|number| sessions.create(device(&number.to_string())))).await;
    let ended = created.into_iter().enumerate().map(|(number, created)| {
        let sessions = &sessions;
        async move {
            let mut session = created.unwrap().session;
            let reason = EndReason::try_from(format!("reason {number}")).unwrap();
            assert!(sessions.expire_because(&mut session, reason).await.unwrap());
            session
        }
    });
    for (number, session) in join_all(ended).await.into_iter().enumerate() {
        assert_eq!(session.ended_because(), Some(&*format!("reason {number}")));
        assert_eq!(row(&sessions, &session).await, session);
    }
}

async fn a_session_that_reaches_its_expiry_has_no_reason(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    let mut session = sessions.create(device("1")).await.unwrap().session;
    sessions.create(device("2")).await.unwrap();
    let mut valid = sessions.create(device("3").never_expires()).await.unwrap().session;
    db.clock().advance(7 * DAY);
    // A machine with a clock that is behind would still accept both: they end there too, without a reason.
    assert!(!sessions.expire_because(&mut session, STOLEN).await.unwrap());
    assert_eq!(session.ended_because(), None);
    assert_eq!(sessions.query().expire_all_because(STOLEN).await.unwrap(), 1);
    assert_eq!(stored(&db).await, texts([None, None, Some("stolen")]));
    sessions.reload(&mut valid).await.unwrap();
    assert_eq!(valid.ended_because(), Some("stolen"));
}

async fn a_session_that_is_past_its_absolute_lifetime_has_no_reason(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    for user in ["1", "2", "3"] {
        sessions.create(device(user).never_expires()).await.unwrap();
    }
    let sessions = db.sessions_with::<Device>(db.config().max_lifetime(2 * DAY)).await;
    let mut session = sessions.query().owner("1").fetch_one().await.unwrap();
    db.clock().advance(2 * DAY);
    sessions.create(device("4")).await.unwrap();
    assert!(!sessions.expire_because(&mut session, STOLEN).await.unwrap());
    assert_eq!(session.ended_because(), None);
    assert_eq!(sessions.query().owner("2").expire_all_because(STOLEN).await.unwrap(), 0);
    assert_eq!(sessions.query().because(STOLEN).expire_all_returning().await.unwrap().len(), 1);
    assert_eq!(stored(&db).await, texts([None, None, None, Some("stolen")]));
}

async fn a_query_ends_its_sessions_with_one_reason(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    for user in ["1", "2", "1", "2", "3"] {
        sessions.create(device(user)).await.unwrap();
        db.clock().advance(Duration::from_secs(1));
    }
    let of = |user: &str| sessions.query().owner(user);
    assert_eq!(of("1").limit(1).because(STOLEN).expire_all().await.unwrap(), 1);
    assert_eq!(of("2").expire_all_because(EndReason::REUSE).await.unwrap(), 2);
    assert_eq!(of("1").because(EndReason::REUSE).count().await.unwrap(), 1);
    let mut transaction = sessions.begin().await.unwrap();
    let undone = sessions.within(&mut transaction).query().expire_all_because(STOLEN).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(undone, 2);
    assert_eq!(of("1").expire_all().await.unwrap(), 1);
    let reasons = [Some("logged_out"), Some("reuse"), Some("stolen"), Some("reuse"), None];
    assert_eq!(stored(&db).await, texts(reasons));
}

async fn a_reason_that_does_not_fit_its_column_ends_nothing(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    let mut session = sessions.create(device("1")).await.unwrap().session;
    let change = match db.kind() {
        // It checks no length.
        Kind::Sqlite => return,
        Kind::Postgres => "ALTER TABLE devices ALTER why TYPE varchar(6)",
        Kind::MariaDb => "ALTER TABLE devices MODIFY why varchar(6)",
    };
    db.execute_anew(change).await;
    let sessions = db.sessions::<Device>().await;
    let mut errors = vec![sessions.expire(&mut session).await.unwrap_err()];
    errors.push(sessions.query().expire_all().await.unwrap_err());
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::InvalidField);
        assert!(error.to_string().contains("why is too long"), "{error}");
    }
    assert!(row(&sessions, &session).await.is_valid(db.now()));
    assert!(sessions.expire_because(&mut session, STOLEN).await.unwrap());
    assert_eq!(stored(&db).await, texts([Some("stolen")]));
}

async fn a_column_of_another_type_takes_the_reason(db: TestDatabase) {
    #[derive(Clone, Debug, PartialEq, SessionTable)]
    #[session(table = "devices")]
    struct Padded {
        user_id: String,
        #[session(ended_because, column = "why", sql_type = "char(12)")]
        ended_because: Option<String>,
    }
    if db.kind() == Kind::Sqlite {
        // Its tables are strict, and know no such type.
        return;
    }
    let sessions = db.sessions::<Padded>().await;
    let new = || NewSession::new(Padded { user_id: "1".into(), ended_because: None });
    let created = join_all((0..6).map(|_| sessions.create(new()))).await;
    let ended = created.into_iter().enumerate().map(|(number, created)| {
        let sessions = &sessions;
        async move {
            let mut session = created.unwrap().session;
            let reason = EndReason::try_from(format!("reason {number}")).unwrap();
            assert!(sessions.expire_because(&mut session, reason).await.unwrap());
            session
        }
    });
    for (number, session) in join_all(ended).await.into_iter().enumerate() {
        let stored = sessions.query().id(session.id).status(Status::All).fetch_one().await.unwrap();
        assert_eq!(stored, session);
        assert_eq!(session.ended_because().unwrap().trim_end(), format!("reason {number}"));
    }
}

async fn dynamic(db: &TestDatabase, table: &str) -> Sessions<DynamicFields> {
    let table = DynamicFields::definition_from(&db.database(), None, table).await.unwrap().unwrap();
    Sessions::with_definition(db.database(), table, db.config().build().unwrap()).unwrap()
}

async fn a_tool_finds_the_owner_and_the_reason(db: TestDatabase) {
    let typed = db.sessions::<Device>().await;
    for user in ["1", "2"] {
        typed.create(device(user)).await.unwrap();
    }
    let sessions = dynamic(&db, "devices").await;
    for (role, name) in [(Role::Owner, "user_id"), (Role::EndedBecause, "why")] {
        assert_eq!(sessions.definition().field_for(role).unwrap().name(), name);
    }
    let of = |user: &str| sessions.query().owner(DynamicValue::Text(user.to_owned()));
    let mut session = of("1").fetch_one().await.unwrap();
    assert_eq!(session.fields.owner(), Some(&DynamicValue::Text("1".into())));
    assert!(sessions.expire_because(&mut session, STOLEN).await.unwrap());
    assert_eq!((session.ended_because(), session.fields.ended_because()), (Some("stolen"), Some("stolen")));
    assert_eq!(of("2").expire_all().await.unwrap(), 1);
    assert_eq!(stored(&db).await, texts([Some("stolen"), Some("logged_out")]));
}

async fn a_table_that_lacks_the_columns_is_an_error_and_not_a_loss(db: TestDatabase) {
    let table = TableDefinition::new("plain").field(FieldDefinition::new::<String>("user_id"));
    let config = db.config().build().unwrap();
    let sessions = Sessions::<DynamicFields>::with_definition(db.database(), table, config).unwrap();
    sessions.migrate().await.unwrap();
    let mut fields = DynamicFields::new(sessions.definition(), sessions.backend());
    fields.set("user_id", DynamicValue::Text("1".into())).unwrap();
    let mut session = sessions.create(NewSession::new(fields)).await.unwrap().session;
    assert_eq!((session.fields.owner(), session.ended_because()), (None, None));
    let errors = [
        sessions.expire_because(&mut session, STOLEN).await.unwrap_err(),
        sessions.query().expire_all_because(STOLEN).await.unwrap_err(),
        sessions.query().owner(DynamicValue::Text("1".into())).count().await.unwrap_err(),
    ];
    for (error, role) in errors.iter().zip(["ended_because", "ended_because", "owner"]) {
        assert_eq!(error.kind(), ErrorKind::UnknownField);
        assert!(error.to_string().contains(&format!("plain has no column with the role {role}")), "{error}");
    }
    // Without a reason of the caller's there is nothing to lose.
    assert!(sessions.expire(&mut session).await.unwrap());
}

async fn a_column_for_the_reason_that_is_never_null_is_refused(db: TestDatabase) {
    let why = || FieldDefinition::new::<String>("why").for_role(Role::EndedBecause);
    let refused = |field: FieldDefinition| {
        let table = TableDefinition::new("devices").field(field);
        Sessions::<DynamicFields>::with_definition(db.database(), table, db.config().build().unwrap())
    };
    let error = refused(why()).unwrap_err().to_string();
    assert!(error.contains("role ended_because holds null at first"), "{error}");
    assert!(refused(why().nullable()).is_ok());
}

async fn an_owner_may_be_of_any_type(db: TestDatabase) {
    #[derive(Clone, Copy, Debug, PartialEq, sqlx::Type)]
    #[sqlx(transparent)]
    struct Account(i64);

    #[derive(Clone, Debug, PartialEq, SessionTable)]
    #[session(table = "by_account")]
    struct ByAccount {
        #[session(index, owner)]
        account: Account,
    }

    #[derive(Clone, Debug, PartialEq, SessionTable)]
    #[session(table = "by_uuid")]
    struct ByUuid {
        #[session(index, owner, column = "owner_id")]
        owner: Option<Uuid>,
    }

    let accounts = db.sessions::<ByAccount>().await;
    for account in [7, 8, 7] {
        accounts.create(NewSession::new(ByAccount { account: Account(account) })).await.unwrap();
    }
    assert_eq!(accounts.query().owner(Account(7)).count().await.unwrap(), 2);
    assert_eq!(accounts.query().owner(Account(9)).count().await.unwrap(), 0);

    let sessions = db.sessions::<ByUuid>().await;
    let id = Uuid::from_u128(7);
    for owner in [Some(id), None] {
        sessions.create(NewSession::new(ByUuid { owner })).await.unwrap();
    }
    let found = sessions.query().owner(id).fetch_one().await.unwrap();
    assert_eq!(found.fields.owner(), Some(&id));
    assert_eq!(ByUuid { owner: None }.owner(), None);
}

each_mode! {
    an_end_says_why_in_its_row_and_in_the_session,
    the_first_reason_stays,
    the_reason_is_written_although_another_caller_has_changed_the_row,
    an_end_writes_none_of_the_callers_other_changes,
    ends_that_share_a_statement_have_a_reason_each,
    a_session_that_reaches_its_expiry_has_no_reason,
    a_query_ends_its_sessions_with_one_reason,
}

mod columns {
    use super::*;

    each_database! {
        a_reason_that_does_not_fit_its_column_ends_nothing,
        a_column_of_another_type_takes_the_reason,
        a_session_that_is_past_its_absolute_lifetime_has_no_reason,
        a_tool_finds_the_owner_and_the_reason,
        a_table_that_lacks_the_columns_is_an_error_and_not_a_loss,
        a_column_for_the_reason_that_is_never_null_is_refused,
        an_owner_may_be_of_any_type,
    }
}

//! Several processes that write when the same sessions were last used, while others write those sessions.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::{ManualClock, NewSession, Seen, Session, SessionTable, Sessions, Status};
use cloakroom_testing::{START, TestDatabase, each_database};
use time::OffsetDateTime;

use crate::at_once;

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "visits")]
struct Visit {
    user_id: String,
    #[session(last_seen)]
    last_seen: Option<OffsetDateTime>,
    #[session(last_user_agent)]
    last_user_agent: Option<String>,
}

const PROCESSES: usize = 4;
const WRITERS: usize = 12;
const OTHERS: usize = 4;
const SESSIONS: usize = 40;
const ROUNDS: usize = 15;

/// A handle for each process, each with a clock of its own.
async fn processes(db: &TestDatabase) -> Vec<Sessions<Visit>> {
    let mut processes = Vec::new();
    for number in 0..PROCESSES {
        let clock = Arc::new(ManualClock::new(START + Duration::from_secs(number as u64)));
        let config = db.config().record_seen(Duration::from_hours(1)).clock(clock);
        processes.push(db.sessions_with::<Visit>(config).await);
    }
    processes
}

async fn writes_of_last_uses_keep_the_latest_and_disturb_no_other_write(db: TestDatabase) {
    let processes = processes(&db).await;
    let mut all: Vec<Session<Visit>> = Vec::new();
    for number in 0..SESSIONS {
        let new = Visit { user_id: number.to_string(), last_seen: None, last_user_agent: None };
        all.push(processes[0].create(NewSession::new(new)).await.unwrap().session);
    }
    at_once(WRITERS + OTHERS, |task| {
        let (process, all) = (processes[task % PROCESSES].clone(), all.clone());
        async move {
            if let Some(own) = task.checked_sub(WRITERS) {
                // Sessions that no other task writes, but for their last uses.
                let (mut kept, mut ended) = (all[own].clone(), all[OTHERS + own].clone());
                for round in 0..ROUNDS {
                    kept.fields.user_id = format!("{own} {round}");
                    process.update(&mut kept).await.unwrap();
                    process.rotate(&mut kept).await.unwrap();
                }
                assert!(process.expire(&mut ended).await.unwrap());
                return;
            }
            for _ in 0..ROUNDS {
                for session in &all {
                    process.seen(session, Seen::new().user_agent(format!("process {}", task % PROCESSES)));
                }
                process.flush_seen().await.unwrap();
            }
        }
    })
    .await;
    for process in &processes {
        process.close().await.unwrap();
    }
    let last = START + Duration::from_secs(PROCESSES as u64 - 1);
    for row in processes[0].query().status(Status::All).fetch_all().await.unwrap() {
        let told = (row.last_seen(), row.last_user_agent());
        assert_eq!(told, (Some(last), Some(&*format!("process {}", PROCESSES - 1))), "{row:?}");
    }
    let ended = processes[0].query().status(Status::Expired).count().await.unwrap();
    assert_eq!(ended, OTHERS as u64);
    for (own, session) in all.iter().enumerate().take(OTHERS) {
        let row = processes[0].query().id(session.id).fetch_one().await.unwrap();
        assert_eq!(row.fields.user_id, format!("{own} {}", ROUNDS - 1));
    }
}

each_database! {
    writes_of_last_uses_keep_the_latest_and_disturb_no_other_write,
}

// What operators and auditors see: metrics for Prometheus, events as they happen, and an audit log.
// `cargo run -p cloakroom --features metrics --example metrics`.

use cloakroom::{Config, Database, EndReason, NewSession, PerOwner, SessionTable, Sessions, event_channel};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

#[derive(Clone, SessionTable)]
#[session(audit_log)]
struct UserSession {
    #[session(index, owner)]
    user_id: i64,
    #[session(ended_because)]
    ended_because: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before the first `Sessions`. A web server answers `GET /metrics` with `prometheus.render()`.
    let seconds = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5];
    let prometheus = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &seconds)?
        .install_recorder()?;

    let (sender, mut events) = event_channel(1_000);
    let database = Database::connect("sqlite::memory:").await?;
    let sessions = Sessions::<UserSession>::new(database, Config::default())?
        .with_limit(PerOwner::at_most(2))?
        .with_observer(sender)?;
    sessions.migrate().await?;
    let watching = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            println!("{} of user {}", event.name(), event.owner.unwrap_or_default());
        }
    });

    let user = |user_id| NewSession::new(UserSession { user_id, ended_because: None });
    for _ in 0..3 {
        sessions.create(user(7)).await?;
    }
    let mut session = sessions.create(user(8)).await?.session;
    sessions.expire_because(&mut session, EndReason::from_static("password_changed")).await?;

    for entry in sessions.audit_log().owner(&8).fetch_all().await? {
        println!("in the log: {} {}", entry.name, entry.reason.unwrap_or_default());
    }
    drop(sessions);
    watching.await?;
    let metrics = prometheus.render();
    metrics
        .lines()
        .filter(|line| line.starts_with("cloakroom_sessions_ended"))
        .for_each(|line| println!("{line}"));
    Ok(())
}

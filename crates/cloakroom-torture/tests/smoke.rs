//! A short run of the workload on each database. `cargo xtask torture` runs it for minutes.

use std::path::Path;
use std::time::Duration;

use cloakroom_testing::{TestDatabase, each_database};
use cloakroom_torture::{Fault, Kind, Settings, Target, Until, run, run_processes};

fn target(db: &TestDatabase) -> Target {
    let kind = match db.kind() {
        cloakroom_testing::Kind::Sqlite => Kind::Sqlite,
        cloakroom_testing::Kind::Postgres => Kind::Postgres,
        cloakroom_testing::Kind::MariaDb => Kind::MariaDb,
    };
    Target::of_others(kind, db.url())
}

async fn nothing_acknowledged_is_lost_and_nothing_ended_comes_back(db: TestDatabase) {
    let settings = Settings {
        until: Until::Operations(1000),
        latency: Duration::from_millis(1),
        dropped: 0.15,
        // Without those that take longer than this run.
        faults: [Fault::Dropped, Fault::Disk, Fault::Cut, Fault::Answer, Fault::HalfClose, Fault::Clock]
            .into(),
        ..Settings::default()
    };
    let report = run(target(&db), &settings).await.unwrap();
    assert!(report.calls() > 500 && report.dropped() > 10, "hardly anything was done: {report}");
    assert!(report.violations().is_empty(), "{report}");
}

async fn nothing_of_a_process_that_was_killed_is_lost_or_comes_back(db: TestDatabase) {
    let settings = Settings {
        until: Until::Time(Duration::from_secs(4)),
        latency: Duration::from_millis(1),
        faults: [Fault::Dropped, Fault::Worker].into(),
        ..Settings::default()
    };
    let program = Path::new(env!("CARGO_BIN_EXE_cloakroom-torture"));
    let report = run_processes(target(&db), &settings, program).await.unwrap();
    assert!(report.calls() > 100, "hardly anything was done: {report}");
    assert!(report.violations().is_empty(), "{report}");
}

each_database! {
    nothing_acknowledged_is_lost_and_nothing_ended_comes_back,
    nothing_of_a_process_that_was_killed_is_lost_or_comes_back,
}

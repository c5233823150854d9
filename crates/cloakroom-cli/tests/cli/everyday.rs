//! What a command is for: the jobs of a day, as one script.

use std::process::Command;

use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::{Cloakroom, Outcome};

const SCRIPT: &str = include_str!("everyday.sh");

async fn the_jobs_of_a_day_are_a_script(db: TestDatabase) {
    let cloakroom = Cloakroom::on(&db);
    let mut shell = Command::new("sh");
    shell
        .args(["-eu", "-c", SCRIPT])
        .env("DATABASE_URL", db.url())
        .env("CLOAKROOM", env!("CARGO_BIN_EXE_cloakroom"))
        .env_remove("CLOAKROOM_SECRET_SALT")
        .current_dir(cloakroom.directory())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let outcome = Outcome::of(shell.spawn().unwrap()).done();
    assert_eq!(
        outcome.stdout,
        "user 42 is logged in on a laptop and a phone\n\
         her phone is logged out\n\
         2 sessions expire this week\n\
         4 lines are exported\n\
         10000 sessions are imported in one go\n\
         what ended of late is kept, and cron has nothing to mail\n\
         everybody is logged out\n",
        "{outcome:?}"
    );
}

each_database! { the_jobs_of_a_day_are_a_script }

use std::io::{BufRead, BufReader};
use std::process::Command;

use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::Cloakroom;

async fn pruning_goes_on_until_it_is_interrupted(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    cloakroom.create(&["--set", "user_id=1", "--expires-at", "2020-01-01T00:00:00Z"]);
    cloakroom.create(&["--set", "user_id=1"]);
    for signal in ["-INT", "-TERM"] {
        let mut child =
            cloakroom.command(&["prune", "--every", "100ms", "--format", "json"]).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let runs: Vec<String> = stderr.by_ref().take(3).map(Result::unwrap).collect();
        let signalled = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(signalled.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let answer = String::from_utf8(output.stdout).unwrap();
        if signal == "-INT" {
            assert!(
                runs[0].contains("deleted expired sessions") && runs[0].contains("deleted=1"),
                "{runs:?}"
            );
            assert_eq!(answer, "{\"affected\":1}\n");
        } else {
            assert!(runs.iter().all(|run| run.contains("no expired sessions to delete")), "{runs:?}");
            assert_eq!(answer, "{\"affected\":0}\n");
        }
    }
    assert_eq!(cloakroom.count_all(), 1);
}

each_database! { pruning_goes_on_until_it_is_interrupted }

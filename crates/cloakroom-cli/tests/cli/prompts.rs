use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::Cloakroom;

async fn where_nobody_can_be_asked_nothing_much_is_ended(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    for user_id in ["user_id=1", "user_id=1", "user_id=2"] {
        cloakroom.create(&["--set", user_id]);
    }
    // The answer is not taken from a pipe: what is in it was not meant as one.
    for verb in ["expire", "delete"] {
        let refused = cloakroom.run_with_input(&[verb, "--where", "user_id=1"], b"y\n");
        refused.failed(2, "2 sessions of sessions? Nobody is there to be asked: say --yes");
    }
    assert_eq!(cloakroom.run(&["count"]).done().stdout, "3\n");
    cloakroom.run(&["delete", "--where", "user_id=2"]).done();
    assert_eq!(
        cloakroom.run(&["delete", "--where", "user_id=1", "--yes"]).done().stdout,
        "2 sessions deleted\n"
    );
    assert_eq!(cloakroom.count_all(), 0);
}

async fn a_table_is_not_dropped_unasked(db: TestDatabase) {
    let cloakroom = Cloakroom::with_table(&db);
    cloakroom.run_with_input(&["migrate", "down"], b"y\n").failed(2, "Drop the table sessions");
    assert_eq!(cloakroom.count_all(), 0);
    cloakroom.run(&["migrate", "down", "-y"]).done();
    cloakroom.run(&["count"]).failed(3, "there is no table");
}

each_database! { where_nobody_can_be_asked_nothing_much_is_ended, a_table_is_not_dropped_unasked }

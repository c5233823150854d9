//! Columns of types that the command has no word for.

/// Types that only PostgreSQL has.
mod postgres {
    use cloakroom_testing::{Kind, TestDatabase, run};

    use crate::harness::Cloakroom;

    async fn types_beyond_the_commands_own_are_text_or_an_error(db: TestDatabase) {
        let cloakroom = Cloakroom::with_table(&db);
        db.execute("CREATE TYPE mood AS ENUM ('calm', 'cross'); CREATE DOMAIN short AS varchar(5)").await;
        db.execute("ALTER TABLE sessions ADD mood mood, ADD nick short, ADD seen_from inet").await;
        let (_, session) =
            cloakroom.create(&["--set", "user_id=1", "--set", "mood=calm", "--set", "nick=Al"]);
        assert_eq!((&session["fields"]["mood"], &session["fields"]["nick"]), (&"calm".into(), &"Al".into()));
        assert_eq!(cloakroom.json(&["list", "--where", "mood=calm"]).as_array().map(Vec::len), Some(1));
        cloakroom.run(&["create", "--set", "user_id=1", "--set", "mood=odd"]).failed(2, "mood");

        db.execute("UPDATE sessions SET seen_from = '10.0.0.1'").await;
        let listed = cloakroom.run(&["list"]).done();
        assert!(listed.stderr.contains("1 of them could not be read"), "{listed:?}");
    }

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
    fn types_beyond_the_commands_own() {
        run(Kind::Postgres, types_beyond_the_commands_own_are_text_or_an_error);
    }
}

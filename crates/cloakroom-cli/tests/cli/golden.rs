//! The sessions that `ecto_sessions` wrote, through the command.

/// The table that the original made, with its rows, in the test's own schema.
mod postgres {
    use cloakroom_testing::{Kind, TestDatabase, run};
    use serde::Deserialize;
    use serde_json::Value;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    use crate::harness::Cloakroom;

    const SCHEMA: &str = include_str!("../../../cloakroom-testing/golden/schema.sql");
    const ROWS: &str = include_str!("../../../cloakroom-testing/golden/rows.sql");
    const SEEN: &str = include_str!("../../../cloakroom-testing/golden/rows.json");

    #[derive(Deserialize)]
    struct Seen {
        rows: Vec<Golden>,
    }

    #[derive(Deserialize)]
    struct Golden {
        label: String,
        config: serde_json::Map<String, Value>,
        token: String,
        row: Row,
    }

    #[derive(Deserialize)]
    struct Row {
        id: String,
        user_id: String,
        data_text: String,
        expires_at: Option<String>,
        inserted_at: String,
    }

    /// `2026-11-23 02:01:58.65511` as the command writes it.
    fn as_written(stored: &str) -> String {
        let (day, time) = stored.split_once(' ').unwrap();
        let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
        format!("{day}T{seconds}.{fraction:0<6}Z")
    }

    async fn the_originals_rows_authenticate(db: TestDatabase) {
        let (table, _) = SCHEMA.split_once("-- 2.").unwrap();
        db.execute(&table.replace("public.", "")).await;
        db.execute(&ROWS.replace("public.", "")).await;
        let cloakroom = Cloakroom::on(&db);
        cloakroom.file("plain.toml", "hashing = \"none\"");
        cloakroom.file("hashed.toml", "");

        let seen: Seen = serde_json::from_str(SEEN).unwrap();
        let mut valid = 0;
        for Golden { label, config, token, row } in seen.rows {
            let is_plain = config.get("hashing_algorithm").is_some_and(Value::is_null);
            let config = if is_plain { "plain.toml" } else { "hashed.toml" };
            let authenticate = [
                "--table",
                "sessions",
                "--config",
                config,
                "--format",
                "json",
                "authenticate",
                "--no-extend",
            ];
            let outcome = cloakroom.run_with_input(&authenticate, token.as_bytes());
            let expires_at = row.expires_at.as_deref().map(as_written);
            let is_valid = expires_at.as_deref().is_none_or(|instant| {
                OffsetDateTime::parse(instant, &Rfc3339).unwrap() > OffsetDateTime::now_utc()
            });
            if !is_valid {
                outcome.failed(1, "no valid session");
                continue;
            }
            valid += 1;
            let session = outcome.done();
            assert!(session.stdout.contains(&format!("\"data\":{},", row.data_text)), "{label}: {session:?}");
            let session = session.json();
            assert_eq!(session["id"], row.id.as_str(), "{label}");
            assert_eq!(session["fields"]["user_id"], row.user_id.as_str(), "{label}");
            assert_eq!(session["expires_at"], expires_at.map_or(Value::Null, Value::from), "{label}");
            assert_eq!(session["inserted_at"], as_written(&row.inserted_at), "{label}");
        }
        assert!(valid >= 7, "those that expire in 2099 or never");

        assert_eq!(cloakroom.count_all(), 11);
        cloakroom.run(&["migrate", "up"]).done();
        cloakroom.create(&["--set", "user_id=alice"]);
        assert_eq!(cloakroom.count_all(), 12);
        assert_eq!(cloakroom.json(&["stats"])["busiest"]["value"], "alice");
        let pruned = cloakroom.json(&["prune"])["affected"].as_u64().unwrap();
        assert!(pruned >= 3, "those that expired in 2020, 2023 and by call");
    }

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
    fn the_originals_rows_authenticate_through_the_command() {
        run(Kind::Postgres, the_originals_rows_authenticate);
    }
}

use std::sync::Arc;

use cloakroom::sqlx::postgres::PgPoolOptions;
use cloakroom::{DynamicFields, DynamicValue, SessionTable, Sessions, Status};
use futures_util::future::join_all;

use crate::files;
use crate::tables::{GoldenKey, GoldenSession, Original, each_kind_of_instant};

const OWN_INDEXES: [&str; 3] = [
    "CREATE UNIQUE INDEX sessions_auth_token_digest_index ON public.sessions USING btree (auth_token_digest)",
    "CREATE UNIQUE INDEX sessions_pkey ON public.sessions USING btree (id)",
    "CREATE INDEX sessions_user_id_index ON public.sessions USING btree (user_id)",
];

const ADDED_INDEXES: [&str; 2] = [
    "CREATE INDEX sessions_expires_at_index ON public.sessions USING btree (expires_at)",
    "CREATE INDEX sessions_user_id_inserted_at_index ON public.sessions USING btree (user_id, inserted_at)",
];

async fn every_row_is_as_the_original_wrote_it(original: &Original) {
    for golden in files::rows() {
        assert_eq!(original.stored(&golden.row.id).await, golden.row, "{}", golden.label);
    }
}

/// The catalogue without the column that adoption adds, which each of these tables must have.
async fn catalog_without_addition(original: &Original, tables: &[&str]) -> Vec<String> {
    let (added, rest): (Vec<_>, Vec<_>) =
        original.catalog().await.into_iter().partition(|line| line.contains("sliding_seconds"));
    let is_of =
        |line: &str, table: &str| line.starts_with(table) && line.contains("sliding_seconds bigint YES");
    assert!(
        added.len() == tables.len() && added.iter().zip(tables).all(|(line, table)| is_of(line, table)),
        "{added:?}"
    );
    rest
}

/// Eight processes, as far as the database can tell: each task has connections of its own.
async fn migrate_from_eight_tasks<T: SessionTable>(original: &Original) -> Vec<usize> {
    let tasks = (0..8).map(|_| {
        let options = (*original.pool.connect_options()).clone();
        let config = original.db.config().build().unwrap();
        tokio::spawn(async move {
            let pool = PgPoolOptions::new().max_connections(2).connect_with(options).await.unwrap();
            let sessions = Sessions::<T>::new(pool.clone(), config).unwrap();
            let done = sessions.migrate().await.unwrap().len();
            pool.close().await;
            done
        })
    });
    let mut done: Vec<usize> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    done.sort_unstable();
    done
}

async fn the_table_is_adopted_as_it_stands(original: Arc<Original>) {
    let before = original.catalog().await;
    assert_eq!(before.iter().filter(|line| line.starts_with("public sessions ")).count(), 7);
    assert_eq!(original.indexes("public", "sessions").await.len(), OWN_INDEXES.len());

    let sessions = original.sessions::<GoldenSession>(original.db.config());
    assert_eq!(sessions.migrate().await.unwrap().len(), 3);
    assert_eq!(catalog_without_addition(&original, &["public sessions"]).await, before);
    every_row_is_as_the_original_wrote_it(&original).await;
    let indexes = original.indexes("public", "sessions").await;
    for index in OWN_INDEXES.iter().chain(&ADDED_INDEXES) {
        assert!(indexes.iter().any(|found| found == index), "{index} is missing");
    }
    assert_eq!(indexes.len(), OWN_INDEXES.len() + ADDED_INDEXES.len());

    assert_eq!(sessions.migrate().await.unwrap(), []);
    assert_eq!(catalog_without_addition(&original, &["public sessions"]).await, before);
    assert_eq!(original.indexes("public", "sessions").await, indexes);
    assert!(sessions.migration_status().await.unwrap().iter().all(|(_, is_applied)| *is_applied));
}

async fn eight_tasks_adopt_the_table_at_once_and_one_does_the_work(original: Arc<Original>) {
    let before = original.catalog().await;
    let done = migrate_from_eight_tasks::<GoldenSession>(&original).await;
    assert_eq!(done, [0, 0, 0, 0, 0, 0, 0, 3]);
    assert_eq!(catalog_without_addition(&original, &["public sessions"]).await, before);
    every_row_is_as_the_original_wrote_it(&original).await;
    assert_eq!(original.indexes("public", "sessions").await.len(), OWN_INDEXES.len() + ADDED_INDEXES.len());

    // And once more, now that it is adopted.
    assert_eq!(migrate_from_eight_tasks::<GoldenSession>(&original).await, [0; 8]);
    let sessions = original.sessions::<GoldenSession>(original.db.config());
    let golden = files::row("carol-only");
    assert_eq!(sessions.authenticate(&golden.token).await.unwrap().unwrap().fields.user_id, "carol");
}

async fn the_second_table_is_adopted_in_its_own_schema(original: Arc<Original>) {
    let before = original.catalog().await;
    let public = original.indexes("public", "sessions").await;
    let keys = original.adopt::<GoldenKey>(original.db.config()).await;
    assert_eq!(catalog_without_addition(&original, &["auth api_keys"]).await, before);
    assert_eq!(original.indexes("public", "sessions").await, public);
    assert_eq!(
        original.indexes("auth", "api_keys").await,
        [
            "CREATE UNIQUE INDEX api_keys_auth_token_digest_index ON auth.api_keys USING btree (auth_token_digest)",
            "CREATE INDEX api_keys_expires_at_index ON auth.api_keys USING btree (expires_at)",
            "CREATE UNIQUE INDEX api_keys_pkey ON auth.api_keys USING btree (id)",
            "CREATE INDEX api_keys_user_id_index ON auth.api_keys USING btree (user_id)",
            "CREATE INDEX api_keys_user_id_inserted_at_index ON auth.api_keys USING btree (user_id, inserted_at)",
        ]
    );
    let stray = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
    assert_eq!(original.texts(stray).await, ["sessions"]);
    assert_eq!(keys.migrate().await.unwrap(), []);
    assert_eq!(migrate_from_eight_tasks::<GoldenKey>(&original).await, [0; 8]);
}

async fn both_tables_are_adopted_at_once(original: Arc<Original>) {
    let (sessions, keys) = tokio::join!(
        migrate_from_eight_tasks::<GoldenSession>(&original),
        migrate_from_eight_tasks::<GoldenKey>(&original),
    );
    assert_eq!(sessions, [0, 0, 0, 0, 0, 0, 0, 3]);
    assert_eq!(keys, [0, 0, 0, 0, 0, 0, 0, 3]);
}

async fn the_tables_are_known_by_what_the_database_says_of_them(original: Arc<Original>) {
    let database = cloakroom::Database::from(original.pool.clone());
    let definition = DynamicFields::definition_from(&database, None, "sessions").await.unwrap().unwrap();
    let config = original.db.config().build().unwrap();
    let sessions =
        Sessions::<DynamicFields>::with_definition(database.clone(), definition, config.clone()).unwrap();
    let listed = sessions.query().status(Status::All).fetch_all().await.unwrap();
    assert_eq!(listed.len(), 11);
    let alice = sessions.authenticate(&files::row("alice-nested").token).await.unwrap().unwrap();
    assert_eq!(alice.fields.get("user_id"), Some(&DynamicValue::Text("alice".into())));

    let definition =
        DynamicFields::definition_from(&database, Some("auth"), "api_keys").await.unwrap().unwrap();
    let names: Vec<&str> = definition.fields().iter().map(cloakroom::FieldDefinition::name).collect();
    assert_eq!(names, ["user_id", "role", "quota"]);
    let keys = Sessions::<DynamicFields>::with_definition(database, definition, config).unwrap();
    assert_eq!(keys.query().status(Status::All).count().await.unwrap(), 0);
}

each_kind_of_instant! {
    the_table_is_adopted_as_it_stands,
    eight_tasks_adopt_the_table_at_once_and_one_does_the_work,
    the_second_table_is_adopted_in_its_own_schema,
    both_tables_are_adopted_at_once,
    the_tables_are_known_by_what_the_database_says_of_them,
}

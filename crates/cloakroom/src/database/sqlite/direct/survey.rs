//! Whether a file can be read past the pool: what the pool's options and one of its connections say.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{Row as _, SqlitePool};

/// How long the survey waits for a connection of the pool.
const SHORT_WAIT: Duration = Duration::from_millis(20);

/// Whether reads can go past the pool.
pub(super) enum Survey {
    Possible {
        path: PathBuf,
        /// How many bytes of the file the connection maps into memory at most, and reads without copying.
        mapped: i64,
    },
    Impossible,
    /// No connection of the pool could be had in a short time.
    NotNow,
}

pub(super) async fn survey(pool: &SqlitePool) -> Survey {
    if !is_ordinary(&pool.connect_options()) {
        return Survey::Impossible;
    }
    // Lookups that follow each other keep the pool's only connection for themselves, until it opens another.
    let Ok(Ok(mut connection)) = tokio::time::timeout(SHORT_WAIT, pool.acquire()).await else {
        return Survey::NotNow;
    };
    let mut ask =
        async |sql: &'static str| sqlx::query(sql).persistent(false).fetch_one(&mut *connection).await.ok();
    let word = |row: SqliteRow| row.try_get_unchecked::<String, _>(0).ok();
    let number = |row: SqliteRow| row.try_get_unchecked::<i64, _>(0).ok();
    let is_wal = ask("PRAGMA journal_mode").await.and_then(word).is_some_and(|mode| mode == "wal");
    if !is_wal || ask("PRAGMA locking_mode").await.and_then(word).is_none_or(|mode| mode != "normal") {
        return Survey::Impossible;
    }
    // A build of SQLite that cannot map files may answer nothing.
    let mapped = ask("PRAGMA mmap_size").await.and_then(number).unwrap_or(0);
    // If another database is attached, that of temporary tables included, there are more lines.
    match ask("SELECT group_concat(file, char(10)) FROM pragma_database_list").await.and_then(word) {
        Some(path) if !path.is_empty() && !path.contains('\n') => {
            Survey::Possible { path: path.into(), mapped }
        }
        _ => Survey::Impossible,
    }
}

/// Returns `true` if the file is opened as it is by default. Another VFS may lock it in another way, or keep another
/// form of it.
///
/// The driver shows these options only through `Debug`, and in a URL, which it cannot write for every name of a file (sqlx
/// 0.9.0). A test below checks the form.
fn is_ordinary(options: &SqliteConnectOptions) -> bool {
    let options = format!("{options:?}");
    ["in_memory: false", "read_only: false", "shared_cache: false", "immutable: false", "vfs: None"]
        .iter()
        .all(|option| options.contains(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_from_ordinary_ones() {
        let options = || SqliteConnectOptions::new().filename("sessions.db");
        assert!(is_ordinary(&options()));
        assert!(is_ordinary(&options().filename("a b").create_if_missing(true)));
        let odd = [
            options().in_memory(true),
            options().read_only(true),
            options().shared_cache(true),
            options().immutable(true),
            options().vfs("unix-none"),
            "sqlite::memory:".parse().unwrap(),
        ];
        assert!(!odd.iter().any(is_ordinary));
    }
}

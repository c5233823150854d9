//! The statements that the driver ran, in the order in which they ended, as it reports them to `tracing`.

use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// From now on every statement of this process is kept.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    // One for the whole process: SQLite's statements run on threads of the driver's own.
    ONCE.call_once(|| tracing::subscriber::set_global_default(Watcher).expect("nobody else watches"));
}

/// Those that name this table, which no other test should.
pub(crate) fn naming(table: &str) -> Vec<String> {
    seen().iter().filter(|sql| sql.contains(table)).cloned().collect()
}

fn seen() -> MutexGuard<'static, Vec<String>> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Watcher;

impl Subscriber for Watcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut statement = Statement::default();
        event.record(&mut statement);
        // A statement of few words is all summary.
        let sql = if statement.sql.is_empty() { statement.summary } else { statement.sql };
        seen().push(sql.trim().to_owned());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Statement {
    summary: String,
    sql: String,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.sql),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

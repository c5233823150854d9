use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cloakroom_testing::{TestDatabase, each_database, user};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Instrument, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::page;
use crate::scene::{authenticate_at_once, every_operation, sessions_named};

/// The fields of a span that has ended.
type Fields = BTreeMap<String, String>;

static ENDED: LazyLock<Mutex<Vec<Fields>>> = LazyLock::new(Mutex::default);

/// Keeps the spans of all tests of this process.
struct Keeping;

#[derive(Default)]
struct Kept(Fields);

impl Visit for Kept {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}").trim_matches('"').to_owned();
        assert!(self.0.insert(field.name().to_owned(), value).is_none(), "{field} is set twice");
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Keeping {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        if span.name().starts_with("cloakroom") || attributes.metadata().target().starts_with("cloakroom") {
            assert_eq!((span.name(), attributes.metadata().target()), ("cloakroom::operation", span.name()));
            assert_eq!(*attributes.metadata().level(), Level::DEBUG);
            let mut kept = Kept::default();
            attributes.record(&mut kept);
            let fields: Vec<_> = attributes.metadata().fields().iter().map(|field| field.name()).collect();
            assert_eq!(fields, ["table", "operation", "outcome", "batch_size"]);
            span.extensions_mut().insert(kept);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(kept) = context.span(id).unwrap().extensions_mut().get_mut::<Kept>() {
            values.record(kept);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(kept) = context.span(&id).unwrap().extensions_mut().remove::<Kept>() {
            ENDED.lock().unwrap_or_else(PoisonError::into_inner).push(kept.0);
        }
    }
}

fn start() {
    static INSTALLED: LazyLock<()> = LazyLock::new(|| {
        let subscriber = tracing_subscriber::registry().with(Keeping);
        tracing::subscriber::set_global_default(subscriber).expect("it is the only subscriber");
    });
    *INSTALLED;
}

/// The spans of a table that have ended.
fn spans(table: &str) -> Vec<Fields> {
    let ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
    ended.iter().filter(|fields| fields["table"] == table).cloned().collect()
}

async fn each_call_has_a_span_of_one_shape(db: TestDatabase) {
    start();
    let table = format!("spanned_{:?}", db.kind()).to_lowercase();
    let sessions = sessions_named(db.database(), String::leak(table.clone()), db.config()).await;
    every_operation(&db, &sessions).await;
    let spans = spans(&table);
    let (operations, outcomes) = (page::values("operation"), page::values("outcome"));
    for span in &spans {
        assert!(span.keys().all(|field| page::fields().contains(field)), "{span:?}");
        assert!(operations.contains(&span["operation"]), "{span:?}");
        assert!(outcomes.contains(&span["outcome"]), "{span:?}");
    }
    let count = |operation, outcome| {
        spans.iter().filter(|span| span["operation"] == operation && span["outcome"] == outcome).count()
    };
    assert_eq!((count("update", "ok"), count("update", "conflict")), (2, 1));
    assert_eq!((count("create", "ok"), count("create", "duplicate_token")), (42, 1));
    assert_eq!((count("authenticate", "ok"), count("authenticate", "none")), (42, 1));
    assert_eq!((count("expire", "ok"), count("count", "ok"), count("count", "dropped")), (1, 1, 1));
}

async fn a_span_says_how_many_calls_shared_the_statement(db: TestDatabase) {
    start();
    let table = format!("batched_{:?}", db.kind()).to_lowercase();
    // Past the pool nothing is shared.
    let config = db.config().max_in_flight(1).direct_reads(false);
    let sessions = sessions_named(db.database(), String::leak(table.clone()), config).await;
    let created = sessions.create(user("1234")).await.unwrap();
    authenticate_at_once(&sessions, &created.token, 20).await;
    let mut sizes: Vec<usize> = spans(&table)
        .iter()
        .filter(|span| span["operation"] == "authenticate")
        .map(|span| span["batch_size"].parse().unwrap())
        .collect();
    sizes.sort_unstable();
    let shared = [19; 19];
    assert_eq!(sizes, [&[1], &shared[..]].concat(), "the first is sent alone");
}

/// Keeps what is written to spans, and turns those of the library off.
struct Own(Arc<Mutex<Vec<String>>>);
impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Own {
    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.0.lock().unwrap().push(format!("{values:?}"));
    }

    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() != "cloakroom::operation"
    }
}

/// The application's own span is not written to.
#[tokio::test]
async fn a_span_of_the_applications_stays_as_it_is() {
    start();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let subscriber = tracing_subscriber::registry().with(Own(Arc::clone(&seen)));
    let _guard = tracing::subscriber::set_default(subscriber);
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await;
    let sessions = sessions_named(pool.unwrap().into(), "own_span", cloakroom::Config::builder()).await;
    let span = tracing::info_span!("request", batch_size = tracing::field::Empty);
    sessions.create(user("1234")).instrument(span).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), Vec::<String>::new());
}

each_database! {
    each_call_has_a_span_of_one_shape,
    a_span_says_how_many_calls_shared_the_statement,
}

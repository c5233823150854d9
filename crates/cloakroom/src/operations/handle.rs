use std::fmt;
use std::sync::Arc;

use crate::batching::Batching;
use crate::cache::SessionCache;
use crate::config::{Config, ConfigError};
use crate::database::{Backend, Database};
use crate::observe::{Metrics, Observer};
use crate::sql::Statements;
use crate::store::{Known, Store, Writers};
use crate::table::{SessionFields, TableDefinition};

/// The state that all operations on one table share, in all clones of its handle.
pub(crate) struct Handle {
    store: Arc<Store>,
    batching: Batching,
    cache: Option<Arc<SessionCache>>,
}

impl Handle {
    /// Makes the state for sessions with the fields `T`.
    pub(crate) fn new<T: SessionFields>(
        database: Database,
        definition: TableDefinition,
        config: Config,
    ) -> Result<Self, ConfigError> {
        definition.validate(database.backend())?;
        let statements = Statements::new(&definition, database.backend());
        let observer = Observer::new(definition.to_string(), definition.table_name());
        let cache = config.cache().map(|cache| {
            let metrics = Arc::clone(&observer.metrics);
            SessionCache::new::<T>(cache, config.clone(), database.backend(), metrics)
        });
        let writers = Writers::on(&database);
        let store = Arc::new(Store {
            writers,
            database,
            table: definition,
            config,
            statements,
            known: Known::default(),
            observer,
        });
        let batching = Batching::new(&store);
        Ok(Self { store, batching, cache: cache.map(Arc::new) })
    }

    pub(crate) fn database(&self) -> &Database {
        &self.store.database
    }

    pub(crate) fn backend(&self) -> Backend {
        self.store.backend()
    }

    pub(crate) fn definition(&self) -> &TableDefinition {
        &self.store.table
    }

    pub(crate) fn config(&self) -> &Config {
        &self.store.config
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.store.observer.metrics
    }

    pub(crate) fn cache(&self) -> Option<&Arc<SessionCache>> {
        self.cache.as_ref()
    }

    pub(crate) fn batching(&self) -> &Batching {
        &self.batching
    }
}

/// Shows the state as the application's handle is shown.
#[expect(clippy::missing_fields_in_debug, reason = "they hold what the others say")]
impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("table", &format_args!("{}", self.store.table))
            .field("database", &self.store.database)
            .field("config", &self.store.config)
            .finish()
    }
}

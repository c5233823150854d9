use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limits, PerOwner};
use super::read_only::ReadOnly;
use crate::batching::Batching;
use crate::cache::SessionCache;
use crate::clock::clock_reading::ClockReading;
use crate::config::{CausalReads, Config, ConfigError};
use crate::database::{Backend, Connection, Database, Databases, Pool};
use crate::error::Result;
use crate::events::Observers;
use crate::observe::{Instruments, Metrics};
use crate::seen::Recorder;
use crate::store::Store;
use crate::table::{SessionFields, TableDefinition};

/// The state that all operations on one table share, in all clones of its handle.
pub(crate) struct Handle {
    databases: Databases,
    store: Arc<Store>,
    batching: Batching,
    cache: Option<Arc<SessionCache>>,
    standby: Option<Standby>,
    extensions: ReadOnly,
    /// How many valid sessions an owner may have, if that is limited.
    limits: Option<Limits>,
    recorder: Option<Arc<Recorder>>,
    observers: Observers,
    /// The schemes that were reported because the configuration does not have them.
    unknown_schemes: Mutex<HashSet<String>>,
}

/// A server that repeats what the primary has committed.
pub(crate) struct Standby {
    store: Arc<Store>,
    /// For lookups that the cache keeps, if the standby answers those.
    batching: Option<Batching>,
}

impl Standby {
    /// Stands for any connection of the standby's pool.
    pub(crate) fn pool(&self) -> Connection<'static> {
        self.store.pool()
    }

    pub(crate) fn batching(&self) -> Option<&Batching> {
        self.batching.as_ref()
    }
}

impl Handle {
    /// Makes the state for sessions with the fields `T`.
    pub(crate) fn new<T: SessionFields>(
        databases: Databases,
        definition: TableDefinition,
        config: Config,
    ) -> Result<Self, ConfigError> {
        if let Some([primary, standby]) = databases.mismatch() {
            return Err(ConfigError::Replica { primary: primary.to_string(), standby: standby.to_string() });
        }
        let backend = databases.primary.backend();
        definition.validate(backend)?;
        if definition.exchanges_tokens() && config.schemes().newest().is_plaintext() {
            return Err(ConfigError::ExchangeOfPlaintext);
        }
        if definition.binds_devices() && definition.exchanges_tokens() {
            return Err(ConfigError::ExchangeOfBound);
        }
        if definition.binds_devices() && config.schemes().newest().is_plaintext() {
            return Err(ConfigError::BoundPlaintext);
        }
        let instruments = Arc::new(Instruments::new(definition.to_string(), definition.table_name()));
        let cache = config.cache().map(|cache| {
            let metrics = Arc::clone(&instruments.metrics);
            SessionCache::new::<T>(cache, config.clone(), backend, metrics)
        });
        let is_causal = config.causal_reads() != CausalReads::Off;
        let standby = databases.standby.as_ref().map(|standby| {
            // A list may be out of date, and need not wait for other nodes.
            let pool = Pool::new(standby.database.clone(), false).without_note_of_a_standby();
            let store =
                Arc::new(Store::new(pool, definition.clone(), config.clone(), Arc::clone(&instruments)));
            let batching = standby.answers_cached_lookups.then(|| Batching::new(&store));
            Standby { store, batching }
        });
        let pool = Pool::new(databases.primary.clone(), is_causal);
        let store = Arc::new(Store::new(pool, definition, config, instruments));
        let batching = Batching::new(&store);
        let cache = cache.map(Arc::new);
        let recorder = Recorder::of(&store);
        Ok(Self {
            databases,
            store,
            batching,
            cache,
            standby,
            extensions: ReadOnly::default(),
            limits: None,
            recorder,
            observers: Observers::default(),
            unknown_schemes: Mutex::default(),
        })
    }

    /// Adds limits for sessions with the fields `T`.
    pub(crate) fn with_limits<T: SessionFields>(
        mut self,
        limits: Vec<PerOwner<T>>,
    ) -> Result<Self, ConfigError> {
        for limit in &limits {
            limit.check(self.definition())?;
        }
        self.limits = (!limits.is_empty()).then(|| Limits::new(limits));
        Ok(self)
    }

    pub(crate) fn with_observers(self, observers: Observers) -> Self {
        Self { observers, ..self }
    }

    pub(crate) fn observers(&self) -> &Observers {
        &self.observers
    }

    pub(crate) fn limits(&self) -> Option<&Limits> {
        self.limits.as_ref()
    }

    pub(crate) fn databases(&self) -> &Databases {
        &self.databases
    }

    pub(crate) fn database(&self) -> &Database {
        &self.databases.primary
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

    pub(crate) fn standby(&self) -> Option<&Standby> {
        self.standby.as_ref()
    }

    /// Returns what is known of whether extensions can be written.
    pub(crate) fn extensions(&self) -> &ReadOnly {
        &self.extensions
    }

    /// Returns what records the last uses of sessions, if that is asked for.
    pub(crate) fn recorder(&self) -> Option<&Arc<Recorder>> {
        self.recorder.as_ref()
    }

    /// Returns when a session was last used, if that is noted and not written yet.
    pub(crate) fn last_use(&self, session: Uuid) -> Option<OffsetDateTime> {
        self.recorder.as_ref()?.last_use(session)
    }

    /// Notes that a session is used.
    #[inline]
    pub(crate) fn note_use(&self, session: Uuid) {
        if let Some(recorder) = &self.recorder {
            recorder.note(session, None, self.config().clock_reading());
        }
    }

    /// Notes that a session is used, at an instant that was read for another purpose.
    #[inline]
    pub(crate) fn note_use_at(&self, session: Uuid, now: ClockReading) {
        if let Some(recorder) = &self.recorder {
            recorder.note(session, None, now);
        }
    }

    /// Returns `true` the first time that a scheme is named which the configuration does not have.
    pub(crate) fn is_new_unknown_scheme(&self, scheme: &str) -> bool {
        let mut known = self.unknown_schemes.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(scheme.to_owned())
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.store.instruments.metrics
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
            .field("database", self.database())
            .field("config", &self.store.config)
            .finish()
    }
}

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::entries::{Entries, Key};
use super::lease::Lease;
use super::revocations::{Asked, Revocations, Scope};
use crate::cache::Cache;
use crate::config::Config;
use crate::database::Backend;
use crate::expiry;
use crate::guarded::is_over;
use crate::session::Session;
use crate::table::SessionFields;

/// The sessions that were read of late. What it promises is said at [`Cache`].
pub(crate) struct SessionCache {
    settings: Cache,
    config: Config,
    /// Each a [`Kept`] of the handle's type.
    entries: Entries<Arc<dyn Any + Send + Sync>>,
    pub(super) revocations: Revocations,
    /// Where others' revocations are heard of.
    pub(super) lease: Option<Lease>,
    pub(super) is_listening: AtomicBool,
}

struct Kept<T: SessionFields> {
    asked: AskedAt,
    session: Session<T>,
}

/// When a lookup asked the database, on every clock that there is.
#[derive(Clone, Copy)]
pub(crate) struct AskedAt {
    asked: Asked,
    now: OffsetDateTime,
}

/// What a write revokes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Revoked {
    Session(Uuid),
    Any,
}

impl From<Revoked> for Scope {
    fn from(revoked: Revoked) -> Self {
        match revoked {
            // The low half of a UUID, of version 4 or 7, is random.
            Revoked::Session(id) => Self::One(id.as_u64_pair().1),
            Revoked::Any => Self::All,
        }
    }
}

impl SessionCache {
    pub(crate) fn new(settings: Cache, config: Config, backend: Backend) -> Self {
        let listens = settings.listens && backend == Backend::Postgres;
        Self {
            settings,
            config,
            entries: Entries::new(settings.capacity),
            revocations: Revocations::new(),
            lease: listens.then(|| Lease::new(nanoseconds(settings.lease))),
            is_listening: AtomicBool::new(false),
        }
    }

    /// To be called before the database is asked for what will be kept.
    pub(crate) fn asked(&self) -> AskedAt {
        AskedAt { asked: self.revocations.asked(self.monotonic()), now: self.config.now() }
    }

    /// Keeps what the database answered.
    pub(crate) fn put<T: SessionFields>(&self, key: &Key, asked: AskedAt, session: &Session<T>) {
        if self.revocations.hold(asked.asked, hash(session.id)) {
            self.entries.put(key, Arc::new(Kept { asked, session: session.clone() }));
        }
    }

    /// The session with this digest, if it can be answered without the database.
    pub(crate) fn get<T: SessionFields>(&self, key: &Key) -> Option<Session<T>> {
        // The clocks first: whatever is found out afterwards is no older.
        let at = self.monotonic();
        let now = self.config.now();
        if self.lease.as_ref().is_some_and(|lease| !lease.holds(at)) {
            return None;
        }
        let kept = self.entries.get(key)?.downcast::<Kept<T>>().ok()?;
        if !self.is_fresh(kept.asked, at, now) || is_over(&kept.session, now) {
            self.entries.remove(key);
            return None;
        }
        let session = &kept.session;
        let is_extension_due = self.config.auto_extend()
            && expiry::due_extension(&self.config, now, session.inserted_at, session.stored.expires_at)
                .is_some();
        let holds = self.revocations.hold(kept.asked.asked, hash(session.id));
        (holds && !is_extension_due).then(|| session.clone())
    }

    /// Neither clock may say that the answer is too old. The monotonic one cannot be set back, but may stand
    /// still while the machine sleeps; the other goes on.
    fn is_fresh(&self, asked: AskedAt, at: u64, now: OffsetDateTime) -> bool {
        let age = Duration::try_from(now - asked.now);
        at.saturating_sub(asked.asked.at) <= nanoseconds(self.settings.max_staleness)
            && age.is_ok_and(|age| age <= self.settings.max_staleness)
    }

    /// Says that a write is about to be sent. What comes of it is told to what this returns.
    pub(crate) fn revoking(self: &Arc<Self>, revoked: Revoked) -> Revoking {
        Revoking { cache: Arc::clone(self), scope: revoked.into(), is_committed: false }
    }

    pub(crate) fn monotonic(&self) -> u64 {
        nanoseconds(self.config.monotonic())
    }

    pub(super) fn settings(&self) -> Cache {
        self.settings
    }

    /// Whether the caller is the one to start the listener.
    pub(super) fn begin_listening(&self) -> bool {
        self.lease.is_some() && !self.is_listening.swap(true, Ordering::SeqCst)
    }
}

/// A revocation on its way. Unless it is known to have been committed, it may yet be, by the caller's own
/// transaction or by a server whose answer was lost; until then nothing that it concerns is kept.
pub(crate) struct Revoking {
    cache: Arc<SessionCache>,
    scope: Scope,
    is_committed: bool,
}

impl Revoking {
    pub(crate) fn committed(mut self) {
        self.is_committed = true;
    }
}

impl Drop for Revoking {
    fn drop(&mut self) {
        let cache = &self.cache;
        if self.is_committed {
            cache.revocations.revoke(self.scope);
        } else {
            let bound = nanoseconds(cache.settings.max_staleness);
            cache.revocations.close(self.scope, cache.monotonic().saturating_add(bound));
        }
    }
}

fn hash(id: Uuid) -> u64 {
    id.as_u64_pair().1
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

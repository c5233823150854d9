//! The uses that are not written yet, in a bounded map.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};

use foldhash::fast::RandomState;
use uuid::Uuid;

use crate::session::seen::Client;
use crate::sync::Mutex;

/// How many parts the map has, each with a lock of its own.
const SHARDS: usize = 64;

/// How many sessions a part holds.
const MOST: usize = 1024;

/// How many sessions of a part are enough for it to be written before it is full.
const CROWDED: usize = MOST / 4 * 3;

/// How many sessions can have a use that is not written yet.
pub(crate) const CAPACITY: usize = SHARDS * MOST;

/// The last use of a session.
#[derive(Clone)]
pub(super) struct Use {
    /// In microseconds since 1970.
    pub(super) at: i64,
    /// What is known of the client, if anything is.
    pub(super) client: Option<Arc<Client>>,
}

/// A session and its last use.
pub(super) type Used = (Uuid, Use);

/// What became of a use that was to be noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// An earlier use of the session was not written yet, and never will be.
    Again,
    First,
    /// There is little room left.
    Crowded,
    /// There is no room.
    Dropped,
}

/// The last use of each session that has one which is not written yet.
///
/// A use stays here until it is known to be written, so a write that fails or that is given up loses nothing.
pub(super) struct Entries {
    shards: Box<[Shard]>,
    count: AtomicUsize,
}

/// A part of the map, in cache lines of its own, so that threads that note uses in different parts share none.
///
/// The hash is a fast one with random seeds: this is on the path of every lookup, and a client names no session by its id.
#[repr(align(64))]
struct Shard(Mutex<HashMap<Uuid, Use, RandomState>>);

impl Shard {
    fn new() -> Self {
        Self(Mutex::new(HashMap::default()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Use, RandomState>> {
        self.0.lock()
    }
}

impl Entries {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Shard::new()).collect();
        Self { shards, count: AtomicUsize::new(0) }
    }

    /// Notes a use. The instant of a session never goes back, even if the clock is set back.
    pub(super) fn note(&self, id: Uuid, at: i64, client: Option<&Client>) -> Noted {
        let mut shard = self.shard(id).lock();
        if let Some(known) = shard.get_mut(&id) {
            known.at = known.at.max(at);
            if let Some(client) = client {
                let earlier = known.client.as_deref();
                let client = earlier.map_or_else(|| client.clone(), |earlier| earlier.followed_by(client));
                if known.client.as_deref() != Some(&client) {
                    known.client = Some(Arc::new(client));
                }
            }
            return Noted::Again;
        }
        if shard.len() >= MOST {
            return Noted::Dropped;
        }
        shard.insert(id, Use { at, client: client.cloned().map(Arc::new) });
        self.count.fetch_add(1, Ordering::SeqCst);
        if shard.len() > CROWDED { Noted::Crowded } else { Noted::First }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Returns the instant of the session's last use, in microseconds since 1970, if that is not written yet.
    pub(super) fn last_use(&self, id: Uuid) -> Option<i64> {
        self.shard(id).lock().get(&id).map(|known| known.at)
    }

    /// Returns every session with its last use, in the order of their ids.
    pub(super) fn all(&self) -> Vec<Used> {
        let mut all = Vec::with_capacity(self.count.load(Ordering::SeqCst));
        for shard in &self.shards {
            all.extend(shard.lock().iter().map(|(id, known)| (*id, known.clone())));
        }
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    /// Forgets these uses, except for those of sessions that were used again since.
    pub(super) fn forget<'u>(&self, written: impl IntoIterator<Item = &'u Used>) {
        for (id, written) in written {
            let mut shard = self.shard(*id).lock();
            let is_last = |known: &Use| known.at == written.at && known.client == written.client;
            if shard.get(id).is_some_and(is_last) {
                shard.remove(id);
                self.count.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    fn shard(&self, id: Uuid) -> &Shard {
        // The high bits of the product depend on all bits of an id, also of one that another program has made.
        let (high, low) = id.as_u64_pair();
        let mixed = (high ^ low).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.shards[(mixed >> 58) as usize % SHARDS]
    }
}

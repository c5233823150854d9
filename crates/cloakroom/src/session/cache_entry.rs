//! An answer of the database, with the metadata that decides whether it still holds. Nothing here says where answers
//! are kept.

use super::clock_reading::ClockReading;

/// The key of an entry: the bytes of a digest, which are as good as random.
pub(crate) type Key = [u8; 32];

/// When a lookup asked the database, and what had been revoked by then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReadMark {
    /// The version of the last revocation at that time.
    pub(crate) version: u64,
    /// When the lookup asked the database.
    pub(crate) at: ClockReading,
}

/// An answer and the metadata by which it is found and judged. The metadata comes first: a reader fetches those lines
/// of memory anyway.
#[derive(Clone)]
#[repr(C)]
pub(crate) struct CacheEntry<V> {
    pub(crate) metadata: EntryMetadata,
    pub(crate) value: V,
}

/// Entry metadata: what decides whether an answer may be given again.
#[derive(Clone)]
pub(crate) struct EntryMetadata {
    pub(crate) key: Key,
    pub(crate) mark: ReadMark,
    /// The hash of the session's id.
    pub(crate) session: u64,
    /// The instant from which the database must be asked again, in microseconds since 1970, on the wall clock.
    pub(crate) until: i64,
}

impl<V> CacheEntry<V> {
    /// Makes an entry that is in no cache.
    pub(crate) fn uncached(value: V) -> Self {
        let metadata = EntryMetadata { key: [0; 32], mark: ReadMark::default(), session: 0, until: i64::MIN };
        Self { metadata, value }
    }

    pub(crate) fn set_metadata(&mut self, metadata: EntryMetadata) {
        self.metadata = metadata;
    }
}

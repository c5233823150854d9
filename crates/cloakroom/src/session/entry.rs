//! What is known of an answer that is kept in memory, beside the answer itself. It says nothing of where it is kept.

use super::moment::Moment;

/// What a value is found by: a digest's bytes, which are as good as random.
pub(crate) type Key = [u8; 32];

/// When a lookup asked, and what had been revoked by then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// How many revocations there had been.
    pub(crate) number: u64,
    pub(crate) at: Moment,
}

/// An answer, behind what it is found and judged by: on the lines of memory that whoever takes it fetches anyhow.
#[derive(Clone)]
#[repr(C)]
pub(crate) struct Kept<V> {
    pub(crate) note: Note,
    pub(crate) value: V,
}

/// What is to be known of an answer.
#[derive(Clone)]
pub(crate) struct Note {
    pub(crate) key: Key,
    pub(crate) asked: Asked,
    /// Which session it is about.
    pub(crate) session: u64,
    /// From then on, by the wall clock, the database is to be asked again.
    pub(crate) until: i64,
}

impl<V> Kept<V> {
    /// An answer that is on no shelf.
    pub(crate) fn nowhere(value: V) -> Self {
        let note = Note { key: [0; 32], asked: Asked::default(), session: 0, until: i64::MIN };
        Self { note, value }
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.note = note;
    }
}

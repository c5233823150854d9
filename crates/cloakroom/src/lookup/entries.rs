use std::sync::Arc;

use super::sync::Mutex;

/// How many places a key can have. With so many, sets that are half full on average hardly ever overflow: of eight
/// ways one value in a hundred would have no place, of sixteen one in a thousand.
const WAYS: usize = 16;

/// What a value is found by: a digest's bytes, which are as good as random.
pub(crate) type Key = [u8; 32];

/// What knows its key.
pub(crate) trait Keyed {
    fn key(&self) -> &Key;
}

/// A bounded map, built like a processor's cache: a key has a place in one small set, and where that is full
/// the value goes that was not asked for the longest. So it never grows, and two keys rarely share a lock.
///
/// Most of what a call waits for is memory: once for the set, and once for the value, which holds its key.
pub(crate) struct Entries<V> {
    sets: Box<[Lines<V>]>,
}

/// A set on three lines of memory: what is looked at to find a value fills the first.
#[repr(align(64))]
struct Lines<V>(Mutex<Set<V>>);

#[repr(C)]
struct Set<V> {
    /// A part of each key: what is not there is hardly ever looked at.
    tags: [u16; WAYS],
    /// In the order of their uses.
    last_uses: [u8; WAYS],
    uses: u8,
    values: [Option<Arc<V>>; WAYS],
}

impl<V: Keyed> Entries<V> {
    /// Room for `capacity` values, rounded up to whole sets.
    pub(crate) fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).max(1);
        Self { sets: (0..sets).map(|_| Lines(Mutex::new(Set::empty()))).collect() }
    }

    /// The bytes that all places take, empty or not.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        size_of_val(&*self.sets)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<V>> {
        let mut set = self.set(key).lock();
        let place = set.place(key)?;
        set.use_now(place);
        set.values[place].clone()
    }

    pub(crate) fn put(&self, value: Arc<V>) {
        let key = *value.key();
        let mut set = self.set(&key).lock();
        let place = set.place(&key).unwrap_or_else(|| set.free());
        set.use_now(place);
        set.tags[place] = tag(&key);
        let dropped = set.values[place].replace(value);
        // What is given back takes a while, and nobody need wait for it.
        drop(set);
        drop(dropped);
    }

    pub(crate) fn remove(&self, key: &Key) {
        let mut set = self.set(key).lock();
        let removed = set.place(key).and_then(|place| set.values[place].take());
        drop(set);
        drop(removed);
    }

    /// The set in whose share of all numbers the key's first lies.
    fn set(&self, key: &Key) -> &Mutex<Set<V>> {
        let mut first = [0; 8];
        first.copy_from_slice(&key[..8]);
        let place = (u128::from(u64::from_le_bytes(first)) * self.sets.len() as u128) >> u64::BITS;
        // It is less than the number of sets.
        #[expect(clippy::cast_possible_truncation, reason = "a share is a place in the list")]
        &self.sets[place as usize].0
    }
}

impl<V: Keyed> Set<V> {
    fn empty() -> Self {
        Self { tags: [0; WAYS], last_uses: [0; WAYS], uses: 0, values: [const { None }; WAYS] }
    }

    fn place(&self, key: &Key) -> Option<usize> {
        let tag = tag(key);
        let is_it = |value: &Arc<V>| value.key() == key;
        (0..WAYS).find(|&place| self.tags[place] == tag && self.values[place].as_ref().is_some_and(is_it))
    }

    /// A place for one more.
    fn free(&self) -> usize {
        let rank = |&place: &usize| (self.values[place].is_some(), self.last_uses[place]);
        (0..WAYS).min_by_key(rank).unwrap_or(0)
    }

    fn use_now(&mut self, place: usize) {
        if self.uses == u8::MAX {
            self.count_anew();
        }
        self.uses += 1;
        self.last_uses[place] = self.uses;
    }

    /// The order stays as it is, in the smallest numbers.
    #[expect(clippy::cast_possible_truncation, reason = "there are no more places than that")]
    fn count_anew(&mut self) {
        let uses = self.last_uses;
        let rank = |use_: u8| uses.iter().filter(|other| **other < use_).count() as u8;
        self.last_uses = uses.map(rank);
        self.uses = WAYS as u8;
    }
}

/// Of other bytes than those by which a key's set is found.
fn tag(key: &Key) -> u16 {
    u16::from_le_bytes([key[8], key[9]])
}

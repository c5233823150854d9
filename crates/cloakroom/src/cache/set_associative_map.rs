use std::sync::Arc;

use super::cache_entry::Key;
use super::sync::Mutex;

/// How many places a set has. The more there are, the fewer sets are full while others have room.
const WAYS: usize = 16;

/// What a call has changed about a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// How many values more there are.
    pub(crate) more: i32,
    /// Whether a value of another key was dropped.
    pub(crate) has_evicted: bool,
}

impl Change {
    fn put(has_replaced: bool) -> Self {
        Self { more: i32::from(!has_replaced), has_evicted: false }
    }

    fn and_removed(self, is_removed: bool) -> Self {
        Self { more: self.more - i32::from(is_removed), ..self }
    }
}

/// A value that knows its key.
pub(crate) trait Keyed {
    fn key(&self) -> &Key;
}

/// A bounded map, built like a processor's cache: a key has its places in one small set, and two keys rarely share a
/// lock. A value that finds no room in its own set goes into the next one. If that is full too, the value in its own
/// set that was not used for longest is dropped. So the map never grows, and it keeps all values as long as it is half
/// empty.
///
/// A call mostly waits for memory: once for the set, and once for the value, which holds its key.
pub(crate) struct SetAssociativeMap<V> {
    sets: Box<[Lines<V>]>,
}

/// A set on three lines of memory. The first line holds all that is read to find a value.
#[repr(align(64))]
struct Lines<V>(Mutex<Set<V>>);

#[repr(C)]
struct Set<V> {
    /// A part of each key, so that a value is rarely read for a key that is not there.
    tags: [u16; WAYS],
    /// In the order of their uses.
    last_uses: [u8; WAYS],
    uses: u8,
    /// Whether one of its keys may be in the next set.
    overflows: bool,
    values: [Option<Arc<V>>; WAYS],
}

impl<V: Keyed> SetAssociativeMap<V> {
    /// Makes a map with room for `capacity` values, rounded up to whole sets, of which there are at least two.
    pub(crate) fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).max(2);
        Self { sets: (0..sets).map(|_| Lines(Mutex::new(Set::empty()))).collect() }
    }

    /// Returns the bytes that all places take, empty or not.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        size_of_val(&*self.sets)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<V>> {
        let (home, next) = self.sets(key);
        let mut set = home.lock();
        let found = set.get(key);
        if found.is_some() || !set.overflows {
            return found;
        }
        drop(set);
        next.lock().get(key)
    }

    /// Puts a value. If two threads put values of one key at the same time, either may be the one that is found.
    pub(crate) fn put(&self, value: Arc<V>) -> Change {
        let key = *value.key();
        let (home, next) = self.sets(&key);
        let offered = home.lock().offer(value);
        let value = match offered {
            Ok(replaced) => {
                // Removes a value that was put while there was no room at home, which a later lookup could find again.
                let older = next.lock().take(&key);
                return Change::put(replaced.is_some()).and_removed(older.is_some());
            }
            Err(value) => value,
        };
        home.lock().overflows = true;
        let offered = next.lock().offer(value);
        match offered {
            Ok(replaced) => Change::put(replaced.is_some()),
            Err(value) => {
                let oldest = home.lock().replace_oldest(value);
                Change { has_evicted: oldest.is_some(), ..Change::put(oldest.is_some()) }
            }
        }
    }

    pub(crate) fn remove(&self, key: &Key) -> Change {
        let (home, next) = self.sets(key);
        let removed = [home, next].map(|set| set.lock().take(key));
        removed.iter().fold(Change::default(), |change, removed| change.and_removed(removed.is_some()))
    }

    /// Returns the set that the key's first bytes select, by their share of all numbers, and the set after it.
    fn sets(&self, key: &Key) -> (&Mutex<Set<V>>, &Mutex<Set<V>>) {
        let mut first = [0; 8];
        first.copy_from_slice(&key[..8]);
        let place = (u128::from(u64::from_le_bytes(first)) * self.sets.len() as u128) >> u64::BITS;
        // It is less than the number of sets.
        #[expect(clippy::cast_possible_truncation, reason = "a share is a place in the list")]
        let place = place as usize;
        let next = self.sets.get(place + 1).unwrap_or(&self.sets[0]);
        (&self.sets[place].0, &next.0)
    }
}

/// Values that are replaced are returned: dropping them takes a while, and no lock is held for it.
impl<V: Keyed> Set<V> {
    fn empty() -> Self {
        let values = [const { None }; WAYS];
        Self { tags: [0; WAYS], last_uses: [0; WAYS], uses: 0, overflows: false, values }
    }

    fn get(&mut self, key: &Key) -> Option<Arc<V>> {
        let place = self.place(key)?;
        self.use_now(place);
        self.values[place].clone()
    }

    /// Puts the value in the place that its key has, or in a free one. If there is neither, the value is returned.
    fn offer(&mut self, value: Arc<V>) -> Result<Option<Arc<V>>, Arc<V>> {
        let vacancy = || self.values.iter().position(Option::is_none);
        match self.place(value.key()).or_else(vacancy) {
            Some(place) => Ok(self.put(place, value)),
            None => Err(value),
        }
    }

    /// Puts the value in a free place, or else in the place of the value that was not used for longest.
    fn replace_oldest(&mut self, value: Arc<V>) -> Option<Arc<V>> {
        self.offer(value).unwrap_or_else(|value| {
            let oldest = (0..WAYS).min_by_key(|place| self.last_uses[*place]).unwrap_or(0);
            self.put(oldest, value)
        })
    }

    fn put(&mut self, place: usize, value: Arc<V>) -> Option<Arc<V>> {
        self.use_now(place);
        self.tags[place] = tag(value.key());
        self.values[place].replace(value)
    }

    fn take(&mut self, key: &Key) -> Option<Arc<V>> {
        self.place(key).and_then(|place| self.values[place].take())
    }

    fn place(&self, key: &Key) -> Option<usize> {
        let tag = tag(key);
        // All tags are compared before any value is read, so that the processor need not guess which one it will be.
        let is_there = |place: usize| u16::from(self.tags[place] == tag) << place;
        let mut places = (0..WAYS).map(is_there).fold(0, |all, one| all | one);
        while places != 0 {
            let place = places.trailing_zeros() as usize;
            if self.values[place].as_ref().is_some_and(|value| value.key() == key) {
                return Some(place);
            }
            places &= places - 1;
        }
        None
    }

    fn use_now(&mut self, place: usize) {
        if self.uses == u8::MAX {
            self.count_anew();
        }
        self.uses += 1;
        self.last_uses[place] = self.uses;
    }

    /// Numbers the uses anew from the smallest numbers. The order stays as it is.
    #[expect(clippy::cast_possible_truncation, reason = "there are no more places than that")]
    fn count_anew(&mut self) {
        let uses = self.last_uses;
        let rank = |use_: u8| uses.iter().filter(|other| **other < use_).count() as u8;
        self.last_uses = uses.map(rank);
        self.uses = WAYS as u8;
    }
}

/// Returns the key's tag, from other bytes than those that select its set.
fn tag(key: &Key) -> u16 {
    u16::from_le_bytes([key[8], key[9]])
}

use std::sync::Arc;

use super::cache_entry::Key;
use super::sync::Mutex;

/// How many places a set has. The more there are, the fewer sets are full while others have room.
const WAYS: usize = 16;

/// What knows its key.
pub(crate) trait Keyed {
    fn key(&self) -> &Key;
}

/// A bounded map, built like a processor's cache: a key has its places in one small set, and two keys rarely share
/// a lock. What finds no room in its own set goes into the next; where that is full too, the value in its own set
/// goes that was not asked for the longest. So the map never grows, and as long as it is half empty keeps all.
///
/// Most of what a call waits for is memory: once for the set, and once for the value, which holds its key.
pub(crate) struct SetAssociativeMap<V> {
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
    /// Whether one of its keys may be in the next set.
    overflows: bool,
    values: [Option<Arc<V>>; WAYS],
}

impl<V: Keyed> SetAssociativeMap<V> {
    /// Room for `capacity` values, rounded up to whole sets, of which there are two at least.
    pub(crate) fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).max(2);
        Self { sets: (0..sets).map(|_| Lines(Mutex::new(Set::empty()))).collect() }
    }

    /// The bytes that all places take, empty or not.
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

    /// Where two put values of one key at the same time, either may be the one that is found.
    pub(crate) fn put(&self, value: Arc<V>) {
        let key = *value.key();
        let (home, next) = self.sets(&key);
        let offered = home.lock().offer(value);
        let Err(value) = offered else {
            // What was put while there was no room at home, which would be found again without this one.
            let _older = next.lock().take(&key);
            return;
        };
        home.lock().overflows = true;
        let offered = next.lock().offer(value);
        if let Err(value) = offered {
            let _oldest = home.lock().replace_oldest(value);
        }
    }

    pub(crate) fn remove(&self, key: &Key) {
        let (home, next) = self.sets(key);
        let _removed = [home, next].map(|set| set.lock().take(key));
    }

    /// The set in whose share of all numbers the key's first lies, and the one after it.
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

/// Values that go are given back: dropping them takes a while, for which no lock is held.
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

    /// Puts the value where its key has a place, or where there is room; without either it comes back.
    fn offer(&mut self, value: Arc<V>) -> Result<Option<Arc<V>>, Arc<V>> {
        let vacancy = || self.values.iter().position(Option::is_none);
        match self.place(value.key()).or_else(vacancy) {
            Some(place) => Ok(self.put(place, value)),
            None => Err(value),
        }
    }

    /// Puts the value where there is room, or else in the place of what was not used for the longest.
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
        // All are compared before any is looked at, so that the processor need not guess which it will be.
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

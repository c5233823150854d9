use super::sync::Mutex;

/// How many places a key can have.
const WAYS: usize = 8;

/// What a value is found by: a digest's bytes, which are as good as random.
pub(crate) type Key = [u8; 32];

/// A bounded map, built like a processor's cache: a key has a place in one small set, and where that is full
/// the value goes that was not asked for the longest. So it never grows, and two keys rarely share a lock.
pub(crate) struct Entries<V> {
    sets: Box<[Line<V>]>,
}

/// A set on one line of the processor's cache: a key that is not there costs no more than that.
#[repr(align(64))]
struct Line<V>(Mutex<Set<V>>);

struct Set<V> {
    /// A part of each key.
    tags: [u16; WAYS],
    entries: Vec<Entry<V>>,
    uses: u64,
}

struct Entry<V> {
    key: Key,
    last_use: u64,
    value: V,
}

impl<V: Clone> Entries<V> {
    /// Room for `capacity` values, rounded up to whole sets.
    pub(crate) fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).max(1);
        let empty = || Line(Mutex::new(Set { tags: [0; WAYS], entries: Vec::new(), uses: 0 }));
        Self { sets: (0..sets).map(|_| empty()).collect() }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<V> {
        let mut set = self.set(key).lock();
        set.uses += 1;
        let (place, uses) = (set.place(key)?, set.uses);
        let entry = &mut set.entries[place];
        entry.last_use = uses;
        Some(entry.value.clone())
    }

    pub(crate) fn put(&self, key: &Key, value: V) {
        let mut set = self.set(key).lock();
        set.uses += 1;
        let entry = Entry { key: *key, last_use: set.uses, value };
        let place = match set.place(key) {
            None if set.entries.len() < WAYS => set.entries.len(),
            None => (0..WAYS).min_by_key(|&place| set.entries[place].last_use).unwrap_or(0),
            Some(place) => place,
        };
        set.tags[place] = tag(key);
        if let Some(place) = set.entries.get_mut(place) {
            *place = entry;
        } else {
            // No room for others who may never come.
            set.entries.reserve_exact(1);
            set.entries.push(entry);
        }
    }

    pub(crate) fn remove(&self, key: &Key) {
        let mut set = self.set(key).lock();
        if let Some(place) = set.place(key) {
            set.entries.swap_remove(place);
            set.tags[place] = set.tags[set.entries.len()];
        }
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

impl<V> Set<V> {
    fn place(&self, key: &Key) -> Option<usize> {
        let tag = tag(key);
        (0..self.entries.len()).find(|&place| self.tags[place] == tag && self.entries[place].key == *key)
    }
}

/// Of other bytes than those by which a key's set is found.
fn tag(key: &Key) -> u16 {
    u16::from_le_bytes([key[8], key[9]])
}

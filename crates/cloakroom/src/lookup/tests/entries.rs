use std::collections::HashMap;
use std::sync::Arc;

use crate::lookup::entries::{Entries, Key, Keyed};

/// A key in this sixteenth of all keys: where there are no more sets, another sixteenth may be another set.
fn key(sixteenth: u64, number: u8) -> Key {
    let mut key = [number; 32];
    key[..8].copy_from_slice(&(sixteenth << 60).to_le_bytes());
    key
}

struct Entry<V>(Key, V);

impl<V> Keyed for Entry<V> {
    fn key(&self) -> &Key {
        &self.0
    }
}

struct Values<V>(Entries<Entry<V>>);

impl<V: Clone> Values<V> {
    fn new(capacity: usize) -> Self {
        Self(Entries::new(capacity))
    }

    fn put(&self, key: &Key, value: V) {
        self.0.put(Arc::new(Entry(*key, value)));
    }

    fn get(&self, key: &Key) -> Option<V> {
        self.0.get(key).map(|entry| entry.1.clone())
    }

    fn remove(&self, key: &Key) {
        self.0.remove(key);
    }
}

fn held<V: Clone>(entries: &Values<V>, keys: impl IntoIterator<Item = Key>) -> usize {
    keys.into_iter().filter(|key| entries.get(key).is_some()).count()
}

#[test]
fn what_was_put_is_there() {
    let entries = Values::new(100);
    assert_eq!(entries.get(&key(0, 1)), None);
    entries.put(&key(0, 1), "one");
    entries.put(&key(0, 2), "two");
    entries.put(&key(1, 1), "other");
    assert_eq!(entries.get(&key(0, 1)), Some("one"));
    entries.put(&key(0, 1), "one anew");
    assert_eq!(entries.get(&key(0, 1)), Some("one anew"));
    assert_eq!(entries.get(&key(0, 2)), Some("two"));
    assert_eq!(entries.get(&key(1, 1)), Some("other"));
}

#[test]
fn the_whole_key_counts() {
    let entries = Values::new(16);
    entries.put(&[0; 32], ());
    for place in 0..32 {
        let mut other = [0; 32];
        other[place] = 1;
        assert_eq!(entries.get(&other), None);
    }
}

#[test]
fn it_never_holds_more_than_its_capacity_in_whole_sets() {
    for (capacity, room) in [(0, 16), (1, 16), (16, 16), (17, 32), (200, 208)] {
        let entries = Values::new(capacity);
        let keys = || (0..=255).flat_map(|number| (0..16).map(move |sixteenth| key(sixteenth, number)));
        for key in keys() {
            entries.put(&key, ());
        }
        assert_eq!(held(&entries, keys()), room, "{capacity}");
    }
}

#[test]
fn where_a_set_is_full_the_value_goes_that_was_not_used_for_the_longest() {
    let entries = Values::new(32);
    for number in 0..16 {
        entries.put(&key(0, number), number);
    }
    // Reading is a use, and so is putting anew.
    entries.get(&key(0, 0)).unwrap();
    entries.put(&key(0, 1), 1);
    for newcomer in [16, 17, 18] {
        entries.put(&key(0, newcomer), newcomer);
    }
    // Another set is not concerned.
    entries.put(&key(8, 0), 0);
    let gone: Vec<_> = (0..=18).filter(|number| entries.get(&key(0, *number)).is_none()).collect();
    assert_eq!(gone, [2, 3, 4]);
}

#[test]
fn the_order_of_uses_outlives_the_count_that_begins_anew() {
    for (uses, newcomers) in
        [1, 100, 239, 240, 241, 10_000].into_iter().flat_map(|n| [(n, 1), (n, 6), (n, 15)])
    {
        let entries = Values::new(16);
        for number in 0..16 {
            entries.put(&key(0, number), number);
        }
        for _ in 0..uses {
            entries.get(&key(0, 3)).unwrap();
        }
        for newcomer in 16..16 + newcomers {
            entries.put(&key(0, newcomer), newcomer);
        }
        let gone: Vec<_> = (0..16).filter(|number| entries.get(&key(0, *number)).is_none()).collect();
        let first: Vec<_> = (0..16).filter(|number| *number != 3).take(newcomers.into()).collect();
        assert_eq!(gone, first, "after {uses} uses");
    }
}

#[test]
fn what_was_removed_is_gone_and_its_place_is_taken_first() {
    let entries = Values::new(16);
    for number in 0..16 {
        entries.put(&key(0, number), number);
    }
    entries.remove(&key(0, 5));
    entries.remove(&key(0, 17));
    assert_eq!(entries.get(&key(0, 5)), None);
    entries.put(&key(0, 16), 16);
    let gone: Vec<_> = (0..=16).filter(|number| entries.get(&key(0, *number)).is_none()).collect();
    assert_eq!(gone, [5]);
}

#[test]
fn what_is_dropped_out_is_dropped() {
    let entries = Values::new(16);
    let values: Vec<_> = (0..40).map(Arc::new).collect();
    for (number, value) in (0..).zip(&values) {
        entries.put(&key(0, number), Arc::clone(value));
    }
    assert_eq!(values.iter().filter(|value| Arc::strong_count(value) == 2).count(), 16);
    drop(entries);
    assert!(values.iter().all(|value| Arc::strong_count(value) == 1));
}

#[test]
fn a_set_takes_three_lines_of_memory() {
    assert_eq!(Entries::<Entry<()>>::new(16).size(), 3 * 64);
}

#[test]
fn half_full_it_has_a_place_for_nearly_all() {
    let entries = Values::new(20_000);
    let keys = || {
        (0..10_000_u64).map(|number| {
            let mut key = [0; 32];
            // A digest is as good as random.
            let random = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            key[..8]
                .copy_from_slice(&(random ^ random >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes());
            key[8..16].copy_from_slice(&number.to_le_bytes());
            key
        })
    };
    for key in keys() {
        entries.put(&key, ());
    }
    let held = held(&entries, keys());
    assert!(held >= 9_970, "{held} of ten thousand");
}

#[test]
fn it_does_as_a_plain_map_with_the_same_rule_does() {
    let entries = Values::new(48);
    let mut naive: HashMap<Key, (u64, u64)> = HashMap::new();
    let mut random: u64 = 0x2545_f491_4f6c_dd1d;
    for step in 0..20_000_u64 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let key = key(random % 3 * 6, u8::try_from((random >> 8) % 24).unwrap());
        if (random >> 16) % 8 < 4 {
            entries.put(&key, step);
            let set = naive.iter().filter(|(other, _)| other[..8] == key[..8]);
            if !naive.contains_key(&key) && set.clone().count() == 16 {
                let oldest = *set.min_by_key(|(_, (_, used))| *used).unwrap().0;
                naive.remove(&oldest);
            }
            naive.insert(key, (step, step));
        } else {
            let kept = naive.get_mut(&key);
            assert_eq!(entries.get(&key), kept.as_deref().map(|(value, _)| *value));
            if let Some((_, used)) = kept {
                *used = step;
            }
        }
    }
    assert_eq!(naive.len(), 48);
}

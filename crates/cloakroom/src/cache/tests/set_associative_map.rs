use std::sync::Arc;

use crate::cache::set_associative_map::{Change, Keyed, SetAssociativeMap};
use crate::session::cache_entry::Key;

/// A key in this sixteenth of all keys. With at most sixteen sets, another sixteenth may be another set.
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

struct Values<V>(SetAssociativeMap<Entry<V>>);

impl<V: Clone> Values<V> {
    fn new(capacity: usize) -> Self {
        Self(SetAssociativeMap::new(capacity))
    }

    fn put(&self, key: &Key, value: V) -> Change {
        self.0.put(Arc::new(Entry(*key, value)))
    }

    fn get(&self, key: &Key) -> Option<V> {
        self.0.get(key).map(|entry| entry.1.clone())
    }

    fn remove(&self, key: &Key) -> Change {
        self.0.remove(key)
    }
}

/// Two sets, of which the second is full of its own values.
fn beside_a_full_set() -> Values<u8> {
    let entries = Values::new(32);
    for number in 100..116 {
        entries.put(&key(8, number), number);
    }
    entries
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
    for (capacity, room) in [(0, 32), (1, 32), (32, 32), (33, 48), (200, 208)] {
        let entries = Values::new(capacity);
        let keys = || (0..=255).flat_map(|number| (0..16).map(move |sixteenth| key(sixteenth, number)));
        for key in keys() {
            entries.put(&key, ());
        }
        assert_eq!(held(&entries, keys()), room, "{capacity}");
    }
}

#[test]
fn where_two_sets_are_full_the_value_goes_that_was_not_used_for_the_longest() {
    let entries = beside_a_full_set();
    for number in 0..16 {
        entries.put(&key(0, number), number);
    }
    // Reading is a use, and so is putting anew.
    entries.get(&key(0, 0)).unwrap();
    entries.put(&key(0, 1), 1);
    for newcomer in [16, 17, 18] {
        entries.put(&key(0, newcomer), newcomer);
    }
    let gone: Vec<_> = (0..=18).filter(|number| entries.get(&key(0, *number)).is_none()).collect();
    assert_eq!(gone, [2, 3, 4]);
    // The next set drops none of its values for a guest.
    assert!((100..116).all(|number| entries.get(&key(8, number)) == Some(number)));
}

#[test]
fn what_finds_no_room_goes_into_the_next_set() {
    let entries = Values::new(48);
    // In the last set. Its next set is the first.
    for number in 0..32 {
        entries.put(&key(15, number), number);
    }
    assert!((0..32).all(|number| entries.get(&key(15, number)) == Some(number)));
    // A set drops no guest for a value of its own as long as there is room in its next set.
    entries.put(&key(0, 100), 100);
    assert_eq!(held(&entries, (0..32).map(|number| key(15, number))), 32);
    assert_eq!(entries.get(&key(0, 100)), Some(100));
}

#[test]
fn a_guest_that_is_put_anew_leaves_no_older_value_behind() {
    let entries = Values::new(48);
    for number in 0..=16 {
        entries.put(&key(0, number), number);
    }
    entries.put(&key(0, 16), 200);
    assert_eq!(entries.get(&key(0, 16)), Some(200));
    // This time there is room at home, until other values need it.
    entries.remove(&key(0, 3));
    entries.put(&key(0, 16), 201);
    assert_eq!(entries.get(&key(0, 16)), Some(201));
    for newcomer in 17..100 {
        entries.put(&key(0, newcomer), newcomer);
    }
    assert_eq!(entries.get(&key(0, 16)), None);
}

#[test]
fn the_order_of_uses_outlives_the_count_that_begins_anew() {
    for (uses, newcomers) in
        [1, 100, 239, 240, 241, 10_000].into_iter().flat_map(|n| [(n, 1), (n, 6), (n, 15)])
    {
        let entries = beside_a_full_set();
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
    let entries = beside_a_full_set();
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
    assert_eq!(values.iter().filter(|value| Arc::strong_count(value) == 2).count(), 32);
    drop(entries);
    assert!(values.iter().all(|value| Arc::strong_count(value) == 1));
}

#[test]
fn a_set_takes_three_lines_of_memory() {
    assert_eq!(SetAssociativeMap::<Entry<()>>::new(48).size(), 3 * 3 * 64);
}

#[test]
fn half_full_it_has_a_place_for_all() {
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
    assert_eq!(held(&entries, keys()), 10_000);
}

/// The same rule, in lists that are searched from one end to the other.
struct Naive([Vec<(Key, u64, u64)>; 3]);

impl Naive {
    fn homes(key: &Key) -> [usize; 2] {
        let home = usize::from(key[7] >> 4) * 3 / 16;
        [home, (home + 1) % 3]
    }

    fn find(&mut self, key: &Key) -> Option<&mut (Key, u64, u64)> {
        let [home, next] = Self::homes(key);
        let set = if self.0[home].iter().any(|(other, ..)| other == key) { home } else { next };
        self.0[set].iter_mut().find(|(other, ..)| other == key)
    }

    fn put(&mut self, key: Key, value: u64, now: u64) {
        let [home, next] = Self::homes(&key);
        let has_key = |set: &Vec<(Key, u64, u64)>| set.iter().any(|(other, ..)| *other == key);
        let (at_home, at_next) = (has_key(&self.0[home]), has_key(&self.0[next]));
        let mut place = home;
        if !at_home && self.0[home].len() == 16 {
            if at_next || self.0[next].len() < 16 {
                place = next;
            } else {
                let oldest = (0..16).min_by_key(|place| self.0[home][*place].2).unwrap();
                self.0[home].remove(oldest);
            }
        }
        for set in [home, next] {
            self.0[set].retain(|(other, ..)| *other != key);
        }
        self.0[place].push((key, value, now));
    }
}

#[test]
fn it_does_as_plain_lists_with_the_same_rule_do() {
    let entries = Values::new(48);
    let mut naive = Naive(Default::default());
    let mut random: u64 = 0x2545_f491_4f6c_dd1d;
    for step in 0..40_000_u64 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // More keys, and then fewer, fall into the first set than it has places.
        let keys = if step % 10_000 < 5_000 { [40, 12, 20] } else { [8, 30, 12] };
        let set = random % 3;
        let key = key(set * 6, u8::try_from((random >> 8) % keys[usize::try_from(set).unwrap()]).unwrap());
        match (random >> 16) % 8 {
            0..4 => {
                entries.put(&key, step);
                naive.put(key, step, step);
            }
            4 => {
                entries.remove(&key);
                naive.0.iter_mut().for_each(|set| set.retain(|(other, ..)| *other != key));
            }
            _ => {
                let kept = naive.find(&key);
                assert_eq!(entries.get(&key), kept.as_ref().map(|(_, value, _)| *value), "step {step}");
                if let Some((.., used)) = kept {
                    *used = step;
                }
            }
        }
    }
    assert_eq!(naive.0.map(|set| set.len() > 8), [true; 3]);
}

#[test]
fn each_call_tells_how_many_values_more_there_are_and_whether_one_made_room() {
    let change = |more, has_evicted| Change { more, has_evicted };
    let entries = Values::new(32);
    assert_eq!(entries.put(&key(0, 1), 1), change(1, false));
    assert_eq!(entries.put(&key(0, 1), 2), change(0, false));
    assert_eq!(entries.remove(&key(0, 1)), change(-1, false));
    assert_eq!(entries.remove(&key(0, 1)), change(0, false));
    // Beside a full set: one set takes sixteen, and each after them drops one.
    let entries = beside_a_full_set();
    for number in 0..16 {
        assert_eq!(entries.put(&key(0, number), number), change(1, false));
    }
    assert_eq!(entries.put(&key(0, 16), 16), change(0, true));
    assert_eq!(entries.put(&key(0, 16), 17), change(0, false));
    // A value that found no room at home is in the next set, until there is room at home again.
    let entries = Values::new(32);
    for number in 0..17 {
        assert_eq!(entries.put(&key(0, number), number), change(1, false));
    }
    let elsewhere = (0..17).find(|number| {
        entries.remove(&key(0, *number));
        entries.put(&key(0, 16), 1).more == 0
    });
    assert!(elsewhere.is_some());
    assert_eq!(
        held(&entries, (0..17).map(|number| key(0, number))),
        17 - 1 - usize::from(elsewhere.unwrap())
    );
}

use uuid::Uuid;

use super::super::entries::{CAPACITY, Entries, Noted};
use crate::session::seen::Client;

fn client(address: &str) -> Client {
    Client { address: Some(address.parse().unwrap()), user_agent: None }
}

#[test]
fn a_session_has_one_use_the_last_and_its_instant_never_goes_back() {
    let (entries, id) = (Entries::new(), Uuid::now_v7());
    assert_eq!(entries.note(id, 10, None), Noted::First);
    assert_eq!(entries.note(id, 12, Some(&client("192.0.2.1"))), Noted::Again);
    assert_eq!(entries.note(id, 11, None), Noted::Again);
    assert_eq!((entries.last_use(id), entries.last_use(Uuid::now_v7())), (Some(12), None));
    let all = entries.all();
    assert_eq!((all.len(), all[0].0, all[0].1.at), (1, id, 12));
    // A use by a client that is not known says nothing of the last known one.
    assert!(all[0].1.client.as_deref() == Some(&client("192.0.2.1")));
}

#[test]
fn a_use_is_forgotten_once_it_is_written_and_a_later_one_is_not() {
    let (entries, [one, later, moved, gone]) = (Entries::new(), [(); 4].map(|()| Uuid::now_v7()));
    for id in [one, later, moved] {
        entries.note(id, 10, None);
    }
    let written = entries.all();
    entries.note(later, 11, None);
    // The clock stands still, and only the client is new.
    entries.note(moved, 10, Some(&client("192.0.2.1")));
    entries.forget(&written);
    let mut left: Vec<_> = entries.all().into_iter().map(|(id, _)| id).collect();
    left.sort();
    assert_eq!((left, entries.is_empty()), (vec![later, moved], false));
    entries.forget(&[(gone, written[0].1.clone())]);
    entries.forget(&entries.all());
    assert!(entries.is_empty() && entries.all().is_empty());
}

#[test]
fn sessions_are_listed_in_the_order_of_their_ids() {
    let entries = Entries::new();
    for number in 0..1000 {
        entries.note(Uuid::from_u128(u128::MAX / (number + 1)), 1, None);
    }
    let all = entries.all();
    assert!(all.len() == 1000 && all.is_sorted_by_key(|(id, _)| *id));
}

#[test]
fn there_is_a_bound_and_a_full_map_still_notes_what_it_has() {
    let entries = Entries::new();
    // Ids as a database counts them, and ids of one instant: they share most of their bits.
    let counted = (0..).map(Uuid::from_u128);
    let of_an_instant =
        (0..).map(|number| Uuid::from_u128(number | 0x0193_5e4c_0000_7000_8000_0000_0000_0000));
    let (mut crowded, mut dropped) = (None, 0);
    for (number, id) in counted.take(CAPACITY).chain(of_an_instant.take(CAPACITY)).enumerate() {
        match entries.note(id, 1, None) {
            Noted::Crowded => crowded = crowded.or(Some(number)),
            Noted::Dropped => dropped += 1,
            Noted::First => {}
            Noted::Again => panic!("{id} is new"),
        }
    }
    assert_eq!(entries.all().len() + dropped, 2 * CAPACITY);
    assert_eq!(entries.all().len(), CAPACITY);
    // Every part of the map is used.
    assert!(crowded.is_some_and(|first| first > CAPACITY / 2), "{crowded:?}");
    let (known, _) = entries.all()[7];
    assert_eq!((entries.note(known, 2, None), entries.last_use(known)), (Noted::Again, Some(2)));
    assert_eq!(entries.note(Uuid::from_u128(u128::MAX), 2, None), Noted::Dropped);
    entries.forget(&entries.all());
    assert_eq!(entries.note(Uuid::from_u128(u128::MAX), 2, None), Noted::First);
}

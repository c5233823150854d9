//! Random tests of what this crate reads from outside: no text makes it panic, and it reads back what it writes.
//!
//! Every run of the tests draws a few thousand inputs of each kind; `cargo xtask fuzz` draws others for as long as it
//! is told to.

use fastrand::Rng;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::session::Cursor;
use crate::session::data::StoredData;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// The number of rounds that `cargo xtask fuzz` asks for; few by default.
fn rounds() -> u64 {
    setting("CLOAKROOM_FUZZ_ROUNDS", 2_000)
}

fn random() -> Rng {
    Rng::with_seed(setting("CLOAKROOM_FUZZ_SEED", 1))
}

/// Returns text that is nearly `text`: with characters removed, added or replaced, or the end cut off.
fn damaged(random: &mut Rng, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(0..=chars.len());
        match random.u8(0..4) {
            0 if at < chars.len() => drop(chars.remove(at)),
            1 if at < chars.len() => chars[at] = random.char(..),
            2 => chars.insert(at, random.choice(['_', '-', '+', '0', '9', ' ', '\0']).unwrap_or('_')),
            _ => chars.truncate(at),
        }
    }
    chars.into_iter().collect()
}

#[test]
fn a_cursor_is_read_as_it_was_written_and_any_other_text_is_an_error_or_a_cursor() {
    let random = &mut random();
    for _ in 0..rounds() {
        // From the year 1 to 9999, in microseconds.
        let micros = random.i64(-62_135_596_800_000_000..253_402_300_800_000_000);
        let inserted_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).unwrap();
        let cursor = Cursor::new(inserted_at, Uuid::from_u128(random.u128(..)));
        let text = cursor.to_string();
        assert_eq!(text.parse(), Ok(cursor), "{text}");
        let damaged = damaged(random, &text);
        if let Ok(other) = damaged.parse::<Cursor>() {
            assert_eq!(other.to_string().parse(), Ok(other), "{damaged:?}");
        }
    }
}

const KEYS: [&str; 5] = ["a", "b", "", "\u{1f511}", "a\"\\\n"];

fn value(random: &mut Rng, depth: usize) -> Value {
    match random.u8(0..if depth == 0 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => random.bool().into(),
        2 => random.i64(..).into(),
        // A number that its text gives back to the bit.
        3 => json!(f64::from(random.i32(..)) / 4.0),
        4 => (0..random.usize(0..4)).map(|_| random.char(..)).collect::<String>().into(),
        5 => (0..random.usize(0..4)).map(|_| value(random, depth - 1)).collect(),
        _ => {
            let keys: Vec<_> = (0..random.usize(0..4)).map(|_| KEYS[random.usize(..KEYS.len())]).collect();
            keys.into_iter()
                .map(|key| (key.to_owned(), value(random, depth - 1)))
                .collect::<Map<_, _>>()
                .into()
        }
    }
}

/// Returns `of` with some of its parts replaced.
fn changed(random: &mut Rng, of: &Value, depth: usize) -> Value {
    if random.u8(0..4) == 0 {
        return value(random, depth);
    }
    match of {
        Value::Array(elements) => elements.iter().map(|element| changed(random, element, depth)).collect(),
        Value::Object(members) => {
            let kept: Vec<_> = members.iter().filter(|_| random.u8(0..8) > 0).collect();
            let changed = kept.into_iter().map(|(key, member)| (key.clone(), changed(random, member, depth)));
            changed.collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

#[test]
fn data_that_was_changed_is_read_as_the_change_has_it_and_data_that_was_not_is_not_written() {
    let random = &mut random();
    let mut changes = 0;
    for _ in 0..rounds() {
        let before = value(random, 3);
        let stored = StoredData::from_database(before.to_string());
        assert_eq!(stored.changed_to(&before).unwrap(), None, "{before}");
        let after = changed(random, &before, 3);
        match stored.changed_to(&after).unwrap() {
            Some(written) => {
                changes += 1;
                assert_eq!(written.parse::<Value>().unwrap(), after, "{before} to {after}");
                assert_eq!(written.changed_to(&after).unwrap(), None, "{after}");
            }
            None => assert_eq!(before, after),
        }
    }
    assert!(changes > rounds() / 10, "{changes} were changes");
}

#[test]
fn text_that_is_no_json_is_an_error_and_no_panic() {
    let random = &mut random();
    for _ in 0..rounds() {
        let text = value(random, 3).to_string();
        let stored = StoredData::from_database(damaged(random, &text));
        let _ = stored.parse::<Value>();
        let _ = stored.changed_to(&json!({"a": 1}));
    }
}

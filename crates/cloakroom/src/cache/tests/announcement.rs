use uuid::Uuid;

use crate::cache::Revoked;
use crate::cache::announcement::read;

fn is_one(announcement: &str, table: &str) -> Option<Uuid> {
    match read(announcement, table).collect::<Vec<_>>()[..] {
        [Revoked::Session(id)] => Some(id),
        _ => None,
    }
}

fn is_any(announcement: &str, table: &str) -> bool {
    matches!(read(announcement, table).collect::<Vec<_>>()[..], [Revoked::Any])
}

#[test]
fn what_was_announced_is_read() {
    let id = Uuid::now_v7();
    assert_eq!(is_one(&format!("sessions {id}"), "sessions"), Some(id));
    assert!(is_any("sessions *", "sessions"));
}

#[test]
fn what_is_not_understood_is_no_less_than_all() {
    for what in ["", " ", "**", "some later form", "12345", "00000000-0000-0000-0000-00000000000g"] {
        assert!(is_any(&format!("sessions {what}"), "sessions"), "{what:?}");
    }
}

#[test]
fn another_tables_announcement_is_not_this_ones() {
    let id = Uuid::nil();
    for other in ["sessions_2", "session", "my_sessions", "Sessions", "", " sessions"] {
        for what in ["*", &id.to_string()] {
            assert!(read(&format!("{other} {what}"), "sessions").next().is_none(), "{other:?}");
        }
    }
    for malformed in ["", "*", "sessions", "sessions*", " sessions *"] {
        assert!(read(malformed, "sessions").next().is_none(), "{malformed:?}");
    }
}

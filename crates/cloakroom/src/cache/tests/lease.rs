use super::at;
use crate::cache::lease::Lease;
use crate::clock::clock_reading::ClockReading;

/// A lease of ten microseconds.
fn ten() -> Lease {
    Lease::new(10_000)
}

#[test]
fn before_anything_was_heard_it_does_not_hold() {
    for lease in [ten(), Lease::new(u64::MAX)] {
        assert!([0, 1, 10, u32::MAX].into_iter().all(|now| !lease.holds(at(now))));
    }
}

#[test]
fn it_runs_from_the_sending_of_what_was_heard() {
    let lease = ten();
    lease.renew(at(100));
    assert!(lease.holds(at(100)) && lease.holds(at(110)));
    assert!(!lease.holds(at(111)) && !lease.holds(at(u32::MAX)));
    lease.renew(at(105));
    assert!(lease.holds(at(115)) && !lease.holds(at(116)));
}

#[test]
fn the_clocks_first_instant_counts_too() {
    let lease = ten();
    lease.renew(at(0));
    assert!(lease.holds(at(0)) && lease.holds(at(10)) && !lease.holds(at(11)));
}

#[test]
fn either_clock_can_end_it() {
    let lease = ten();
    lease.renew(at(100));
    let (in_time, late) = (at(110), at(111));
    assert!(!lease.holds(ClockReading { wall: late.wall, ..in_time }));
    assert!(!lease.holds(ClockReading { monotonic: in_time.monotonic + 1, ..in_time }));
    // How long ago a clock was set back is not known.
    assert!(!lease.holds(ClockReading { wall: 99, ..in_time }));
    assert!(lease.holds(in_time));
}

#[test]
fn once_lapsed_it_holds_only_when_something_is_heard_again() {
    let lease = ten();
    lease.renew(at(100));
    lease.lapse();
    assert!(!lease.holds(at(100)));
    lease.renew(at(101));
    assert!(lease.holds(at(111)) && !lease.holds(at(112)));
}

#[test]
fn nothing_overflows_at_the_ends_of_the_clocks() {
    let ends = [
        ClockReading { monotonic: 0, wall: i64::MIN },
        ClockReading { monotonic: u64::MAX, wall: i64::MAX },
        ClockReading { monotonic: u64::MAX, wall: i64::MIN },
    ];
    for sent in ends {
        let lease = Lease::new(u64::MAX);
        lease.renew(sent);
        assert!(lease.holds(sent));
    }
    // The wall clock's whole span does not fit its type.
    let lease = Lease::new(u64::MAX);
    lease.renew(ends[0]);
    assert!(!lease.holds(ends[1]));
}

#[test]
fn a_waived_lease_holds_whatever_the_clocks_show() {
    let lease = ten();
    lease.waive();
    let set_back = ClockReading { monotonic: 5, wall: -7 };
    assert!([at(0), at(11), at(u32::MAX), set_back].into_iter().all(|now| lease.holds(now)));
}

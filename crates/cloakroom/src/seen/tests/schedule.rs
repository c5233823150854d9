use std::cell::Cell;
use std::time::Duration;

use super::super::schedule::{Schedule, Step, Task};

const EVERY: Duration = Duration::from_mins(1);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn noted(schedule: &Schedule, seconds: u64) -> Option<Task> {
    schedule.noted(at(seconds), || true)
}

/// Where there is something to write.
fn next(schedule: &Schedule, task: Task, seconds: u64) -> Step {
    schedule.next(task, at(seconds), || false)
}

#[test]
fn the_first_use_starts_a_task_which_writes_a_span_later() {
    let schedule = Schedule::new(EVERY);
    let task = noted(&schedule, 100).unwrap();
    assert!((100..160).all(|seconds| noted(&schedule, seconds).is_none()));
    assert_eq!(next(&schedule, task, 100), Step::Wait(EVERY));
    assert_eq!(next(&schedule, task, 159), Step::Wait(at(1)));
    assert_eq!(next(&schedule, task, 161), Step::Write);
    assert_eq!(schedule.written(task, at(161), true), 0);
    // While there are uses, a write begins a span after the last one has begun.
    assert!(noted(&schedule, 162).is_none());
    assert_eq!(next(&schedule, task, 163), Step::Wait(at(58)));
    assert_eq!(next(&schedule, task, 221), Step::Write);
    schedule.written(task, at(221), true);
    assert_eq!(schedule.next(task, at(222), || true), Step::End);
    let second = noted(&schedule, 223).unwrap();
    assert_eq!(next(&schedule, second, 223), Step::Wait(EVERY));
}

#[test]
fn a_use_that_comes_as_the_task_ends_is_not_left_alone() {
    let schedule = Schedule::new(EVERY);
    let task = noted(&schedule, 0).unwrap();
    let looks = Cell::new(0);
    let step = schedule.next(task, at(60), || {
        looks.set(looks.get() + 1);
        looks.get() == 1
    });
    assert_eq!((step, looks.get()), (Step::Write, 2));
    assert!(noted(&schedule, 61).is_none(), "the task goes on");
}

#[test]
fn a_call_takes_over_from_a_task_that_does_not_wake() {
    let schedule = Schedule::new(EVERY);
    let first = noted(&schedule, 0).unwrap();
    let second = noted(&schedule, 60).unwrap();
    assert_eq!(next(&schedule, second, 60), Step::Write);
    assert_eq!(next(&schedule, first, 61), Step::End);
    // It writes for long, but does something now and then.
    for seconds in (61..600).step_by(50) {
        schedule.goes_on(second, at(seconds));
        assert!(noted(&schedule, seconds + 49).is_none());
    }
    let third = noted(&schedule, 700).unwrap();
    assert_eq!(next(&schedule, third, 700), Step::Write);
    // What the one that was stuck says afterwards concerns nobody.
    schedule.written(second, at(701), false);
    schedule.goes_on(second, at(701));
    schedule.ended(second);
    assert!(noted(&schedule, 702).is_none());
    assert_eq!(schedule.written(third, at(703), true), 0);
}

#[test]
fn a_write_that_fails_is_tried_again_soon_and_then_less_and_less_often() {
    let schedule = Schedule::new(EVERY);
    let task = noted(&schedule, 0).unwrap();
    let mut now = 60;
    let mut pauses = Vec::new();
    for failures in 1..=9 {
        assert_eq!(next(&schedule, task, now), Step::Write);
        assert_eq!(schedule.written(task, at(now), false), failures);
        assert!(noted(&schedule, now).is_none());
        let Step::Wait(pause) = next(&schedule, task, now) else {
            panic!("it waits");
        };
        pauses.push(pause.as_secs());
        now += pause.as_secs();
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(next(&schedule, task, now), Step::Write);
    assert_eq!(schedule.written(task, at(now), true), 0);
    assert_eq!(next(&schedule, task, now), Step::Wait(EVERY));
    let often = Schedule::new(Duration::from_millis(100));
    let task = often.noted(at(0), || true).unwrap();
    assert_eq!(next(&often, task, 1), Step::Write);
    often.written(task, at(1), false);
    assert_eq!(next(&often, task, 1), Step::Wait(Duration::from_millis(100)));
}

#[test]
fn when_a_task_ends_with_its_runtime_the_next_call_starts_one_for_the_same_instant() {
    let schedule = Schedule::new(EVERY);
    let first = noted(&schedule, 0).unwrap();
    assert_eq!(next(&schedule, first, 0), Step::Wait(EVERY));
    schedule.ended(first);
    let second = noted(&schedule, 20).unwrap();
    assert_ne!(first, second);
    assert_eq!(next(&schedule, second, 20), Step::Wait(at(40)));
    assert!(noted(&schedule, 21).is_none());
    // In the middle of a write.
    assert_eq!(next(&schedule, second, 60), Step::Write);
    schedule.ended(second);
    let third = noted(&schedule, 61).unwrap();
    assert_eq!(next(&schedule, third, 61), Step::Wait(at(59)));
}

#[test]
fn where_no_task_can_be_started_a_later_call_starts_it() {
    let schedule = Schedule::new(EVERY);
    assert_eq!(schedule.noted(at(0), || false), None);
    assert_eq!(schedule.noted(at(60), || false), None);
    let task = noted(&schedule, 61).unwrap();
    assert_eq!(next(&schedule, task, 61), Step::Write);
}

#[test]
fn where_there_is_little_room_a_write_begins_at_once_but_not_again_and_again() {
    let crowded = |schedule: &Schedule, seconds| schedule.crowded(at(seconds), || true);
    let schedule = Schedule::new(EVERY);
    let waiting = noted(&schedule, 0).unwrap();
    let task = crowded(&schedule, 5).unwrap();
    assert_eq!((next(&schedule, task, 5), next(&schedule, waiting, 5)), (Step::Write, Step::End));
    assert_eq!(crowded(&schedule, 9), None);
    schedule.written(task, at(9), true);
    let next_task = crowded(&schedule, 10).unwrap();
    assert_eq!(next(&schedule, next_task, 10), Step::Write);
    schedule.written(next_task, at(10), true);
    assert_eq!(schedule.crowded(at(10), || true), None);
    // The database takes nothing, and is not asked more often for that.
    let last = crowded(&schedule, 20).unwrap();
    assert_eq!(next(&schedule, last, 20), Step::Write);
    schedule.written(last, at(20), false);
    assert_eq!(crowded(&schedule, 30), None);
}

#[test]
fn calls_that_do_not_wait_start_one_task_and_not_one_each() {
    let schedule = Schedule::new(EVERY);
    let waiting = noted(&schedule, 0).unwrap();
    assert_eq!(next(&schedule, waiting, 0), Step::Wait(EVERY));
    let instants = (60_000..60_999).map(Duration::from_millis);
    let started: Vec<_> = instants.filter_map(|now| schedule.noted(now, || true)).collect();
    let [task] = started[..] else { panic!("{started:?}") };
    // Its runtime may not be driven.
    let other = noted(&schedule, 61).unwrap();
    assert_eq!(next(&schedule, task, 61), Step::End);
    assert_eq!(next(&schedule, other, 61), Step::Write);
    assert!(noted(&schedule, 62).is_none());
}

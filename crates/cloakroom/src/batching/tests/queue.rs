use std::time::{Duration, Instant};

use crate::batching::queue::{Admission, Queue, STUCK, SlotId};

/// A queue of numbers, and a clock.
struct Scene {
    queue: Queue<u32>,
    now: Instant,
}

impl Scene {
    fn of(slots: usize) -> Self {
        Self { queue: Queue::new(slots), now: Instant::now() }
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
    }

    /// The slot in which the number goes at once.
    fn enter(&self, number: u32) -> Option<SlotId> {
        match self.queue.enter(number, self.now, |_| true, |number| (number, ())) {
            Admission::Now(_, slot) => Some(slot),
            Admission::Later(()) => None,
        }
    }

    fn waits(&self, number: u32) {
        assert_eq!(self.enter(number), None, "{number} goes at once");
    }

    fn next(&self, slot: SlotId, most: usize) -> Option<Vec<u32>> {
        self.queue.next(slot, self.now, |_| true, |waiting| waiting.min(most))
    }

    fn rescue(&self) -> Option<SlotId> {
        self.queue.rescue(self.now, |_| true)
    }
}

#[test]
fn whoever_finds_a_free_slot_goes_at_once() {
    let scene = Scene::of(2);
    let (first, second) = (scene.enter(1).unwrap(), scene.enter(2).unwrap());
    scene.waits(3);
    assert_eq!(scene.next(first, 10), Some(vec![3]));
    assert_eq!((scene.next(second, 10), scene.next(first, 10)), (None, None));
    assert!(scene.enter(4).is_some() && scene.enter(5).is_some());
    scene.waits(6);
}

#[test]
fn those_who_wait_longest_go_first_and_together() {
    let scene = Scene::of(1);
    let slot = scene.enter(0).unwrap();
    (1..=5).for_each(|number| scene.waits(number));
    assert_eq!(scene.next(slot, 3), Some(vec![1, 2, 3]));
    scene.waits(6);
    assert_eq!(scene.next(slot, 3), Some(vec![4, 5, 6]));
    assert_eq!(scene.next(slot, 3), None);
}

#[test]
fn whoever_wants_nothing_any_more_is_left_out() {
    let scene = Scene::of(1);
    let slot = scene.enter(0).unwrap();
    (1..=4).for_each(|number| scene.waits(number));
    let even = |number: &u32| number.is_multiple_of(2);
    assert_eq!(scene.queue.next(slot, scene.now, even, |waiting| waiting), Some(vec![2, 4]));
    scene.waits(5);
    // No call is left, so the slot is free.
    assert_eq!(scene.queue.next(slot, scene.now, |_| false, |waiting| waiting), None);
    assert!(scene.enter(6).is_some());
}

#[test]
fn a_statement_takes_one_at_least() {
    let scene = Scene::of(1);
    let slot = scene.enter(0).unwrap();
    scene.waits(1);
    assert_eq!(scene.queue.next(slot, scene.now, |_| true, |_| 0), Some(vec![1]));
}

#[test]
fn a_slot_is_handed_on_to_whoever_waits_longest_and_wants_an_answer_still() {
    let scene = Scene::of(1);
    let slot = scene.enter(0).unwrap();
    (1..=4).for_each(|number| scene.waits(number));
    let from = |least| scene.queue.hand_on(slot, scene.now, |number| *number >= least, |number| *number);
    assert_eq!((from(0), from(0), from(3)), (Some(1), Some(1), Some(3)));
    assert_eq!(scene.next(slot, 10), Some(vec![3, 4]));
    assert_eq!(from(0), None);
    assert!(scene.enter(4).is_some());
}

#[test]
fn a_slot_that_is_stuck_is_made_up_for() {
    let mut scene = Scene::of(1);
    let stuck = scene.enter(0).unwrap();
    scene.pass(STUCK);
    assert_eq!(scene.rescue(), None, "nobody waits");
    let slot = scene.enter(1).expect("the slot is stuck");
    scene.pass(STUCK / 2);
    scene.waits(2);
    assert_eq!(scene.rescue(), None, "it may come back yet");
    scene.pass(STUCK / 2);
    let another = scene.rescue().expect("some wait, and the slot is stuck");
    assert_eq!(scene.next(another, 10), Some(vec![2]));
    scene.waits(3);
    for lost in [stuck, slot] {
        assert_eq!(scene.next(lost, 10), None, "it was taken away");
    }
    assert_eq!(scene.next(another, 10), Some(vec![3]));
    assert_eq!(scene.next(another, 10), None);
    assert!(scene.enter(4).is_some(), "no more than one is taken");
    scene.waits(5);
}

#[test]
fn of_two_slots_that_which_moves_is_left_to_its_holder() {
    let mut scene = Scene::of(2);
    let (stuck, moves) = (scene.enter(0).unwrap(), scene.enter(1).unwrap());
    scene.waits(2);
    scene.waits(3);
    scene.pass(STUCK / 2);
    assert_eq!(scene.next(moves, 1), Some(vec![2]));
    scene.pass(STUCK / 2);
    let slot = scene.rescue().unwrap();
    assert_eq!(scene.rescue(), None);
    assert_eq!(scene.next(slot, 1), Some(vec![3]));
    scene.waits(4);
    assert_eq!(scene.next(stuck, 1), None);
    assert_eq!(scene.next(moves, 1), Some(vec![4]));
}

#[test]
fn whoever_comes_back_to_a_lost_slot_takes_a_free_one_and_waits_for_none() {
    let mut scene = Scene::of(1);
    let lost = scene.enter(0).unwrap();
    scene.pass(STUCK);
    let slot = scene.enter(1).unwrap();
    scene.waits(2);
    assert_eq!(scene.next(lost, 10), None);
    assert_eq!(scene.next(slot, 10), Some(vec![2]));
    assert_eq!(scene.next(slot, 10), None);
    assert_eq!(scene.next(lost, 10), None);
    let slot = scene.enter(3).expect("it was not kept for nobody");
    scene.waits(4);
    assert_eq!((scene.next(lost, 10), scene.next(slot, 10)), (None, Some(vec![4])));
}

#[test]
fn whoever_cannot_go_on_tells_those_whom_nobody_else_serves() {
    let mut scene = Scene::of(2);
    let (first, second) = (scene.enter(0).unwrap(), scene.enter(1).unwrap());
    (2..=6).for_each(|number| scene.waits(number));
    let since = scene.now;
    let odd = |number: &u32| !number.is_multiple_of(2);
    let fail = |scene: &Scene, slot| scene.queue.fail(slot, since, scene.now, |number| *number != 3, odd);
    assert_eq!(fail(&scene, first), (vec![5], true));
    scene.pass(Duration::from_millis(1));
    assert_eq!(fail(&scene, second), (vec![], true), "that a slot is held serves nobody");
    scene.waits(7);
    assert_eq!(scene.next(second, 1), Some(vec![2]));
    assert_eq!(fail(&scene, first), (vec![], false), "a statement went out");
    assert!(scene.enter(8).is_some(), "the slot is free");
    assert_eq!(scene.next(second, 10), Some(vec![4, 6, 7]));
}

#[test]
fn whoever_cannot_go_on_and_tells_the_last_of_them_frees_its_slot() {
    let mut scene = Scene::of(1);
    let lost = scene.enter(0).unwrap();
    let since = scene.now;
    scene.pass(STUCK);
    let slot = scene.enter(1).unwrap();
    (2..=3).for_each(|number| scene.waits(number));
    let fail = |slot, hears: fn(&u32) -> bool| scene.queue.fail(slot, since, scene.now, |_| true, hears);
    assert_eq!(fail(lost, |number| *number == 2), (vec![2], false), "it holds for whoever lost the slot too");
    assert_eq!(scene.enter(4), None, "the slot is another's");
    assert_eq!(fail(slot, |_| true), (vec![3, 4], false));
    assert!(scene.enter(5).is_some());
}

#[test]
fn whoever_gets_ready_is_not_stuck_as_long_as_any_wait() {
    let mut scene = Scene::of(1);
    let slot = scene.enter(0).unwrap();
    scene.waits(1);
    for _ in 0..4 {
        scene.pass(STUCK);
        assert!(scene.queue.keep(slot, scene.now, |_| true));
        assert_eq!(scene.rescue(), None);
    }
    scene.pass(STUCK);
    let rescued = scene.rescue().unwrap();
    assert!(scene.queue.keep(slot, scene.now, |_| true), "it may still be the first to be ready");
    assert!(!scene.queue.keep(rescued, scene.now, |_| false));
    assert!(scene.enter(2).is_some(), "the slot is free");
}

#[test]
fn of_those_whose_slots_were_lost_whoever_moves_goes_on() {
    let mut scene = Scene::of(1);
    let lost = scene.enter(0).unwrap();
    scene.pass(STUCK);
    let stuck = scene.enter(1).unwrap();
    scene.waits(2);
    assert_eq!(scene.next(lost, 10), None);
    scene.pass(STUCK);
    assert_eq!(scene.next(lost, 10), Some(vec![2]));
    assert_eq!(scene.next(stuck, 10), None);
}

#[test]
fn whoever_has_waited_for_long_enough_leaves_unless_it_goes_already() {
    let scene = Scene::of(1);
    let slot = scene.enter(0).unwrap();
    (1..=3).for_each(|number| scene.waits(number));
    let leave = |number| scene.queue.leave(|other| *other == number);
    assert_eq!((leave(2), leave(2), leave(9)), (Some(2), None, None));
    assert_eq!(scene.next(slot, 1), Some(vec![1]));
    assert_eq!((leave(1), leave(3)), (None, Some(3)));
    assert_eq!(scene.next(slot, 10), None);
    assert!(scene.enter(4).is_some(), "the slot is free");
}

#[test]
fn a_slot_whose_holder_is_heard_of_is_not_stuck() {
    let mut scene = Scene::of(1);
    let slot = scene.enter(0).unwrap();
    scene.waits(1);
    for _ in 0..4 {
        scene.pass(STUCK.saturating_sub(Duration::from_millis(1)));
        scene.queue.beat(slot, scene.now);
        assert_eq!(scene.rescue(), None);
    }
    scene.pass(STUCK);
    let rescued = scene.rescue().unwrap();
    // A holder that has lost the slot does not get it back in this way.
    scene.queue.beat(slot, scene.now);
    assert_eq!(scene.next(slot, 10), None);
    assert_eq!(scene.next(rescued, 10), Some(vec![1]));
}

//! Apart from the queue, whose source is also compiled with the locks of a model checker.

use super::queue::{Queue, Turn};

/// A queue of numbers, and what `enter` says.
fn enter(queue: &Queue<u32>, number: u32) -> bool {
    matches!(queue.enter(number, |number| (number, ())), Turn::Now(_))
}

fn next(queue: &Queue<u32>, most: usize) -> Option<Vec<u32>> {
    queue.next(|_| true, |waiting| waiting.min(most))
}

#[test]
fn whoever_finds_a_free_slot_goes_at_once() {
    let queue = Queue::new(2);
    assert!(enter(&queue, 1) && enter(&queue, 2));
    assert!(!enter(&queue, 3));
    assert_eq!(next(&queue, 10), Some(vec![3]));
    assert_eq!((next(&queue, 10), next(&queue, 10)), (None, None));
    assert!(enter(&queue, 4) && enter(&queue, 5) && !enter(&queue, 6));
}

#[test]
fn those_who_wait_longest_go_first_and_together() {
    let queue = Queue::new(1);
    assert!(enter(&queue, 0));
    (1..=5).for_each(|number| assert!(!enter(&queue, number)));
    assert_eq!(next(&queue, 3), Some(vec![1, 2, 3]));
    assert!(!enter(&queue, 6));
    assert_eq!(next(&queue, 3), Some(vec![4, 5, 6]));
    assert_eq!(next(&queue, 3), None);
}

#[test]
fn whoever_wants_nothing_any_more_is_left_out() {
    let queue = Queue::new(1);
    assert!(enter(&queue, 0));
    (1..=4).for_each(|number| assert!(!enter(&queue, number)));
    assert_eq!(queue.next(|number| number % 2 == 0, |waiting| waiting), Some(vec![2, 4]));
    assert!(!enter(&queue, 5));
    // Nobody is left, so the slot is free.
    assert_eq!(queue.next(|_| false, |waiting| waiting), None);
    assert!(enter(&queue, 6));
}

#[test]
fn a_statement_takes_one_at_least() {
    let queue = Queue::new(1);
    assert!(enter(&queue, 0) && !enter(&queue, 1));
    assert_eq!(queue.next(|_| true, |_| 0), Some(vec![1]));
}

#[test]
fn a_slot_that_does_not_move_is_made_up_for() {
    let queue = Queue::new(1);
    assert!(enter(&queue, 0));
    let turns = queue.turns();
    assert!(!queue.open_if_stuck(turns), "nobody waits");
    assert!(!enter(&queue, 1));
    assert!(queue.open_if_stuck(turns));
    assert_eq!(next(&queue, 10), Some(vec![1]));
    assert!(!enter(&queue, 2));
    assert!(!queue.open_if_stuck(turns), "a slot was handed on meanwhile");
    assert_eq!(next(&queue, 10), Some(vec![2]));
    assert_eq!(next(&queue, 10), None);
    assert!(!enter(&queue, 3), "the first has its slot still");
    assert_eq!(next(&queue, 10), Some(vec![3]));
    assert_eq!(next(&queue, 10), None);
    assert!(enter(&queue, 4));
}

use std::collections::VecDeque;

use super::sync::Mutex;

/// Those who wait, and the slots that are taken. Only this lock decides who goes when.
///
/// Whenever a slot is free nobody waits: a slot is freed only by whoever finds the queue empty, under the same
/// lock under which others join it. A slot that is held and does not move keeps nobody waiting for long: those
/// who wait open another.
pub(crate) struct Queue<T> {
    slots: usize,
    state: Mutex<State<T>>,
}

struct State<T> {
    taken: usize,
    /// How many slots have been handed on or freed.
    turns: u64,
    waiting: VecDeque<T>,
}

/// What becomes of a question.
pub(crate) enum Turn<Q, R> {
    /// It goes now; a slot is taken for it.
    Now(Q),
    /// It waits.
    Later(R),
}

impl<T> Queue<T> {
    /// A queue for `slots` statements at once.
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, state: Mutex::new(State { taken: 0, turns: 0, waiting: VecDeque::new() }) }
    }

    /// Takes a free slot, or else joins those who wait with what `join` makes of `question`.
    pub(crate) fn enter<Q, R>(&self, question: Q, join: impl FnOnce(Q) -> (T, R)) -> Turn<Q, R> {
        let mut state = self.state.lock();
        if state.taken < self.slots {
            state.taken += 1;
            return Turn::Now(question);
        }
        let (waiting, ticket) = join(question);
        state.waiting.push_back(waiting);
        Turn::Later(ticket)
    }

    /// For the holder of a slot whose statement is done: those who go next in it, longest waiting first, or
    /// `None`, and the slot is free. `fit` says how many of so many one statement can take.
    pub(crate) fn next(&self, wants: impl Fn(&T) -> bool, fit: impl Fn(usize) -> usize) -> Option<Vec<T>> {
        let mut state = self.state.lock();
        state.turns = state.turns.wrapping_add(1);
        state.waiting.retain(wants);
        if state.waiting.is_empty() {
            state.taken -= 1;
            return None;
        }
        let size = fit(state.waiting.len()).max(1);
        Some(state.waiting.drain(..size).collect())
    }

    /// How many slots have been handed on or freed so far.
    pub(crate) fn turns(&self) -> u64 {
        self.state.lock().turns
    }

    /// Takes one slot more than there are, where some wait and none has been handed on or freed since there had
    /// been `turns`; whether it did.
    pub(crate) fn open_if_stuck(&self, turns: u64) -> bool {
        let mut state = self.state.lock();
        let is_stuck = state.turns == turns && !state.waiting.is_empty();
        if is_stuck {
            state.taken += 1;
        }
        is_stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

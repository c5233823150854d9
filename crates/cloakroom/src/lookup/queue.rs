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

    /// For the holder of a slot who is done with it: what `tell` says of whoever waits longest, who goes next in
    /// it, or `None`, and the slot is free.
    pub(crate) fn hand_on<R>(&self, wants: impl Fn(&T) -> bool, tell: impl Fn(&T) -> R) -> Option<R> {
        let mut state = self.state.lock();
        state.turns = state.turns.wrapping_add(1);
        state.waiting.retain(wants);
        let next = state.waiting.front().map(tell);
        if next.is_none() {
            state.taken -= 1;
        }
        next
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

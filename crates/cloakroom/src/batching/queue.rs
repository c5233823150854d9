use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::sync::Mutex;

/// How long a slot may go without moving. Its holder may be a future that is not polled any more, or may wait for an
/// answer that never comes. After this span the waiting calls do not rely on it.
pub(crate) const STUCK: Duration = Duration::from_millis(250);

/// The waiting calls and the taken slots. Only this lock decides which call is sent when.
///
/// If a slot is free, no call waits: a slot is freed only by a holder that finds the queue empty, under the same lock
/// under which calls join it, or [while another statement is out](Self::fail). A slot that has not moved for long is
/// taken away from its holder, which finds out when it comes back.
pub(crate) struct Queue<T> {
    slots: usize,
    state: Mutex<State<T>>,
}

struct State<T> {
    taken: Vec<OccupiedSlot>,
    /// How many slots have been taken so far.
    count: u64,
    waiting: VecDeque<T>,
}

struct OccupiedSlot {
    slot: SlotId,
    /// When its holder last reported.
    moved: Instant,
    /// When a statement for waiting calls was last sent in it.
    went: Option<Instant>,
}

/// A slot from when it is taken until it is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId(u64);

/// What happens to a question.
pub(crate) enum Admission<Q, R> {
    /// It is sent now, in a slot that has been taken for it.
    Now(Q, SlotId),
    /// It waits.
    Later(R),
}

impl<T> Queue<T> {
    /// Makes a queue for `slots` statements at once.
    pub(crate) fn new(slots: usize) -> Self {
        let state = State { taken: Vec::with_capacity(slots), count: 0, waiting: VecDeque::new() };
        Self { slots, state: Mutex::new(state) }
    }

    /// Takes a free slot or one that is stuck. If there is none, joins the waiting calls with the value that `join`
    /// makes from `question`.
    pub(crate) fn enter<Q, R>(
        &self,
        question: Q,
        now: Instant,
        wants: impl Fn(&T) -> bool,
        join: impl FnOnce(Q) -> (T, R),
    ) -> Admission<Q, R> {
        let mut state = self.state.lock();
        if state.taken.len() < self.slots {
            return Admission::Now(question, state.take(now));
        }
        if state.free_stuck(now) {
            state.waiting.retain(wants);
            return Admission::Now(question, state.take(now));
        }
        let (waiting, ticket) = join(question);
        state.waiting.push_back(waiting);
        Admission::Later(ticket)
    }

    /// For the holder of a slot that is done with it. Returns what `tell` says of the call that waits longest, which is
    /// the next in this slot. With `None`, the slot is free, or no longer this holder's.
    pub(crate) fn hand_on<R>(
        &self,
        slot: SlotId,
        now: Instant,
        wants: impl Fn(&T) -> bool,
        tell: impl Fn(&T) -> R,
    ) -> Option<R> {
        let mut state = self.state.lock();
        if !state.holds(slot, now, self.slots) {
            return None;
        }
        state.waiting.retain(wants);
        let next = state.waiting.front().map(tell);
        if next.is_none() {
            state.free(slot);
        }
        next
    }

    /// For the holder of a slot with a statement that is done. Returns the calls that are sent next in it, the longest
    /// waiting first. With `None`, the slot is free, or no longer this holder's. `fit` says how many of that many calls
    /// one statement can take.
    pub(crate) fn next(
        &self,
        slot: SlotId,
        now: Instant,
        wants: impl Fn(&T) -> bool,
        fit: impl Fn(usize) -> usize,
    ) -> Option<Vec<T>> {
        let mut state = self.state.lock();
        if !state.holds(slot, now, self.slots) {
            return None;
        }
        state.waiting.retain(wants);
        if state.waiting.is_empty() {
            state.free(slot);
            return None;
        }
        if let Some(taken) = state.find(slot) {
            taken.went = Some(now);
        }
        let size = fit(state.waiting.len()).max(1);
        Some(state.waiting.drain(..size).collect())
    }

    /// For the holder of a slot that is getting ready for the waiting calls: the slot is not stuck. Returns `true` if
    /// any calls still wait. If none do, the slot is free.
    pub(crate) fn keep(&self, slot: SlotId, now: Instant, wants: impl Fn(&T) -> bool) -> bool {
        let mut state = self.state.lock();
        if let Some(taken) = state.find(slot) {
            taken.moved = now;
        }
        state.waiting.retain(wants);
        if state.waiting.is_empty() {
            state.free(slot);
        }
        !state.waiting.is_empty()
    }

    /// For the holder of a slot that has tried since `since` to get ready, and failed. Returns the calls that are told
    /// of it, and `true` if the slot goes on. No call is told if a statement has been sent in a slot meanwhile, which
    /// then serves them all. If the slot does not go on, it is free, or no longer this holder's.
    pub(crate) fn fail(
        &self,
        slot: SlotId,
        since: Instant,
        now: Instant,
        wants: impl Fn(&T) -> bool,
        hears: impl Fn(&T) -> bool,
    ) -> (Vec<T>, bool) {
        let mut state = self.state.lock();
        state.waiting.retain(wants);
        if state.taken.iter().any(|other| other.went > Some(since)) {
            state.free(slot);
            return (Vec::new(), false);
        }
        let (hear, stay) = state.waiting.drain(..).partition::<VecDeque<T>, _>(hears);
        state.waiting = stay;
        let goes_on = !state.waiting.is_empty() && state.holds(slot, now, self.slots);
        if !goes_on {
            state.free(slot);
        }
        (hear.into(), goes_on)
    }

    /// For the holder of a slot with a statement that waits for a lock that any other would wait for too: the slot is
    /// not stuck.
    pub(crate) fn beat(&self, slot: SlotId, now: Instant) {
        if let Some(taken) = self.state.lock().find(slot) {
            taken.moved = now;
        }
    }

    /// For a call that has waited for long enough: takes it out of the queue. Returns `None` if it is not there because
    /// it is being sent.
    pub(crate) fn leave(&self, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let mut state = self.state.lock();
        let at = state.waiting.iter().position(is_it)?;
        state.waiting.remove(at)
    }

    /// Takes a stuck slot, if any calls wait.
    pub(crate) fn rescue(&self, now: Instant, wants: impl Fn(&T) -> bool) -> Option<SlotId> {
        let mut state = self.state.lock();
        if state.waiting.is_empty() || !state.free_stuck(now) {
            return None;
        }
        state.waiting.retain(wants);
        Some(state.take(now))
    }
}

impl<T> State<T> {
    fn take(&mut self, now: Instant) -> SlotId {
        self.count += 1;
        let slot = SlotId(self.count);
        self.taken.push(OccupiedSlot { slot, moved: now, went: None });
        slot
    }

    fn find(&mut self, slot: SlotId) -> Option<&mut OccupiedSlot> {
        self.taken.iter_mut().find(|taken| taken.slot == slot)
    }

    fn free(&mut self, slot: SlotId) {
        self.taken.retain(|taken| taken.slot != slot);
    }

    /// Takes the slot that has not moved for longest away from its holder, if that is too long. Returns `true` if there
    /// is room now.
    fn free_stuck(&mut self, now: Instant) -> bool {
        let stuck = self.taken.iter().min_by_key(|taken| taken.moved);
        let stuck = stuck.filter(|taken| now.saturating_duration_since(taken.moved) >= STUCK);
        let stuck = stuck.map(|taken| taken.slot);
        stuck.inspect(|slot| self.free(*slot)).is_some()
    }

    /// Returns `true` if the slot is still its holder's, or is again because there is room. The slot counts as moved.
    fn holds(&mut self, slot: SlotId, now: Instant, slots: usize) -> bool {
        if let Some(taken) = self.find(slot) {
            taken.moved = now;
            return true;
        }
        let has_room = self.taken.len() < slots || self.free_stuck(now);
        if has_room {
            self.taken.push(OccupiedSlot { slot, moved: now, went: None });
        }
        has_room
    }
}

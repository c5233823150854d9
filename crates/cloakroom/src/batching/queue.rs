use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::sync::Mutex;

/// How long a slot may stay where it is. Its holder may be a future that nobody polls any more, or wait for what
/// never comes; after that those who wait do not count on it.
pub(crate) const STUCK: Duration = Duration::from_millis(250);

/// Those who wait, and the slots that are taken. Only this lock decides who goes when.
///
/// Whenever a slot is free nobody waits: a slot is freed only by whoever finds the queue empty, under the same
/// lock under which others join it, or [while another goes](Self::fail). A slot that has not moved for long is
/// taken away from its holder, who hears of it when coming back.
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
    /// When its holder was last heard of.
    moved: Instant,
    /// When a statement for those who wait last went out in it.
    went: Option<Instant>,
}

/// A slot from when it is taken until it is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId(u64);

/// What becomes of a question.
pub(crate) enum Admission<Q, R> {
    /// It goes now, in a slot that has been taken for it.
    Now(Q, SlotId),
    /// It waits.
    Later(R),
}

impl<T> Queue<T> {
    /// A queue for `slots` statements at once.
    pub(crate) fn new(slots: usize) -> Self {
        let state = State { taken: Vec::with_capacity(slots), count: 0, waiting: VecDeque::new() };
        Self { slots, state: Mutex::new(state) }
    }

    /// Takes a free slot, or one that is stuck, or else joins those who wait with what `join` makes of `question`.
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

    /// For the holder of a slot who is done with it: what `tell` says of whoever waits longest, whose statement is
    /// the next in it, or `None`, and the slot is free, or no longer this holder's.
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

    /// For the holder of a slot whose statement is done: those who go next in it, longest waiting first, or
    /// `None`, and the slot is free, or no longer this holder's. `fit` says how many of so many one statement can
    /// take.
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

    /// For the holder of a slot who is getting ready for those who wait: it is not stuck. Whether any still wait;
    /// if none do, the slot is free.
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

    /// For the holder of a slot who tried since then to get ready, and could not: those who hear of it, and whether
    /// the slot goes on. Nobody does where a statement has gone out in a slot meanwhile, which then serves them
    /// all. If it does not go on, the slot is free, or no longer this holder's.
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

    /// For the holder of a slot whose statement waits for what another could only wait for too: it is not stuck.
    pub(crate) fn beat(&self, slot: SlotId, now: Instant) {
        if let Some(taken) = self.state.lock().find(slot) {
            taken.moved = now;
        }
    }

    /// For one who waits and has waited for long enough: takes it out. `None` if it is not there, since it goes.
    pub(crate) fn leave(&self, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let mut state = self.state.lock();
        let at = state.waiting.iter().position(is_it)?;
        state.waiting.remove(at)
    }

    /// Takes the slot that is stuck, where some wait.
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

    /// Takes the slot that has not moved the longest away from its holder, if that is too long; whether there is
    /// room now.
    fn free_stuck(&mut self, now: Instant) -> bool {
        let stuck = self.taken.iter().min_by_key(|taken| taken.moved);
        let stuck = stuck.filter(|taken| now.saturating_duration_since(taken.moved) >= STUCK);
        let stuck = stuck.map(|taken| taken.slot);
        stuck.inspect(|slot| self.free(*slot)).is_some()
    }

    /// Whether the slot, which moves, is its holder's still, or again where there is room.
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

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::sync::Mutex;

/// How long a slot may go without moving. Its holder may be a future that is not polled any more, or may wait for an
/// answer that never comes. After this span the waiting calls do not rely on it.
pub(crate) const STUCK: Duration = Duration::from_millis(250);

/// The waiting calls and the slots. Only this lock decides which call is sent when.
///
/// If a slot is free, no call waits: a slot is freed only by a holder that finds the queue empty, under the same lock
/// under which calls join it, or [while another statement is out](Self::fail). A slot that has not moved for long is
/// taken away from its holder, which finds out when it comes back. [`SlotState::after`] has all that can happen to a
/// slot.
pub(crate) struct Queue<T>(Mutex<State<T>>);

struct State<T> {
    /// How many slots there are.
    slots: usize,
    /// Those that are held.
    held: Vec<(SlotId, SlotState)>,
    /// How many holders there have been so far.
    count: u64,
    waiting: VecDeque<T>,
}

/// A slot as one holder has it: no two holders have the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId(u64);

/// What a holder has of its slot.
#[derive(Clone, Copy)]
enum SlotState {
    /// The slot is this holder's.
    Held {
        /// When the holder last reported. If that is [too long](STUCK) ago, the slot is stuck.
        moved: Instant,
        /// When a statement for waiting calls was last sent in the slot.
        sent: Option<Instant>,
    },
    /// The slot is free, or another holder's.
    Lost,
}

/// What happens to a slot.
#[derive(Clone, Copy)]
enum Event {
    /// There is room, and a holder takes it: a new one, or one that comes back.
    Takes,
    /// The holder reports that the slot is not stuck.
    Reports,
    /// The holder sends a statement for waiting calls.
    Sends,
    /// The holder has no call to send.
    GivesBack,
    /// The slot is stuck, and another holder takes the room.
    IsTakenAway,
}

impl SlotState {
    /// Returns the state after an event at `now`. No slot changes in another way.
    fn after(self, event: Event, now: Instant) -> Self {
        match (self, event) {
            (Self::Lost, Event::Takes) => Self::Held { moved: now, sent: None },
            (Self::Held { sent, .. }, Event::Takes | Event::Reports) => Self::Held { moved: now, sent },
            (Self::Held { .. }, Event::Sends) => Self::Held { moved: now, sent: Some(now) },
            // A report does not bring a lost slot back.
            (Self::Held { .. }, Event::GivesBack | Event::IsTakenAway) | (Self::Lost, _) => Self::Lost,
        }
    }

    /// Returns when the holder last reported, if the slot is this holder's.
    fn moved(self) -> Option<Instant> {
        match self {
            Self::Held { moved, .. } => Some(moved),
            Self::Lost => None,
        }
    }

    /// Returns `true` if a statement for waiting calls was sent in the slot after `since`.
    fn has_sent_after(self, since: Instant) -> bool {
        matches!(self, Self::Held { sent: Some(sent), .. } if sent > since)
    }
}

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
        let held = Vec::with_capacity(slots);
        Self(Mutex::new(State { slots, held, count: 0, waiting: VecDeque::new() }))
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
        let mut state = self.0.lock();
        if state.has_free() || state.take_stuck_away(now) {
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
        let mut state = self.0.lock();
        if !state.goes_on(slot, now, wants) {
            return None;
        }
        state.waiting.front().map(tell)
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
        let mut state = self.0.lock();
        if !state.goes_on(slot, now, wants) {
            return None;
        }
        state.change(slot, Event::Sends, now);
        let size = fit(state.waiting.len()).max(1);
        Some(state.waiting.drain(..size).collect())
    }

    /// For the holder of a slot that is getting ready for the waiting calls: the slot is not stuck. Returns `true` if
    /// any calls still wait. If none do, the slot is free. A holder that has lost its slot does not get it back yet, but
    /// may still be the first to be ready.
    pub(crate) fn keep(&self, slot: SlotId, now: Instant, wants: impl Fn(&T) -> bool) -> bool {
        let mut state = self.0.lock();
        state.change(slot, Event::Reports, now);
        state.has_waiting(slot, now, wants)
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
        let mut state = self.0.lock();
        state.waiting.retain(wants);
        if state.held.iter().any(|(_, other)| other.has_sent_after(since)) {
            state.change(slot, Event::GivesBack, now);
            return (Vec::new(), false);
        }
        let (hear, stay) = state.waiting.drain(..).partition::<VecDeque<T>, _>(hears);
        state.waiting = stay;
        let goes_on = state.goes_on(slot, now, |_| true);
        (hear.into(), goes_on)
    }

    /// For the holder of a slot with a statement that waits for a lock that any other would wait for too: the slot is
    /// not stuck.
    pub(crate) fn beat(&self, slot: SlotId, now: Instant) {
        self.0.lock().change(slot, Event::Reports, now);
    }

    /// For a call that has waited for long enough: takes it out of the queue. Returns `None` if it is not there because
    /// it is being sent.
    pub(crate) fn leave(&self, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let mut state = self.0.lock();
        let at = state.waiting.iter().position(is_it)?;
        state.waiting.remove(at)
    }

    /// Takes a stuck slot, if any calls wait.
    pub(crate) fn rescue(&self, now: Instant, wants: impl Fn(&T) -> bool) -> Option<SlotId> {
        let mut state = self.0.lock();
        if state.waiting.is_empty() || !state.take_stuck_away(now) {
            return None;
        }
        state.waiting.retain(wants);
        Some(state.take(now))
    }
}

impl<T> State<T> {
    /// Records what happens to a slot.
    fn change(&mut self, slot: SlotId, event: Event, now: Instant) {
        let place = self.held.iter().position(|(held, _)| *held == slot);
        let before = place.map_or(SlotState::Lost, |place| self.held[place].1);
        match (place, before.after(event, now)) {
            (Some(place), SlotState::Lost) => {
                self.held.remove(place);
            }
            (Some(place), after) => self.held[place].1 = after,
            (None, SlotState::Lost) => {}
            (None, after) => self.held.push((slot, after)),
        }
    }

    fn has_free(&self) -> bool {
        self.held.len() < self.slots
    }

    /// Takes the slot that has been stuck for longest away from its holder. Returns `true` if there was one, whose room
    /// is free now.
    fn take_stuck_away(&mut self, now: Instant) -> bool {
        let moved = self.held.iter().filter_map(|(slot, state)| Some((state.moved()?, *slot)));
        let Some((moved, slot)) = moved.min_by_key(|(moved, _)| *moved) else {
            return false;
        };
        if now.saturating_duration_since(moved) < STUCK {
            return false;
        }
        self.change(slot, Event::IsTakenAway, now);
        true
    }

    /// Takes the room that there is for a new holder.
    fn take(&mut self, now: Instant) -> SlotId {
        self.count += 1;
        let slot = SlotId(self.count);
        self.change(slot, Event::Takes, now);
        slot
    }

    /// Returns `true` if any calls still wait. If none do, the holder gives its slot back.
    fn has_waiting(&mut self, slot: SlotId, now: Instant, wants: impl Fn(&T) -> bool) -> bool {
        self.waiting.retain(wants);
        if self.waiting.is_empty() {
            self.change(slot, Event::GivesBack, now);
        }
        !self.waiting.is_empty()
    }

    /// For a holder that comes back: returns `true` if any calls still wait, and the slot is still this holder's, or is
    /// again because there is room.
    fn goes_on(&mut self, slot: SlotId, now: Instant, wants: impl Fn(&T) -> bool) -> bool {
        let goes_on = self.has_waiting(slot, now, wants)
            && (self.is_held(slot) || self.has_free() || self.take_stuck_away(now));
        if goes_on {
            self.change(slot, Event::Takes, now);
        }
        goes_on
    }

    fn is_held(&self, slot: SlotId) -> bool {
        self.held.iter().any(|(held, _)| *held == slot)
    }
}

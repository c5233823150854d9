//! Slots whose holders are dropped, stuck, or cannot go on.

use std::time::{Duration, Instant};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

use crate::queue::{Admission, Queue, STUCK, SlotId};

const TICK: Duration = Duration::from_millis(1);

/// Callers, of whom some may go away, and how often each was answered.
struct Callers {
    queue: Queue<usize>,
    answers: [AtomicUsize; 4],
    is_gone: [AtomicBool; 4],
    begun: Instant,
}

impl Callers {
    fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Queue::new(slots),
            answers: std::array::from_fn(|_| AtomicUsize::new(0)),
            is_gone: std::array::from_fn(|_| AtomicBool::new(false)),
            begun: Instant::now(),
        })
    }

    fn later(&self) -> Instant {
        self.begun + STUCK
    }

    fn wants(&self, caller: usize) -> bool {
        !self.is_gone[caller].load(Ordering::SeqCst)
    }

    /// Answers the caller, if a slot is free, which it holds then.
    fn enters(&self, caller: usize, now: Instant) -> Option<SlotId> {
        let wants = |other: &usize| self.wants(*other);
        match self.queue.enter(caller, now, wants, |caller| (caller, ())) {
            Admission::Now(caller, slot) => {
                self.answer(caller);
                Some(slot)
            }
            Admission::Later(()) => None,
        }
    }

    fn answer(&self, caller: usize) {
        self.answers[caller].fetch_add(1, Ordering::SeqCst);
    }

    /// One statement; whether the slot is this holder's yet.
    fn serves_once(&self, slot: SlotId, now: Instant) -> bool {
        let waiting = self.queue.next(slot, now, |caller| self.wants(*caller), |waiting| waiting.min(1));
        waiting.inspect(|waiting| waiting.iter().for_each(|caller| self.answer(*caller))).is_some()
    }

    fn serves(&self, slot: SlotId, now: Instant) {
        while self.serves_once(slot, now) {}
    }

    /// Its holder is done, or was dropped: `task` goes on for whoever waits longest.
    fn hands_on(&self, slot: SlotId, task: fn(&Self, SlotId, usize)) {
        let first = self.queue.hand_on(slot, self.begun, |caller| self.wants(*caller), |caller| *caller);
        if let Some(first) = first {
            task(self, slot, first);
        }
    }

    fn check_answers(&self, callers: impl IntoIterator<Item = usize>) {
        for caller in callers {
            let answers = self.answers[caller].load(Ordering::SeqCst);
            assert_eq!(answers, 1, "{caller} was forgotten or answered twice");
        }
    }

    fn check_slots(&self, slots: usize, now: Instant) {
        let free = (0..=slots).filter(|_| {
            let turn = self.queue.enter(0, now, |_| true, |caller| (caller, ()));
            matches!(turn, Admission::Now(..))
        });
        assert_eq!(free.count(), slots, "a slot was lost, or is one too many");
    }
}

/// Tries the orders in which no thread is stopped more than so often: of all there are too many.
fn in_each_order(test: impl Fn() + Send + Sync + 'static) {
    let mut orders = loom::model::Builder::new();
    orders.preemption_bound = Some(3);
    orders.check(test);
}

fn spawn(callers: &Arc<Callers>, task: impl FnOnce(&Callers) + 'static) -> thread::JoinHandle<()> {
    let callers = Arc::clone(callers);
    thread::spawn(move || task(&callers))
}

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("no thread panicked"));
}

/// A slot is handed on while one joins those who wait, and leaves again, and another joins and stays.
fn beside_one_who_leaves(task: fn(&Callers, SlotId, usize)) {
    in_each_order(move || {
        let callers = Callers::new(1);
        let slot = callers.enters(0, callers.begun).expect("nobody else is there");
        let leaves = spawn(&callers, move |callers| match callers.enters(1, callers.begun) {
            Some(slot) => callers.hands_on(slot, task),
            None => callers.is_gone[1].store(true, Ordering::SeqCst),
        });
        let stays = spawn(&callers, move |callers| {
            callers.enters(2, callers.begun).into_iter().for_each(|slot| callers.hands_on(slot, task));
        });
        callers.hands_on(slot, task);
        join([leaves, stays]);
        callers.check_slots(1, callers.begun);
        callers.check_answers([0, 2]);
        assert!(callers.answers[1].load(Ordering::SeqCst) <= 1, "it was answered twice");
    });
}

#[test]
fn a_slot_that_is_handed_on_reaches_all_who_stay() {
    beside_one_who_leaves(|callers, slot, _| callers.serves(slot, callers.begun));
}

#[test]
#[should_panic(expected = "a slot was lost")]
fn it_would_be_lost_if_it_were_for_one_who_leaves() {
    beside_one_who_leaves(|callers, slot, first| {
        if callers.wants(first) {
            callers.serves(slot, callers.begun);
        }
    });
}

#[test]
#[should_panic(expected = "answered twice")]
fn somebody_would_be_answered_twice_if_the_first_were_not_taken_out() {
    beside_one_who_leaves(|callers, slot, first| {
        callers.answer(first);
        callers.serves(slot, callers.begun);
    });
}

/// The holder of the only slot stands still, and one comes at once and another later, who see to it.
fn beside_a_stuck_slot(second_comes: Duration, looks_after: Duration, holder: fn(&Callers, SlotId)) {
    in_each_order(move || {
        let callers = Callers::new(1);
        let slot = callers.enters(0, callers.begun).expect("nobody else is there");
        let others = [(1, Duration::ZERO), (2, second_comes)].map(|(caller, comes)| {
            spawn(&callers, move |callers| {
                let slot = callers.enters(caller, callers.begun + comes).or_else(|| {
                    callers.queue.rescue(callers.begun + looks_after, |caller| callers.wants(*caller))
                });
                if let Some(slot) = slot {
                    callers.serves(slot, callers.later());
                }
            })
        });
        holder(&callers, slot);
        join(others);
        callers.check_answers(0..3);
        callers.check_slots(1, callers.later());
    });
}

#[test]
fn a_slot_whose_holder_never_comes_back_keeps_nobody_waiting() {
    beside_a_stuck_slot(Duration::ZERO, STUCK, |_, _| {});
    beside_a_stuck_slot(STUCK, STUCK, |_, _| {});
}

#[test]
#[should_panic(expected = "forgotten")]
fn it_would_if_those_who_wait_looked_too_early_and_not_again() {
    beside_a_stuck_slot(Duration::ZERO, STUCK / 2, |_, _| {});
}

#[test]
fn a_slot_whose_holder_comes_back_late_is_one_slot_all_the_same() {
    beside_a_stuck_slot(Duration::ZERO, STUCK, |callers, slot| callers.serves(slot, callers.later()));
    beside_a_stuck_slot(STUCK, STUCK, |callers, slot| callers.serves(slot, callers.later()));
}

#[test]
#[should_panic(expected = "forgotten")]
fn somebody_would_be_forgotten_if_whoever_comes_back_served_but_once() {
    beside_a_stuck_slot(Duration::ZERO, STUCK, |callers, slot| {
        callers.serves_once(slot, callers.later());
    });
}

/// One of two slots has had no connection since then, beside another, while one waits and another comes.
fn beside_another_slot(since: fn(&Callers) -> Instant, other_holder: fn(&Callers, SlotId)) {
    in_each_order(move || {
        let callers = Callers::new(2);
        let now = callers.begun + 3 * TICK;
        let [slot, other] =
            [0, 1].map(|caller| callers.enters(caller, callers.begun).expect("there are two slots"));
        assert_eq!(callers.enters(2, callers.begun), None, "there are only two slots");
        let other = spawn(&callers, move |callers| other_holder(callers, other));
        let comes = spawn(&callers, move |callers| {
            if let Some(slot) = callers.enters(3, now) {
                callers.serves(slot, now);
            }
        });
        let wants = |caller: &usize| callers.wants(*caller);
        let (told, goes_on) = callers.queue.fail(slot, since(&callers), now, wants, |caller| *caller == 2);
        for caller in told {
            callers.answer(caller);
        }
        if goes_on {
            callers.serves(slot, now);
        }
        join([other, comes]);
        callers.check_answers(0..4);
    });
}

#[test]
fn whoever_has_no_connection_leaves_nobody_to_a_slot_in_which_nothing_goes_out() {
    let others: [fn(&Callers, SlotId); 4] = [
        |callers, other| callers.serves(other, callers.begun + 3 * TICK),
        |_, _| {},
        |callers, other| {
            callers.queue.keep(other, callers.begun + 3 * TICK, |_| true);
        },
        |callers, other| {
            callers.serves_once(other, callers.begun + TICK);
        },
    ];
    for other in others {
        beside_another_slot(|callers| callers.begun + 2 * TICK, other);
    }
}

#[test]
#[should_panic(expected = "forgotten")]
fn somebody_would_be_left_if_what_the_other_slot_did_before_counted() {
    beside_another_slot(
        |callers| callers.begun,
        |callers, other| {
            callers.serves_once(other, callers.begun + TICK);
        },
    );
}

/// One of those who wait has waited for long enough, while the slot goes on.
fn beside_one_without_patience(leaves: fn(&Callers, usize) -> bool) {
    in_each_order(move || {
        let callers = Callers::new(1);
        let slot = callers.enters(0, callers.begun).expect("nobody else is there");
        let hasty = spawn(&callers, move |callers| match callers.enters(1, callers.begun) {
            Some(slot) => callers.serves(slot, callers.begun),
            // It hears that it has waited for too long.
            None if leaves(callers, 1) => callers.answer(1),
            None => {}
        });
        let stays = spawn(&callers, |callers| {
            callers.enters(2, callers.begun).into_iter().for_each(|slot| callers.serves(slot, callers.begun));
        });
        callers.serves(slot, callers.begun);
        join([hasty, stays]);
        callers.check_answers(0..3);
        callers.check_slots(1, callers.begun);
    });
}

#[test]
fn whoever_has_waited_for_long_enough_hears_so_or_the_answer() {
    beside_one_without_patience(|callers, caller| callers.queue.leave(|other| *other == caller).is_some());
}

#[test]
#[should_panic(expected = "answered twice")]
fn it_would_hear_both_if_it_did_not_look_whether_it_goes_already() {
    beside_one_without_patience(|callers, caller| {
        callers.queue.leave(|other| *other == caller);
        true
    });
}

/// The statement in the only slot takes long, and another comes when a slot that is not heard of is stuck.
fn beside_a_long_statement(holder: fn(&Callers, SlotId)) {
    in_each_order(move || {
        let callers = Callers::new(1);
        let slot = callers.enters(0, callers.begun).expect("nobody else is there");
        let is_out = Arc::new(AtomicBool::new(true));
        holder(&callers, slot);
        let comes = spawn(&callers, {
            let is_out = Arc::clone(&is_out);
            move |callers| {
                if let Some(slot) = callers.enters(1, callers.later()) {
                    assert!(!is_out.load(Ordering::SeqCst), "another is out");
                    callers.serves(slot, callers.later());
                }
            }
        });
        is_out.store(false, Ordering::SeqCst);
        callers.serves(slot, callers.later());
        join([comes]);
        callers.check_answers(0..2);
        callers.check_slots(1, callers.later());
    });
}

#[test]
fn a_slot_that_is_heard_of_is_not_made_up_for() {
    beside_a_long_statement(|callers, slot| callers.queue.beat(slot, callers.begun + STUCK / 2));
}

#[test]
#[should_panic(expected = "another is out")]
fn it_would_be_if_it_were_not_heard_of() {
    beside_a_long_statement(|_, _| {});
}

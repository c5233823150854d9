use std::time::{Duration, Instant};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::queue::{Admission, Queue, STUCK, SlotId};

/// Lookups that each count the answers that were given to them.
struct Callers {
    queue: Queue<usize>,
    answers: [AtomicUsize; 3],
    out: AtomicUsize,
    /// Time stands still.
    now: Instant,
}

impl Callers {
    fn new(slots: usize) -> Arc<Self> {
        let answers = [AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)];
        let (queue, out) = (Queue::new(slots), AtomicUsize::new(0));
        Arc::new(Self { queue, answers, out, now: Instant::now() })
    }

    /// What a caller does, and then a slot, which goes on for as long as `next` finds anybody.
    fn asks(&self, caller: usize, slots: usize, now: Instant, next: Next) {
        let turn = self.queue.enter(caller, now, |_| true, |caller| (caller, ()));
        let Admission::Now(caller, slot) = turn else {
            return;
        };
        let mut together = vec![caller];
        loop {
            assert!(self.out.fetch_add(1, Ordering::SeqCst) < slots, "more are out than may be");
            for caller in together {
                self.answers[caller].fetch_add(1, Ordering::SeqCst);
            }
            self.out.fetch_sub(1, Ordering::SeqCst);
            let Some(next) = next(&self.queue, slot, now) else {
                return;
            };
            together = next;
        }
    }
}

type Next = fn(&Queue<usize>, SlotId, Instant) -> Option<Vec<usize>>;

fn next(queue: &Queue<usize>, slot: SlotId, now: Instant) -> Option<Vec<usize>> {
    queue.next(slot, now, |_| true, |waiting| waiting.min(2))
}

/// Of three callers, the first of whom is ahead of the others by so much.
fn each_is_answered_once(slots: usize, ahead: Duration, next: Next) {
    let mut orders = loom::model::Builder::new();
    // Of three threads there are too many orders to try those in which they are stopped more often.
    orders.preemption_bound = Some(3);
    orders.check(move || {
        let callers = Callers::new(slots);
        let threads: Vec<_> = (1..3)
            .map(|caller| {
                let callers = Arc::clone(&callers);
                thread::spawn(move || callers.asks(caller, slots, callers.now, next))
            })
            .collect();
        callers.asks(0, slots, callers.now + ahead, next);
        for thread in threads {
            thread.join().expect("no thread panicked");
        }
        for answers in &callers.answers {
            assert_eq!(answers.load(Ordering::SeqCst), 1, "a caller was forgotten or answered twice");
        }
    });
}

#[test]
fn whoever_waits_is_answered_once_by_one_slot() {
    each_is_answered_once(1, Duration::ZERO, next);
}

#[test]
fn whoever_waits_is_answered_once_by_two_slots() {
    each_is_answered_once(2, Duration::ZERO, next);
}

#[test]
#[should_panic(expected = "forgotten")]
fn somebody_would_be_forgotten_if_a_slot_were_freed_without_a_look() {
    each_is_answered_once(1, Duration::ZERO, |queue, slot, now| {
        queue.next(slot, now, |_| false, |waiting| waiting)
    });
}

#[test]
#[should_panic(expected = "more are out")]
fn more_would_be_out_if_a_slot_that_moves_counted_as_stuck() {
    each_is_answered_once(1, STUCK, next);
}

/// A slot that reads what the database holds for those whom it gathers.
type Serve = fn(&Queue<Arc<AtomicUsize>>, SlotId, Instant, &AtomicUsize);

fn answer(waiting: Vec<Arc<AtomicUsize>>, read: usize) {
    for answer in waiting {
        answer.store(read, Ordering::SeqCst);
    }
}

fn beside_a_statement(serve: Serve) {
    loom::model(move || {
        // What the database holds, and what each statement read of it.
        let database = Arc::new(AtomicUsize::new(0));
        let queue = Arc::new(Queue::<Arc<AtomicUsize>>::new(1));
        let answer = Arc::new(AtomicUsize::new(usize::MAX));

        let now = Instant::now();
        let Admission::Now((), taken) = queue.enter((), now, |_| true, |()| (Arc::clone(&answer), ())) else {
            unreachable!("nobody else is there");
        };
        let (other_queue, other_database) = (Arc::clone(&queue), Arc::clone(&database));
        let slot = thread::spawn(move || {
            // The statement of whoever came first.
            other_database.load(Ordering::SeqCst);
            serve(&other_queue, taken, now, &other_database);
        });
        database.store(1, Ordering::SeqCst);
        let turn = queue.enter((), now, |_| true, |()| (Arc::clone(&answer), ()));
        if let Admission::Now((), _) = turn {
            answer.store(database.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        slot.join().expect("no thread panicked");
        assert_eq!(answer.load(Ordering::SeqCst), 1, "the answer is older than the question");
    });
}

/// A lookup that joined those who wait is not answered by a statement that was sent before.
#[test]
fn nobody_joins_a_statement_that_has_been_sent() {
    beside_a_statement(|queue, slot, now, database| {
        while let Some(waiting) = queue.next(slot, now, |_| true, |waiting| waiting) {
            answer(waiting, database.load(Ordering::SeqCst));
        }
    });
}

#[test]
#[should_panic(expected = "older than the question")]
fn somebody_would_if_they_were_gathered_after_it() {
    beside_a_statement(|queue, slot, now, database| {
        loop {
            let read = database.load(Ordering::SeqCst);
            let Some(waiting) = queue.next(slot, now, |_| true, |waiting| waiting) else {
                return;
            };
            answer(waiting, read);
        }
    });
}

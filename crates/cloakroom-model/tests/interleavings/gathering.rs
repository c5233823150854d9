use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::time::Instant;

use crate::queue::{Queue, Turn};

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

    /// What a caller does, and then a slot, which goes on for as long as anybody waits.
    fn asks(&self, caller: usize, slots: usize) {
        let Turn::Now(caller, slot) = self.queue.enter(caller, self.now, |_| true, |caller| (caller, ()))
        else {
            return;
        };
        let mut together = vec![caller];
        loop {
            assert!(self.out.fetch_add(1, Ordering::SeqCst) < slots, "more are out than may be");
            for caller in together {
                self.answers[caller].fetch_add(1, Ordering::SeqCst);
            }
            self.out.fetch_sub(1, Ordering::SeqCst);
            let Some(next) = self.queue.next(slot, self.now, |_| true, |waiting| waiting.min(2)) else {
                return;
            };
            together = next;
        }
    }
}

fn each_is_answered_once(slots: usize) {
    let mut orders = loom::model::Builder::new();
    // Of three threads there are too many orders to try those in which they are stopped more often.
    orders.preemption_bound = Some(3);
    orders.check(move || {
        let callers = Callers::new(slots);
        let threads: Vec<_> = (1..3)
            .map(|caller| {
                let callers = Arc::clone(&callers);
                thread::spawn(move || callers.asks(caller, slots))
            })
            .collect();
        callers.asks(0, slots);
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
    each_is_answered_once(1);
}

#[test]
fn whoever_waits_is_answered_once_by_two_slots() {
    each_is_answered_once(2);
}

/// A lookup that joined those who wait is not answered by a statement that was sent before.
#[test]
fn nobody_joins_a_statement_that_has_been_sent() {
    loom::model(|| {
        // What the database holds, and what each statement read of it.
        let database = Arc::new(AtomicUsize::new(0));
        let queue = Arc::new(Queue::<Arc<AtomicUsize>>::new(1));
        let answer = Arc::new(AtomicUsize::new(usize::MAX));

        let now = Instant::now();
        let Turn::Now((), taken) = queue.enter((), now, |_| true, |()| (Arc::clone(&answer), ())) else {
            unreachable!("nobody else is there");
        };
        let (other_queue, other_database) = (Arc::clone(&queue), Arc::clone(&database));
        let slot = thread::spawn(move || {
            // The statement of whoever came first.
            other_database.load(Ordering::SeqCst);
            while let Some(waiting) = other_queue.next(taken, now, |_| true, |waiting| waiting) {
                let read = other_database.load(Ordering::SeqCst);
                for answer in waiting {
                    answer.store(read, Ordering::SeqCst);
                }
            }
        });
        database.store(1, Ordering::SeqCst);
        let turn = queue.enter((), now, |_| true, |()| (Arc::clone(&answer), ()));
        if let Turn::Now((), _) = turn {
            answer.store(database.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        slot.join().expect("no thread panicked");
        assert_eq!(answer.load(Ordering::SeqCst), 1, "the answer is older than the question");
    });
}

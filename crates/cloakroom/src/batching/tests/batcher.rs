use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use super::*;

/// Answers with twice the number, once it may.
struct Twice {
    slots: usize,
    takes: Duration,
    waits_in_line: bool,
    patience: Duration,
    is_held: Mutex<bool>,
    statements: Mutex<Vec<Vec<u32>>>,
    /// How long each attempt to connect takes, and whether it works. If the list is empty, it works at once.
    connects: Mutex<Vec<(Duration, bool)>>,
    connected: Mutex<usize>,
}

impl Default for Twice {
    fn default() -> Self {
        Self {
            slots: 1,
            takes: Duration::ZERO,
            waits_in_line: false,
            patience: Duration::from_hours(1),
            is_held: Mutex::default(),
            statements: Mutex::default(),
            connects: Mutex::default(),
            connected: Mutex::default(),
        }
    }
}

/// A number that fails its statement, and one that is locked.
const BAD: u32 = 1 << 20;
const LOCKED: u32 = 2 << 20;

impl Twice {
    async fn while_held(&self) {
        std::future::poll_fn(|_| if *self.is_held.lock().unwrap() { Poll::Pending } else { Poll::Ready(()) })
            .await;
    }

    async fn take_time(&self) {
        if self.takes > Duration::ZERO {
            tokio::time::sleep(self.takes).await;
        }
    }

    fn sizes(&self) -> Vec<usize> {
        self.statements.lock().unwrap().iter().map(Vec::len).collect()
    }
}

fn bad() -> Error {
    Error::new(ErrorKind::Constraint, "it is bad")
}

impl BatchedQuery for Twice {
    type Question = u32;
    type Answer = u32;
    type Connection = ();

    fn max_in_flight(&self) -> usize {
        self.slots
    }

    fn batch_size(&self, waiting: usize) -> usize {
        waiting.min(4)
    }

    fn waits_in_line(&self) -> bool {
        self.waits_in_line
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn out_of_patience(&self) -> Error {
        Error::new(ErrorKind::Unavailable, "it waited for too long")
    }

    async fn answer(&self, number: &u32) -> Option<Result<u32>> {
        self.statements.lock().unwrap().push(vec![*number]);
        self.while_held().await;
        assert_ne!(*number, 13, "of all numbers");
        self.take_time().await;
        (*number != LOCKED).then_some(Ok(number * 2))
    }

    /// A locked number takes an hour.
    async fn answer_alone(&self, number: u32, _until: Instant) -> Result<u32> {
        self.while_held().await;
        if number == LOCKED {
            tokio::time::sleep(Duration::from_hours(1)).await;
        }
        Ok(number * 2)
    }

    async fn connect(&self) -> Result<()> {
        let next = self.connects.lock().unwrap().pop();
        let Some((delay, is_good)) = next else {
            *self.connected.lock().unwrap() += 1;
            return Ok(());
        };
        tokio::time::sleep(delay).await;
        if is_good { Ok(()) } else { Err(Error::new(ErrorKind::Unavailable, "none became free")) }
    }

    fn discard((): ()) {}

    async fn answer_all(&self, (): &mut (), numbers: &[u32]) -> BatchOutcome<u32> {
        self.statements.lock().unwrap().push(numbers.to_vec());
        assert!(!numbers.contains(&13), "of all numbers");
        self.take_time().await;
        match numbers {
            [BAD] => BatchOutcome::Each(vec![Err(bad())]),
            [LOCKED] => BatchOutcome::Alone,
            _ if numbers.contains(&BAD) || numbers.contains(&LOCKED) => BatchOutcome::Halve,
            _ => BatchOutcome::Each(numbers.iter().map(|number| Ok(number * 2)).collect()),
        }
    }
}

type Asking<'c> = std::pin::Pin<Box<dyn Future<Output = Result<u32>> + 'c>>;

/// Takes a batcher's slot for a first caller that is not answered yet.
fn held(batcher: &Batcher<Twice>, number: u32) -> Asking<'_> {
    *batcher.shared.work.is_held.lock().unwrap() = true;
    let mut first: Asking<'_> = Box::pin(batcher.ask(number));
    assert!(poll(&mut first).is_pending());
    *batcher.shared.work.is_held.lock().unwrap() = false;
    first
}

fn waiting(batcher: &Batcher<Twice>, number: u32) -> Asking<'_> {
    let mut asked: Asking<'_> = Box::pin(batcher.ask(number));
    assert!(poll(&mut asked).is_pending());
    asked
}

fn other_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn poll<F: Future + ?Sized>(future: &mut std::pin::Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// There is no runtime here, so there is neither a task nor a timer.
#[test]
fn a_lone_caller_needs_nothing_but_its_own_future() {
    let batcher = Batcher::new(Twice::default());
    for number in 0..3 {
        assert!(
            matches!(poll(&mut Box::pin(batcher.ask(number))), Poll::Ready(Ok(twice)) if twice == 2 * number)
        );
    }
}

#[tokio::test]
async fn callers_that_gather_go_together_and_each_hears_its_own() {
    let batcher = Batcher::new(Twice::default());
    *batcher.shared.work.is_held.lock().unwrap() = true;
    let mut first = Box::pin(batcher.ask(0));
    assert!(poll(&mut first).is_pending());
    let mut others: Vec<_> = (1..=6).map(|number| Box::pin(batcher.ask(number))).collect();
    for other in &mut others {
        assert!(poll(other).is_pending());
    }
    // The last caller asks and goes away.
    drop(others.pop());
    *batcher.shared.work.is_held.lock().unwrap() = false;
    assert_eq!(first.await.unwrap(), 0);
    for (number, other) in (1..).zip(others) {
        assert_eq!(other.await.unwrap(), 2 * number);
    }
    let statements = batcher.shared.work.statements.lock().unwrap().clone();
    assert_eq!(statements, [vec![0], vec![1, 2, 3, 4], vec![5]]);
}

#[tokio::test]
async fn a_panic_is_no_more_than_trouble_to_those_who_share_it() {
    let batcher = Arc::new(Batcher::new(Twice::default()));
    *batcher.shared.work.is_held.lock().unwrap() = true;
    let mut first = Box::pin(batcher.ask(0));
    assert!(poll(&mut first).is_pending());
    let mut others: Vec<_> = (11..=17).map(|number| Box::pin(batcher.ask(number))).collect();
    for other in &mut others {
        assert!(poll(other).is_pending());
    }
    *batcher.shared.work.is_held.lock().unwrap() = false;
    assert_eq!(first.await.unwrap(), 0);
    for (number, other) in (11..).zip(others) {
        match other.await {
            Ok(twice) => assert!(number > 14 && twice == 2 * number),
            Err(error) => assert!(number <= 14 && error.kind() == ErrorKind::Unavailable),
        }
    }
    // And alone it runs in the caller's own future.
    let alone = tokio::spawn({
        let batcher = Arc::clone(&batcher);
        async move { batcher.ask(13).await }
    });
    assert!(alone.await.unwrap_err().is_panic());
    assert_eq!(batcher.ask(1).await.unwrap(), 2);
}

/// Without a runtime a call could not wait, for a time-out needs one too.
#[test]
fn callers_outside_of_any_runtime_ask_alone() {
    let batcher = Batcher::new(Twice::default());
    *batcher.shared.work.is_held.lock().unwrap() = true;
    let mut asked: Vec<Asking<'_>> = (0..3).map(|number| waiting(&batcher, number)).collect();
    *batcher.shared.work.is_held.lock().unwrap() = false;
    for (number, asked) in (0..).zip(&mut asked) {
        assert!(matches!(poll(asked), Poll::Ready(Ok(twice)) if twice == 2 * number));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_longest_on_a_runtime_that_is_not_driven_holds_nobody_up() {
    let batcher = Batcher::new(Twice::default());
    let elsewhere = other_runtime();
    let first = held(&batcher, 0);
    let stays = {
        let _entered = elsewhere.enter();
        waiting(&batcher, 1)
    };
    let second = waiting(&batcher, 2);
    assert_eq!(first.await.unwrap(), 0);
    let answer = tokio::time::timeout(Duration::from_secs(5), second).await;
    assert_eq!(answer.expect("it hangs").unwrap(), 4);
    // Calls that come later are not delayed either.
    for number in 3..6 {
        let answer = tokio::time::timeout(Duration::from_secs(5), batcher.ask(number)).await;
        assert_eq!(answer.expect("it hangs").unwrap(), 2 * number);
    }
    drop(stays);
    // The runtime's task is dropped with it, here.
    elsewhere.shutdown_background();
}

#[tokio::test]
async fn a_runtime_that_shuts_down_takes_only_its_own_with_it() {
    let batcher = Batcher::new(Twice::default());
    let elsewhere = other_runtime();
    let first = held(&batcher, 0);
    let gone = {
        let _entered = elsewhere.enter();
        waiting(&batcher, 1)
    };
    let stay: Vec<_> = (2..4).map(|number| waiting(&batcher, number)).collect();
    elsewhere.shutdown_background();
    assert_eq!(first.await.unwrap(), 0);
    for (number, stays) in (2..).zip(stay) {
        assert_eq!(stays.await.unwrap(), 2 * number);
    }
    assert_eq!(gone.await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn callers_with_little_patience_do_not_wait_for_a_slot_that_is_stuck() {
    let batcher = Batcher::new(Twice::default());
    let stuck = held(&batcher, 0);
    let patience = LOOK_AROUND * 4 / 5;
    assert!(tokio::time::timeout(patience, batcher.ask(1)).await.is_err(), "it may come back yet");
    for number in 2..5 {
        let answer = tokio::time::timeout(patience, batcher.ask(number)).await;
        assert!(answer.is_ok_and(|answer| answer.unwrap() == 2 * number) || number == 2);
    }
    assert_eq!(stuck.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_kept_from_others_for_long() {
    let batcher = Arc::new(Batcher::new(Twice { takes: Duration::from_millis(10), ..Twice::default() }));
    let callers: Vec<_> = (0..8)
        .map(|number| {
            let batcher = Arc::clone(&batcher);
            tokio::spawn(async move {
                for _ in 0..100 {
                    batcher.ask(number).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let connected = *batcher.shared.work.connected.lock().unwrap();
    // The calls take at least a second, many times as long as a connection is held at most and a statement takes.
    assert!((10..60).contains(&connected), "{connected} connections for all");
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_no_connection_fails_nobody_whom_others_serve() {
    let takes = Duration::from_millis(70);
    let batcher = Arc::new(Batcher::new(Twice { slots: 2, takes, ..Twice::default() }));
    let (first, second) = (held(&batcher, 0), held(&batcher, 1));
    // The other slot gets no connection, and finds out long after the first slot has gone on.
    *batcher.shared.work.connects.lock().unwrap() =
        vec![(takes * 3, false), (Duration::from_millis(1), true)];
    let mut asked = vec![waiting(&batcher, 2)];
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.unwrap(), second.unwrap()), (0, 2));
    for number in 3..12 {
        asked.push(waiting(&batcher, number));
        tokio::time::sleep(takes / 2).await;
    }
    for (number, asked) in (2..).zip(asked) {
        assert_eq!(asked.await.unwrap(), 2 * number);
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_finds_a_connection_all_hear_why() {
    let batcher = Arc::new(Batcher::new(Twice::default()));
    let first = held(&batcher, 0);
    *batcher.shared.work.connects.lock().unwrap() = vec![(Duration::from_millis(100), false)];
    let waiting: Vec<_> = (1..4).map(|number| waiting(&batcher, number)).collect();
    assert_eq!(first.await.unwrap(), 0);
    for asked in waiting {
        assert_eq!(asked.await.unwrap_err().to_string(), "none became free");
    }
    assert_eq!(batcher.ask(4).await.unwrap(), 8);
}

#[tokio::test(start_paused = true)]
async fn where_no_slot_finds_a_connection_all_hear_why_in_time() {
    let slots = 2;
    let takes = LOOK_AROUND * 8;
    let batcher = Arc::new(Batcher::new(Twice { slots, ..Twice::default() }));
    let (first, second) = (held(&batcher, 0), held(&batcher, 1));
    *batcher.shared.work.connects.lock().unwrap() = vec![(takes, false); 100];
    let waiting: Vec<_> = (2..20).map(|number| waiting(&batcher, number)).collect();
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.unwrap(), second.unwrap()), (0, 2));
    let begun = tokio::time::Instant::now();
    let heard = futures_util::future::join_all(waiting);
    for answer in tokio::time::timeout(takes * 4, heard).await.expect("it hangs") {
        assert_eq!(answer.unwrap_err().to_string(), "none became free");
    }
    assert!(begun.elapsed() < takes * 4);
    // And no more connections were asked for than there are slots.
    let asked = 100 - batcher.shared.work.connects.lock().unwrap().len();
    assert!(asked <= slots * 4, "{asked} times");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_bad_fails_alone_and_the_others_do_not() {
    let batcher = Batcher::new(Twice::default());
    let first = held(&batcher, 0);
    let asked: Vec<_> = [1, 2, BAD, 4, 5].map(|number| waiting(&batcher, number)).into();
    assert_eq!(first.await.unwrap(), 0);
    for (number, asked) in (1..).zip(asked) {
        match asked.await {
            Ok(twice) => assert_eq!(twice, 2 * number),
            Err(error) => assert_eq!((number, error.kind()), (3, ErrorKind::Constraint)),
        }
    }
    assert_eq!(batcher.shared.work.sizes(), [1, 4, 2, 2, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_lock_waits_alone_and_in_no_slot() {
    let takes = Duration::from_millis(10);
    let batcher = Batcher::new(Twice { takes, ..Twice::default() });
    let begun = tokio::time::Instant::now();
    // Alone, and together with others.
    let mut locked = vec![waiting(&batcher, LOCKED)];
    locked.extend([1, 2, 3].map(|number| waiting(&batcher, number)));
    locked.push(waiting(&batcher, LOCKED));
    locked.push(waiting(&batcher, 5));
    let mut answers = futures_util::future::join_all(locked);
    // The calls take one slot in turn, so that none of this comes from a slot that was taken away.
    let others = tokio::time::timeout(takes * 20, &mut answers).await;
    assert!(others.is_err(), "what is locked takes an hour");
    assert_eq!(batcher.shared.work.statements.lock().unwrap().concat().iter().max(), Some(&LOCKED));
    let answer = tokio::time::timeout(takes * 2, batcher.ask(6)).await;
    assert_eq!(answer.expect("it waits for what is locked").unwrap(), 12);
    let answers = answers.await.into_iter().map(Result::unwrap);
    assert_eq!(answers.collect::<Vec<_>>(), [2 * LOCKED, 2, 4, 6, 2 * LOCKED, 10]);
    assert!(begun.elapsed() < Duration::from_mins(61), "they wait at once");
}

/// If a statement is halved, the callers of the first half get their answers before the second half is done.
#[tokio::test(start_paused = true)]
async fn whoever_is_done_hears_of_it_before_the_others_are() {
    let takes = Duration::from_millis(100);
    let batcher = Arc::new(Batcher::new(Twice { takes, ..Twice::default() }));
    let first = held(&batcher, 0);
    let asked: Vec<_> = [1, 2, 3, BAD].map(|number| waiting(&batcher, number)).into();
    assert_eq!(first.await.unwrap(), 0);
    let begun = tokio::time::Instant::now();
    let heard = futures_util::future::join_all(asked.into_iter().map(async |asked| {
        let _ = asked.await;
        begun.elapsed().div_duration_f64(takes).round()
    }));
    // The statements: the whole, the first half, the second half, and each of the second half alone.
    assert_eq!(heard.await, [2.0, 2.0, 4.0, 5.0]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_connection_longer_than_its_own_patience() {
    let patience = Duration::from_secs(5);
    for slots in 1..3 {
        let batcher = Arc::new(Batcher::new(Twice { slots, patience, ..Twice::default() }));
        let held: Vec<_> = (0..2).take(slots).map(|number| held(&batcher, number)).collect();
        *batcher.shared.work.connects.lock().unwrap() = vec![(patience, false); 100];
        // From here on a call waits, and none is sent alone.
        let first = waiting(&batcher, 2);
        let callers = (3..100).map(async |number| {
            // Some calls come when an attempt to connect has just begun, and some when it is about to fail.
            tokio::time::sleep(Duration::from_millis(100) * number).await;
            let begun = tokio::time::Instant::now();
            let error = batcher.ask(number).await.unwrap_err();
            (begun.elapsed(), error.kind())
        });
        let (_, _, waited) = tokio::join!(
            futures_util::future::join_all(held),
            first,
            futures_util::future::join_all(callers)
        );
        for (number, (waited, kind)) in waited.into_iter().enumerate() {
            // A timer's tick more.
            let is_in_time = waited <= patience + Duration::from_millis(10);
            assert!(is_in_time && kind == ErrorKind::Unavailable, "{number} waited for {waited:?}: {kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_has_its_statement_out_waits_for_the_answer() {
    let takes = Duration::from_secs(9);
    let patience = Duration::from_secs(5);
    let batcher = Batcher::new(Twice { takes, patience, waits_in_line: true, ..Twice::default() });
    let (first, second) = tokio::join!(batcher.ask(1), async {
        let second = batcher.ask(2).await;
        (second.unwrap_err().to_string(), batcher.ask(3).await)
    });
    assert_eq!(first.unwrap(), 2);
    assert_eq!(second.0, "it waited for too long");
    // Its turn came before its patience ended.
    assert_eq!(second.1.unwrap(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_others_could_only_join_in_waiting_is_not_made_up_for() {
    let takes = LOOK_AROUND * 20;
    for (waits_in_line, most_out) in [(true, 1), (false, 8)] {
        let batcher = Arc::new(Batcher::new(Twice { takes, waits_in_line, ..Twice::default() }));
        let callers = (0..9).map(|number| {
            let batcher = Arc::clone(&batcher);
            tokio::spawn(async move { batcher.ask(number).await.unwrap() })
        });
        let callers: Vec<_> = callers.collect();
        tokio::time::sleep(takes / 2).await;
        let out = batcher.shared.work.statements.lock().unwrap().len();
        assert!(out <= most_out && (out > 1) != waits_in_line, "{out} statements are out");
        for (number, caller) in (0..).zip(callers) {
            assert_eq!(caller.await.unwrap(), 2 * number);
        }
    }
}

/// The caller is not polled, so no call waits in line with it.
#[tokio::test(start_paused = true)]
async fn a_caller_that_is_not_polled_is_made_up_for_all_the_same() {
    let batcher = Batcher::new(Twice { waits_in_line: true, ..Twice::default() });
    let stuck = held(&batcher, 0);
    let answer = tokio::time::timeout(LOOK_AROUND * 3, batcher.ask(1)).await;
    assert_eq!(answer.expect("it hangs").unwrap(), 2);
    assert_eq!(stuck.await.unwrap(), 0);
}

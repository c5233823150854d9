use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use super::*;

/// Answers with twice the number, once it may.
struct Twice {
    slots: usize,
    takes: Duration,
    is_held: Mutex<bool>,
    statements: Mutex<Vec<Vec<u32>>>,
    connections: Server,
}

impl Default for Twice {
    fn default() -> Self {
        Self {
            slots: 1,
            takes: Duration::ZERO,
            is_held: Mutex::default(),
            statements: Mutex::default(),
            connections: Server::default(),
        }
    }
}

impl Twice {
    async fn take_time(&self) {
        if self.takes > Duration::ZERO {
            tokio::time::sleep(self.takes).await;
        }
    }
}

/// Connects after a while, or fails to.
#[derive(Default)]
struct Server {
    delays: Mutex<Vec<(Duration, bool)>>,
    connected: Mutex<usize>,
}

impl Work for Twice {
    type Question = u32;
    type Answer = u32;
    type Store = Server;

    fn store(&self) -> &Server {
        &self.connections
    }

    fn max_in_flight(&self) -> usize {
        self.slots
    }

    fn fit(&self, waiting: usize) -> usize {
        waiting.min(4)
    }

    async fn answer(&self, number: u32) -> Result<u32> {
        self.statements.lock().unwrap().push(vec![number]);
        std::future::poll_fn(|_| if *self.is_held.lock().unwrap() { Poll::Pending } else { Poll::Ready(()) })
            .await;
        assert_ne!(number, 13, "of all numbers");
        self.take_time().await;
        Ok(number * 2)
    }

    async fn answer_all(&self, (): &mut (), numbers: Vec<u32>) -> Vec<Result<u32>> {
        self.statements.lock().unwrap().push(numbers.clone());
        assert!(!numbers.contains(&13), "of all numbers");
        self.take_time().await;
        numbers.into_iter().map(|number| Ok(number * 2)).collect()
    }
}

impl Connections for Server {
    type Connection = ();

    async fn connect(&self) -> Result<()> {
        let next = self.delays.lock().unwrap().pop();
        let Some((delay, is_good)) = next else {
            *self.connected.lock().unwrap() += 1;
            return Ok(());
        };
        tokio::time::sleep(delay).await;
        if is_good { Ok(()) } else { Err(Error::new(ErrorKind::Unavailable, "none became free")) }
    }

    fn discard((): ()) {}
}

type Asked<'c> = std::pin::Pin<Box<dyn Future<Output = Result<u32>> + 'c>>;

/// A combiner whose first caller has its slot and is not answered yet.
fn held(combiner: &Combiner<Twice>, number: u32) -> Asked<'_> {
    *combiner.shared.work.is_held.lock().unwrap() = true;
    let mut first: Asked<'_> = Box::pin(combiner.ask(number));
    assert!(poll(&mut first).is_pending());
    *combiner.shared.work.is_held.lock().unwrap() = false;
    first
}

fn waiting(combiner: &Combiner<Twice>, number: u32) -> Asked<'_> {
    let mut asked: Asked<'_> = Box::pin(combiner.ask(number));
    assert!(poll(&mut asked).is_pending());
    asked
}

fn other_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn poll<F: Future + ?Sized>(future: &mut std::pin::Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// There is no runtime here, and so neither a task nor a timer.
#[test]
fn a_lone_caller_needs_nothing_but_its_own_future() {
    let combiner = Combiner::new(Twice::default());
    for number in 0..3 {
        assert!(
            matches!(poll(&mut Box::pin(combiner.ask(number))), Poll::Ready(Ok(twice)) if twice == 2 * number)
        );
    }
}

#[tokio::test]
async fn callers_that_gather_go_together_and_each_hears_its_own() {
    let combiner = Combiner::new(Twice::default());
    *combiner.shared.work.is_held.lock().unwrap() = true;
    let mut first = Box::pin(combiner.ask(0));
    assert!(poll(&mut first).is_pending());
    let mut others: Vec<_> = (1..=6).map(|number| Box::pin(combiner.ask(number))).collect();
    for other in &mut others {
        assert!(poll(other).is_pending());
    }
    // The last asks and goes away.
    drop(others.pop());
    *combiner.shared.work.is_held.lock().unwrap() = false;
    assert_eq!(first.await.unwrap(), 0);
    for (number, other) in (1..).zip(others) {
        assert_eq!(other.await.unwrap(), 2 * number);
    }
    let statements = combiner.shared.work.statements.lock().unwrap().clone();
    assert_eq!(statements, [vec![0], vec![1, 2, 3, 4], vec![5]]);
}

#[tokio::test]
async fn a_panic_is_no_more_than_trouble_to_those_who_share_it() {
    let combiner = Arc::new(Combiner::new(Twice::default()));
    *combiner.shared.work.is_held.lock().unwrap() = true;
    let mut first = Box::pin(combiner.ask(0));
    assert!(poll(&mut first).is_pending());
    let mut others: Vec<_> = (11..=17).map(|number| Box::pin(combiner.ask(number))).collect();
    for other in &mut others {
        assert!(poll(other).is_pending());
    }
    *combiner.shared.work.is_held.lock().unwrap() = false;
    assert_eq!(first.await.unwrap(), 0);
    for (number, other) in (11..).zip(others) {
        match other.await {
            Ok(twice) => assert!(number > 14 && twice == 2 * number),
            Err(error) => assert!(number <= 14 && error.kind() == ErrorKind::Unavailable),
        }
    }
    // And alone it is the caller's own.
    let alone = tokio::spawn({
        let combiner = Arc::clone(&combiner);
        async move { combiner.ask(13).await }
    });
    assert!(alone.await.unwrap_err().is_panic());
    assert_eq!(combiner.ask(1).await.unwrap(), 2);
}

/// None of them could wait, for a time-out needs a runtime too.
#[test]
fn callers_outside_of_any_runtime_ask_alone() {
    let combiner = Combiner::new(Twice::default());
    *combiner.shared.work.is_held.lock().unwrap() = true;
    let mut asked: Vec<Asked<'_>> = (0..3).map(|number| waiting(&combiner, number)).collect();
    *combiner.shared.work.is_held.lock().unwrap() = false;
    for (number, asked) in (0..).zip(&mut asked) {
        assert!(matches!(poll(asked), Poll::Ready(Ok(twice)) if twice == 2 * number));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_longest_on_a_runtime_that_is_not_driven_holds_nobody_up() {
    let combiner = Combiner::new(Twice::default());
    let elsewhere = other_runtime();
    let first = held(&combiner, 0);
    let stays = {
        let _entered = elsewhere.enter();
        waiting(&combiner, 1)
    };
    let second = waiting(&combiner, 2);
    assert_eq!(first.await.unwrap(), 0);
    let answer = tokio::time::timeout(Duration::from_secs(5), second).await;
    assert_eq!(answer.expect("it hangs").unwrap(), 4);
    // Nor those who come later.
    for number in 3..6 {
        let answer = tokio::time::timeout(Duration::from_secs(5), combiner.ask(number)).await;
        assert_eq!(answer.expect("it hangs").unwrap(), 2 * number);
    }
    drop(stays);
    // Its task is dropped with it, here.
    elsewhere.shutdown_background();
}

#[tokio::test]
async fn a_runtime_that_shuts_down_takes_only_its_own_with_it() {
    let combiner = Combiner::new(Twice::default());
    let elsewhere = other_runtime();
    let first = held(&combiner, 0);
    let gone = {
        let _entered = elsewhere.enter();
        waiting(&combiner, 1)
    };
    let stay: Vec<_> = (2..4).map(|number| waiting(&combiner, number)).collect();
    elsewhere.shutdown_background();
    assert_eq!(first.await.unwrap(), 0);
    for (number, stays) in (2..).zip(stay) {
        assert_eq!(stays.await.unwrap(), 2 * number);
    }
    assert_eq!(gone.await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn callers_with_little_patience_do_not_wait_for_a_slot_that_is_stuck() {
    let combiner = Combiner::new(Twice::default());
    let stuck = held(&combiner, 0);
    let patience = LOOK_AROUND * 4 / 5;
    assert!(tokio::time::timeout(patience, combiner.ask(1)).await.is_err(), "it may come back yet");
    for number in 2..5 {
        let answer = tokio::time::timeout(patience, combiner.ask(number)).await;
        assert!(answer.is_ok_and(|answer| answer.unwrap() == 2 * number) || number == 2);
    }
    assert_eq!(stuck.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_kept_from_others_for_long() {
    let combiner = Arc::new(Combiner::new(Twice { takes: Duration::from_millis(10), ..Twice::default() }));
    let callers: Vec<_> = (0..8)
        .map(|number| {
            let combiner = Arc::clone(&combiner);
            tokio::spawn(async move {
                for _ in 0..100 {
                    combiner.ask(number).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let connected = *combiner.shared.work.connections.connected.lock().unwrap();
    // A second at least is many times the longest that one is kept, and a statement the least.
    assert!((10..60).contains(&connected), "{connected} connections for all");
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_no_connection_fails_nobody_whom_others_serve() {
    let takes = Duration::from_millis(70);
    let combiner = Arc::new(Combiner::new(Twice { slots: 2, takes, ..Twice::default() }));
    let (first, second) = (held(&combiner, 0), held(&combiner, 1));
    // The other slot finds none when the first has long been on the move.
    *combiner.shared.work.connections.delays.lock().unwrap() =
        vec![(takes * 3, false), (Duration::from_millis(1), true)];
    let mut asked = vec![waiting(&combiner, 2)];
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.unwrap(), second.unwrap()), (0, 2));
    for number in 3..12 {
        asked.push(waiting(&combiner, number));
        tokio::time::sleep(takes / 2).await;
    }
    for (number, asked) in (2..).zip(asked) {
        assert_eq!(asked.await.unwrap(), 2 * number);
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_finds_a_connection_all_hear_why() {
    let combiner = Arc::new(Combiner::new(Twice::default()));
    let first = held(&combiner, 0);
    *combiner.shared.work.connections.delays.lock().unwrap() = vec![(Duration::from_millis(100), false)];
    let waiting: Vec<_> = (1..4).map(|number| waiting(&combiner, number)).collect();
    assert_eq!(first.await.unwrap(), 0);
    for asked in waiting {
        assert_eq!(asked.await.unwrap_err().to_string(), "none became free");
    }
    assert_eq!(combiner.ask(4).await.unwrap(), 8);
}

#[tokio::test(start_paused = true)]
async fn where_no_slot_finds_a_connection_all_hear_why_in_time() {
    let slots = 2;
    let takes = LOOK_AROUND * 8;
    let combiner = Arc::new(Combiner::new(Twice { slots, ..Twice::default() }));
    let (first, second) = (held(&combiner, 0), held(&combiner, 1));
    *combiner.shared.work.connections.delays.lock().unwrap() = vec![(takes, false); 100];
    let waiting: Vec<_> = (2..20).map(|number| waiting(&combiner, number)).collect();
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.unwrap(), second.unwrap()), (0, 2));
    let begun = tokio::time::Instant::now();
    let heard = futures_util::future::join_all(waiting);
    for answer in tokio::time::timeout(takes * 4, heard).await.expect("it hangs") {
        assert_eq!(answer.unwrap_err().to_string(), "none became free");
    }
    assert!(begun.elapsed() < takes * 4);
    // And nobody asked for more connections than there are slots.
    let asked = 100 - combiner.shared.work.connections.delays.lock().unwrap().len();
    assert!(asked <= slots * 4, "{asked} times");
}

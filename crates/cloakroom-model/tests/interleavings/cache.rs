use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::thread;

use crate::cache_entry::{CacheEntry, EntryMetadata, ReadMark};
use crate::clock_reading::ClockReading;
use crate::lease::Lease;
use crate::revocations::Scope;
use crate::validated_cache::{ValidatedCache, Validity};

const KEY: [u8; 32] = [7; 32];
const SESSION: u64 = 7;
const MAX_AGE: u64 = 10;

/// One session in a database, and one process that keeps it.
struct Process {
    is_valid: AtomicBool,
    clock: AtomicU64,
    shelf: ValidatedCache<()>,
    validity: std::sync::Arc<Validity>,
}

impl Process {
    fn new(lease: Option<Lease>) -> Arc<Self> {
        let validity = std::sync::Arc::new(Validity::new(MAX_AGE, lease));
        let shelf = ValidatedCache::new(1, std::sync::Arc::clone(&validity));
        Arc::new(Self { is_valid: AtomicBool::new(true), clock: AtomicU64::new(1), shelf, validity })
    }

    fn now(&self) -> ClockReading {
        at(self.clock.load(Ordering::SeqCst))
    }

    fn reads_valid(&self) -> bool {
        self.is_valid.load(Ordering::SeqCst)
    }

    fn commits_revocation(&self) {
        self.is_valid.store(false, Ordering::SeqCst);
    }

    fn keeps(&self, asked: ReadMark) {
        let mut kept = CacheEntry::uncached(());
        kept.set_metadata(EntryMetadata { key: KEY, mark: asked, session: SESSION, until: i64::MAX });
        self.shelf.put(std::sync::Arc::new(kept));
    }

    /// As the library does it.
    fn looks_up(&self) {
        let asked = self.validity.mark(self.now());
        if self.reads_valid() {
            self.keeps(asked);
        }
    }

    fn answers_at(&self, monotonic: u64) -> bool {
        self.shelf.get(&KEY, at(monotonic)).is_ok()
    }

    fn answers(&self) -> bool {
        self.shelf.get(&KEY, self.now()).is_ok()
    }
}

fn at(monotonic: u64) -> ClockReading {
    ClockReading { monotonic, wall: 0 }
}

/// What `revokes` does, and then a call of the same thread, while another thread looks the session up.
fn beside_a_lookup(looks_up: fn(&Process), revokes: fn(&Process)) {
    loom::model(move || {
        let process = Process::new(None);
        let other = Arc::clone(&process);
        let lookup = thread::spawn(move || looks_up(&other));
        revokes(&process);
        assert!(!process.answers(), "the very next call was answered");
        lookup.join().expect("no thread panicked");
        assert!(!process.answers(), "the lookup brought it back");
    });
}

fn revokes(process: &Process) {
    revokes_in(process, Scope::One(SESSION));
}

/// As the library does it.
fn revokes_in(process: &Process, scope: Scope) {
    process.validity.open(scope);
    process.commits_revocation();
    process.validity.close(scope);
}

#[test]
fn a_lookup_on_its_way_does_not_bring_back_what_was_revoked() {
    beside_a_lookup(Process::looks_up, revokes);
}

#[test]
fn nor_what_was_revoked_with_all_others() {
    beside_a_lookup(Process::looks_up, |process| revokes_in(process, Scope::All));
}

#[test]
fn nor_do_two_lookups_of_which_one_has_been_kept() {
    let twice = |process: &Process| {
        process.looks_up();
        process.looks_up();
    };
    beside_a_lookup(twice, revokes);
}

#[test]
#[should_panic(expected = "brought it back")]
fn it_would_if_it_noted_the_number_after_it_asked() {
    let late = |process: &Process| {
        let is_valid = process.reads_valid();
        let asked = process.validity.mark(process.now());
        if is_valid {
            process.keeps(asked);
        }
    };
    beside_a_lookup(late, revokes);
}

#[test]
#[should_panic(expected = "brought it back")]
fn it_would_if_the_revocation_were_numbered_before_it_is_committed() {
    beside_a_lookup(Process::looks_up, |process| {
        process.validity.revoke(Scope::One(SESSION));
        process.commits_revocation();
    });
}

/// What `revokes` does, while another thread sees in the database that the session is revoked, and then asks the cache.
fn beside_a_call(revokes: fn(&Process)) {
    loom::model(move || {
        let process = Process::new(None);
        process.looks_up();
        let other = Arc::clone(&process);
        let revocation = thread::spawn(move || revokes(&other));
        let is_revoked = !process.reads_valid();
        assert!(!(is_revoked && process.answers()), "it was answered between the commit and its return");
        revocation.join().expect("no thread panicked");
    });
}

#[test]
fn nothing_is_answered_between_a_commit_and_its_return() {
    beside_a_call(revokes);
    beside_a_call(|process| revokes_in(process, Scope::All));
}

#[test]
#[should_panic(expected = "between the commit and its return")]
fn it_would_be_if_the_revocation_were_not_opened_before_it_is_sent() {
    beside_a_call(|process| {
        process.commits_revocation();
        process.validity.revoke(Scope::One(SESSION));
    });
}

#[test]
fn of_two_revocations_at_once_the_first_to_return_brings_nothing_back() {
    loom::model(|| {
        let process = Process::new(None);
        process.looks_up();
        let other = Arc::clone(&process);
        let changes_nothing = thread::spawn(move || {
            other.validity.open(Scope::One(SESSION));
            other.validity.close(Scope::One(SESSION));
        });
        revokes(&process);
        assert!(!process.answers(), "the other revocation closed this one");
        changes_nothing.join().expect("no thread panicked");
        assert!(!process.answers(), "the other revocation took this one's version back");
    });
}

/// A revocation is left open while another thread looks the session up, and is committed as late as it may.
fn beside_an_open_revocation(leaves_open: fn(&Process)) {
    loom::model(move || {
        let process = Process::new(None);
        let other = Arc::clone(&process);
        let lookup = thread::spawn(move || other.looks_up());
        leaves_open(&process);
        process.clock.store(1 + MAX_AGE, Ordering::SeqCst);
        process.commits_revocation();
        lookup.join().expect("no thread panicked");
        assert!(!process.answers_at(1 + MAX_AGE), "it was answered after the commit");
    });
}

#[test]
fn nothing_that_was_asked_for_while_a_revocation_was_open_is_answered_afterwards() {
    beside_an_open_revocation(|process| {
        process.validity.open(Scope::One(SESSION));
        process.validity.quarantine(Scope::One(SESSION), process.now());
    });
}

#[test]
#[should_panic(expected = "after the commit")]
fn it_would_be_if_a_revocation_that_is_open_counted_as_committed() {
    beside_an_open_revocation(|process| process.validity.revoke(Scope::One(SESSION)));
}

/// A listener hears of a revocation and then of its own sign, while another thread looks up and asks again.
fn beside_a_listener(hears: fn(&Process)) {
    loom::model(move || {
        let process = Process::new(Some(Lease::new(0)));
        process.validity.lease().expect("it has one").renew(at(1));
        process.looks_up();
        let other = Arc::clone(&process);
        let listener = thread::spawn(move || hears(&other));
        process.commits_revocation();
        process.clock.store(2, Ordering::SeqCst);
        let is_answered = process.answers_at(2);
        listener.join().expect("no thread panicked");
        assert!(!is_answered, "the lease held although the revocation had not been heard");
    });
}

#[test]
fn a_lease_is_renewed_after_what_was_announced_before_it_took_effect() {
    beside_a_listener(|process| {
        let sent = process.now();
        // What had been committed when the sign was sent comes before it.
        if !process.reads_valid() {
            process.validity.revoke(Scope::One(SESSION));
        }
        process.validity.lease().expect("it has one").renew(sent);
    });
}

#[test]
#[should_panic(expected = "had not been heard")]
fn the_order_of_the_two_matters() {
    beside_a_listener(|process| {
        let sent = process.now();
        process.validity.lease().expect("it has one").renew(sent);
        if !process.reads_valid() {
            process.validity.revoke(Scope::One(SESSION));
        }
    });
}

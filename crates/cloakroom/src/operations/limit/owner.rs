//! The creates of one owner in this process, one after another.
//!
//! The lock of the database alone would keep the limit. But each create that waits for it holds a connection, and a few
//! dozen log-ins of one owner would leave none to others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turns, OwnedMutexGuard};

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};

/// How many owners are remembered before those for whom nothing waits are forgotten.
const FEW: usize = 64;

/// The queue of each owner for whom a session is being created.
#[derive(Default)]
pub(crate) struct Queues(Mutex<HashMap<Vec<u8>, Weak<Turns<()>>>>);

impl Queues {
    /// Waits until no other create of this owner is on its way, at the latest until the call's [deadline].
    pub(super) async fn turn(&self, owner: Vec<u8>) -> Result<OwnedMutexGuard<()>> {
        let turn = deadline::bound(self.of(owner).lock_owned()).await;
        turn.ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "other new sessions of the same owner have kept this one waiting for too long",
            )
        })
    }

    fn of(&self, owner: Vec<u8>) -> Arc<Turns<()>> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&owner).and_then(Weak::upgrade) {
            return queue;
        }
        if queues.len() >= FEW && queues.len() == queues.capacity() {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = Arc::default();
        queues.insert(owner, Arc::downgrade(&queue));
        queue
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_create_of_an_owner_has_its_turn_and_other_owners_do_not_wait() {
        let queues = Queues::default();
        let turn = |owner: &str| queues.turn(owner.into()).now_or_never();
        let first = turn("1").unwrap();
        assert!(turn("1").is_none());
        assert!(turn("2").is_some());
        drop(first);
        assert!(turn("1").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_create_waits_for_its_turn_no_longer_than_it_may_take() {
        let queues = Queues::default();
        let _first = queues.turn("1".into()).await.unwrap();
        let waited = deadline::within(Some(Duration::from_secs(3)), queues.turn("1".into())).await;
        assert_eq!(waited.unwrap_err().kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn owners_for_whom_nothing_waits_are_forgotten() {
        let queues = Queues::default();
        for owner in 0..10_000 {
            drop(queues.turn(owner.to_string().into()).now_or_never());
        }
        assert!(queues.0.lock().unwrap().capacity() < 1_000);
    }
}

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::{Event, Observer};
use crate::observe;

/// Returns an observer that puts events into a channel, and the end at which a task takes them out.
///
/// The channel holds up to `capacity` events, at least one. An event for which there is no room is lost, so that no call
/// ever waits: [`EventReceiver::lost`] counts them, the metric `cloakroom_events_lost_total` too, and `tracing` is told of
/// the first one. What must not be lost belongs into an
/// [audit log](crate::AuditLog).
///
/// ```
/// # use cloakroom::{Config, EventKind, SessionTable, Sessions, event_channel};
/// # #[derive(Clone, SessionTable)]
/// # struct UserSession { user_id: String }
/// # fn close_connections_of(session: cloakroom::uuid::Uuid) {}
/// # async fn example(sessions: Sessions<UserSession>) -> Result<(), cloakroom::ConfigError> {
/// let (sender, mut receiver) = event_channel(1_000);
/// let sessions = sessions.with_observer(sender)?;
/// tokio::spawn(async move {
///     while let Some(event) = receiver.recv().await {
///         if let (Some(session), Some(_)) = (event.session(), event.reason()) {
///             close_connections_of(session);
///         }
///     }
/// });
/// # Ok(())
/// # }
/// ```
pub fn event_channel(capacity: usize) -> (EventSender, EventReceiver) {
    let (events, receiver) = mpsc::channel(capacity.max(1));
    let lost = Arc::new(AtomicU64::new(0));
    (EventSender { events, lost: Arc::clone(&lost) }, EventReceiver { events: receiver, lost })
}

/// The observer of [`event_channel`]. Clones put their events into the same channel, so one channel may serve the handles
/// of several tables.
#[derive(Clone, Debug)]
pub struct EventSender {
    events: mpsc::Sender<Event>,
    lost: Arc<AtomicU64>,
}

impl Observer for EventSender {
    fn observe(&self, event: &Event) {
        match self.events.try_send(event.clone()) {
            // If the application no longer listens, that is its decision.
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(event)) => {
                observe::event_lost();
                if self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!(
                        table = event.table,
                        event = event.name(),
                        capacity = self.events.max_capacity(),
                        "an event was lost: the channel is full, since its receiver is slower than what happens",
                    );
                }
            }
        }
    }
}

/// The receiving end of [`event_channel`].
#[derive(Debug)]
pub struct EventReceiver {
    events: mpsc::Receiver<Event>,
    lost: Arc<AtomicU64>,
}

impl EventReceiver {
    /// Returns the next event, and waits for it if there is none. Returns `None` once the observer and all its clones
    /// are gone. If the future is dropped, no event is lost.
    pub async fn recv(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Returns the next event if there is one.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Returns how many events were lost so far because the channel was full.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::super::{EventKind, Observers};
    use super::*;

    fn event(sessions: u64) -> Event {
        let kind = EventKind::Pruned { sessions };
        Event { at: OffsetDateTime::UNIX_EPOCH, table: "sessions".into(), owner: None, kind }
    }

    #[tokio::test]
    async fn a_full_channel_loses_events_and_counts_them() {
        let (sender, mut receiver) = event_channel(2);
        let observers = Observers::default().and(sender);
        for number in 1..=5 {
            observers.tell(&event(number));
        }
        assert_eq!(receiver.lost(), 3);
        assert_eq!(receiver.recv().await, Some(event(1)));
        observers.tell(&event(6));
        assert_eq!([receiver.recv().await, receiver.recv().await], [Some(event(2)), Some(event(6))]);
        assert_eq!((receiver.try_recv(), receiver.lost()), (None, 3));
        drop(observers);
        assert_eq!(receiver.recv().await, None);
    }

    #[test]
    fn a_channel_without_a_receiver_loses_nothing_that_is_wanted() {
        let (sender, receiver) = event_channel(0);
        drop(receiver);
        sender.observe(&event(1));
        assert_eq!(sender.lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_observer_that_panics_keeps_no_other_from_hearing() {
        let (sender, mut receiver) = event_channel(4);
        let panics = |_: &Event| panic!("a fault of the application's");
        let observers = Observers::default().and(panics).and(sender);
        observers.tell(&event(1));
        assert_eq!(receiver.try_recv(), Some(event(1)));
    }
}

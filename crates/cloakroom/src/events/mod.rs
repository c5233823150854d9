//! What happens to sessions, told to the application.

mod channel;
mod event;
mod observer;

pub use channel::{EventReceiver, EventSender, event_channel};
pub use event::{Event, EventKind, Refusal};
pub use observer::Observer;
pub(crate) use observer::Observers;

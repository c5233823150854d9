//! What is told to `tracing` on this thread.

use std::error::Error;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Event, Metadata, Subscriber};

/// From now on keeps what is reported on this thread.
pub(crate) struct Captured {
    text: Arc<Mutex<String>>,
    _until_dropped: DefaultGuard,
}

impl Captured {
    pub(crate) fn start() -> Self {
        // What one thread is not interested in would be left out for all, if nothing said that others may be.
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            tracing::subscriber::set_global_default(Capture::nothing()).expect("nothing else listens");
        });
        let text = Arc::default();
        let guard = tracing::subscriber::set_default(Capture(Some(Arc::clone(&text))));
        Self { text, _until_dropped: guard }
    }

    /// Everything that was reported so far, a line each, and forgets it.
    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut *self.text.lock().unwrap())
    }
}

struct Capture(Option<Arc<Mutex<String>>>);

impl Capture {
    fn nothing() -> Self {
        Self(None)
    }
}

impl Subscriber for Capture {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.is_some() && metadata.target().starts_with("cloakroom_web")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        let Some(text) = &self.0 else { return };
        let mut text = text.lock().unwrap();
        text.push_str(&line.0);
        text.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        write!(self.0, " {field}={value}").unwrap();
    }
}

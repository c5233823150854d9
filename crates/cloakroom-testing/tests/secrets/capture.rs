//! A tracing subscriber that keeps everything it is told.

use std::error::Error;
use std::fmt::{Debug, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static TEXT: Mutex<String> = Mutex::new(String::new());

/// From now on keeps what is reported under targets that begin with `prefix`, at every level.
pub(crate) fn start(prefix: &'static str) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Capture { prefix }).expect("it is the only subscriber");
    });
}

/// Everything that was reported so far in this process, by whatever case.
pub(crate) fn text() -> String {
    lock().clone()
}

/// Counts the lines that hold `words` and were reported on this thread. Cases run at once, each on a thread of its own.
#[allow(dead_code, reason = "another suite that compiles this file counts nothing")]
pub(crate) fn count_here(words: &str) -> usize {
    let here = thread();
    text().lines().filter(|line| line.contains(words) && line.ends_with(&here)).count()
}

/// The end of each line that this thread reports. The test harness names each thread after its case.
fn thread() -> String {
    format!(" thread={}", std::thread::current().name().unwrap_or("unnamed"))
}

/// Keeps a line of another source.
#[allow(dead_code, reason = "another suite that compiles this file has no other source")]
pub(crate) fn keep(line: &str) {
    Line(line.to_owned()).end();
}

fn lock() -> MutexGuard<'static, String> {
    TEXT.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Capture {
    prefix: &'static str,
}

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(self.prefix)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line::of(span.metadata());
        span.record(&mut line);
        line.end();
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line("record".into());
        values.record(&mut line);
        line.end();
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::of(event.metadata());
        event.record(&mut line);
        line.end();
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Line {
    fn of(metadata: &Metadata<'_>) -> Self {
        Self(format!("{} {} {}", metadata.level(), metadata.target(), metadata.name()))
    }

    fn end(self) {
        let mut text = lock();
        text.push_str(&self.0);
        text.push_str(&thread());
        text.push('\n');
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").expect("a string takes everything");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {field}={value}").expect("a string takes everything");
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        write!(self.0, " {field}={value} {value:?}").expect("a string takes everything");
        let mut cause = value.source();
        while let Some(error) = cause {
            write!(self.0, ": {error} {error:?}").expect("a string takes everything");
            cause = error.source();
        }
    }
}

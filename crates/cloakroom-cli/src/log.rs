use std::io::{self, Write};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::escape::printable_lines;

/// Has the library's reports of at least this level go to standard error.
///
/// Only ours: the database drivers report statements and connections, which concern nobody here.
pub(crate) fn to_stderr(level: LevelFilter) {
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(|| Escaping);
    let ours = Targets::new().with_target("cloakroom", level);
    // Not `try_init`, which may have records of the crate `log` come here too: a question whether one is enabled
    // has a layer's filter swallow the next event. This fails only when it was done before.
    let _ =
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines.with_filter(ours)));
}

/// Standard error, for lines that may hold what a database said.
struct Escaping;

impl Write for Escaping {
    /// Is given whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        io::stderr().write_all(printable_lines(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

use std::io::{self, Write};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::escape::printable_lines;

/// Sends the library's reports of at least this level to standard error.
///
/// Only the library's: the reports of the database drivers, about statements and connections, do not concern the user.
pub(crate) fn to_stderr(level: LevelFilter) {
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(|| Escaping);
    let ours = Targets::new().with_target("cloakroom", level);
    // Not `try_init`, which may also route records of the crate `log` here: when such a record asks if it is enabled, a
    // layer's filter swallows the next event. This call fails only if it was made before.
    let _ =
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines.with_filter(ours)));
}

/// Standard error, for lines that may quote the database.
struct Escaping;

impl Write for Escaping {
    /// Gets whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        io::stderr().write_all(printable_lines(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

use std::io;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// Has the library's reports of at least this level go to standard error.
///
/// Only ours: the database drivers report statements and connections, which concern nobody here.
pub(crate) fn to_stderr(level: LevelFilter) {
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(io::stderr);
    let ours = Targets::new().with_target("cloakroom", level);
    // Not `try_init`, which may have records of the crate `log` come here too: a question whether one is enabled
    // has a layer's filter swallow the next event. This fails only when it was done before.
    let _ =
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines.with_filter(ours)));
}

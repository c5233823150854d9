use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// An operation that is shorter than this needs no bar.
const MANY: u64 = 1_000;

/// A bar on standard error while many sessions are ended. Nothing is shown if standard error is not a terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn start(total: u64, done: &'static str) -> Self {
        let target = if total > MANY { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_message(done);
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} {msg}, {eta} left")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    pub(crate) fn reached(&self, position: u64) {
        // Other processes may have made more sessions meanwhile.
        if self.0.length().is_some_and(|total| total < position) {
            self.0.set_length(position);
        }
        self.0.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

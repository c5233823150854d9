//! Shows the progress on stderr: a line that is rewritten on a terminal, and a line for each finished case.

use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

#[derive(Debug)]
pub struct Progress {
    cases: usize,
    done: usize,
    case: &'static str,
    begun: Instant,
    is_terminal: bool,
}

impl Progress {
    pub fn new(cases: usize) -> Self {
        Self { cases, done: 0, case: "", begun: Instant::now(), is_terminal: stderr().is_terminal() }
    }

    pub fn begin(&mut self, case: &'static str) {
        self.case = case;
        self.begun = Instant::now();
    }

    /// Shown on a terminal only, because it changes often.
    pub fn step(&self, what: &str) {
        if self.is_terminal {
            eprint!("\r\x1b[2K[{}/{}] {}: {what}", self.done + 1, self.cases, self.case);
            let _ = stderr().flush();
        }
    }

    /// Reports an error of this case while the other cases still run.
    pub fn fail(&self, failure: &str) {
        self.clear();
        eprintln!("error: {failure}");
    }

    fn clear(&self) {
        if self.is_terminal {
            eprint!("\r\x1b[2K");
        }
    }

    pub fn end(&mut self) {
        self.done += 1;
        let seconds = self.begun.elapsed().as_secs_f32();
        self.clear();
        eprintln!("[{}/{}] {}: {seconds:.1} s", self.done, self.cases, self.case);
    }
}

//! What runs now, on stderr: one line that is rewritten on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write, stderr};

#[derive(Debug)]
pub struct Progress {
    cases: usize,
    done: usize,
    case: &'static str,
    is_terminal: bool,
}

impl Progress {
    pub fn new(cases: usize) -> Self {
        Self { cases, done: 0, case: "", is_terminal: stderr().is_terminal() }
    }

    pub fn begin(&mut self, case: &'static str) {
        self.case = case;
        if !self.is_terminal {
            eprintln!("[{}/{}] {case}", self.done + 1, self.cases);
        }
    }

    /// Shown on a terminal only: it changes often.
    pub fn step(&self, what: &str) {
        if self.is_terminal {
            eprint!("\r\x1b[2K[{}/{}] {}: {what}", self.done + 1, self.cases, self.case);
            let _ = stderr().flush();
        }
    }

    pub fn end(&mut self) {
        self.done += 1;
        if self.is_terminal {
            eprint!("\r\x1b[2K");
        }
    }
}

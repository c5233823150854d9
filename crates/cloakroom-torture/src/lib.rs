//! A workload under injected faults, and a checker of its own that says what was lost or came back.
//!
//! `cargo xtask torture` runs it; `docs/reliability.md` says what it does and what it found. Tasks create,
//! authenticate, update, rotate and end sessions through two handles with pools of their own, on which they also
//! begin transactions, as an application does. A proxy makes every answer of a server late, callers leave midway,
//! statements fail, transactions are undone, and on SQLite the disk is full from time to time. Every call and its
//! answer goes into a journal. In the end the pools are closed, a new connection reads the table, and the checker,
//! which shares no code with the library, compares the two with the library's promises.

#![deny(missing_docs)]

mod checker;
mod faults;
mod final_table;
mod journal;
mod known;
mod pools;
mod proxy;
mod report;
mod run;
mod settings;
mod story;
mod worker;

pub use checker::{Rule, Violation};
pub use report::Report;
pub use run::run;
pub use settings::{Kind, Settings, Until};

//! A workload under injected faults, and an independent checker that finds what was lost or came back.
//!
//! `cargo xtask torture` runs it; `docs/reliability.md` says what it does and what it found. Tasks create,
//! authenticate, update, rotate and end sessions through two handles with pools of their own, on which they also begin
//! transactions, as an application does. A proxy delays every answer of a server, callers are dropped midway,
//! statements fail, transactions are rolled back. Servers are killed and frozen, connections break and fall silent, the
//! disk is full, tables are locked, clocks are set ([`Fault`]). Every call and its answer goes into a journal. In the end
//! the pools are closed and a new connection reads the table. The checker shares no code with the library, and compares
//! the journal and the table with the library's promises.

#![deny(missing_docs)]

mod checker;
mod clock;
mod faults;
mod final_table;
mod journal;
mod journal_file;
mod known;
mod pools;
mod processes;
mod report;
mod run;
mod settings;
mod story;
mod target;
mod worker;

pub use checker::{Rule, Violation};
pub use faults::Fault;
pub use processes::{Orders, work};
pub use report::Report;
pub use run::{run, run_processes};
pub use settings::{Kind, Settings, Until};
pub use target::Target;

//! What must hold on every database: one case a sentence, one test a case and database.

mod between;
mod create;
mod kept;
mod mended;
mod pools;
mod query;
mod rows;
mod statements;
mod types;
mod update;
mod transactions;
mod migrations;
mod explain;
mod preload;
mod pruner;

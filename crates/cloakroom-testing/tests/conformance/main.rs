//! What must hold on every database: one case a sentence, one test a case and database.

mod between;
mod by_token;
mod compared;
mod create;
mod explain;
mod foreign;
mod fuzz;
mod import;
mod kept;
mod mended;
mod migrations;
mod named_types;
mod names;
mod native_json;
mod pools;
mod preload;
mod pruner;
mod query;
mod rows;
mod statements;
mod stored;
mod transactions;
mod types;
mod unchanged;
mod undecodable;
mod update;

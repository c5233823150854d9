//! What must hold on every database: one case a sentence, one test a case and database.

mod create;
mod kept;
mod pools;
mod query;
mod rows;
mod statements;
mod types;

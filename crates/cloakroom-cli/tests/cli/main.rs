//! The `cloakroom` command as a user meets it: the built program, its two outputs and its exit code.

mod bad_input;
mod change;
mod doctor;
mod everyday;
mod exit_codes;
mod filters;
mod golden;
mod harness;
mod import;
mod json;
mod keys;
mod log;
mod moving;
mod own_types;
mod prompts;
mod prune;
mod secrets;
mod sequence;
mod settings;
mod shell;
mod unreadable;

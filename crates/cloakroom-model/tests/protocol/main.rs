//! The checker on the protocol as it is, and without each of its rules.

mod checking;
#[path = "../common/counterexample.rs"]
mod counterexample;
mod rules;
mod whole;

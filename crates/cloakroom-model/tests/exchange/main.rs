//! The checker on the exchange of refresh tokens as it is, and without each of its rules.

mod checking;
#[path = "../common/counterexample.rs"]
mod counterexample;
mod rules;
mod whole;

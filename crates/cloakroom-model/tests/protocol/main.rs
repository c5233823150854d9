//! The checker on the protocol as it is, and without each of its rules.

mod checking;
mod rules;
mod whole;

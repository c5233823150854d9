//! Bad input, and trouble: what the library does when the world around it is not as it should be.

mod adopting;
mod bad_input;
mod cancellation;
mod changed;
mod clock;
mod closed;
mod data;
mod everything;
mod exhaustion;
mod frozen;
mod held;
mod keys;
mod kinds;
mod locks;
mod notified;
mod opening;
mod outage;
mod outcomes;
mod pooler;
mod read_only;
mod rights;
mod same_token;
mod stray;
mod table;

#[path = "../secrets/capture.rs"]
mod capture;

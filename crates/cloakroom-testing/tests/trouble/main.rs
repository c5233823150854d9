//! Bad input, and trouble: what the library does when the world around it is not as it should be.

mod bad_input;
mod cancellation;
mod changed;
mod clock;
mod closed;
mod data;
mod everything;
mod exhaustion;
mod held;
mod locks;
mod opening;
mod outage;
mod read_only;
mod same_token;
mod stray;
mod table;

#[path = "../secrets/capture.rs"]
mod capture;

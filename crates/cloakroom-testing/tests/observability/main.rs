//! What operators see: spans and metrics are what `docs/observability.md` says, and nothing else.

mod dashboard;
mod metrics;
mod page;
mod recorder;
mod scene;
mod spans;

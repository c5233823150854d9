//! No token, digest or salt reaches a log, an error or a `Debug`: everything that the library and its driver
//! say in a full run, failures, spans and metrics included, is kept and searched for every secret of that run.

mod bound;
mod capture;
mod controls;
mod exchanges;
mod failures;
mod full_run;
mod guests;
mod metered;
mod public_types;
mod seen;

//! How sessions end: with which reason, what is returned of them, and how many an owner keeps.

mod exact;
mod limits;
mod reasons;
mod returning;

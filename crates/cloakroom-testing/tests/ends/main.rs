//! How sessions end: with which reason, what is returned of them, and how many an owner keeps. And who hears of that and of
//! all other changes, and what is kept of them.

mod audit;
mod events;
mod exact;
mod limits;
mod reasons;
mod returning;

#![doc = include_str!("../README.md")]

mod action;
mod age;
pub mod exchange;
mod listener;
mod model;
mod node;
pub mod properties;
mod prune;
mod rules;
mod session;
mod setup;
mod state;

pub use action::{Action, Step};
pub use age::Age;
pub use listener::{Listener, Message, Phase};
pub use model::Protocol;
pub use node::{Answer, Breach, Check, Lookup, Node, Open, Promise, Revocation};
pub use prune::Prune;
pub use rules::Rules;
pub use session::Session;
pub use setup::{Abilities, Clocks, Setup};
pub use state::State;

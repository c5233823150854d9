//! The exchange of refresh tokens: a rotation that survives a lost answer, and notices a stolen token.

mod call;
mod model;
pub mod properties;
mod rules;
mod setup;
mod state;

pub use call::{Answer, Call, Client, Step};
pub use model::{Action, Exchange};
pub use rules::Rules;
pub use setup::Setup;
pub use state::{Breach, Honest, Retired, Row, State, Token};

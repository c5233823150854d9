//! What must always hold of an exchange, and what must be possible.

use stateright::Property;

use super::{Answer, Call, Client, Exchange, Setup, State, Step};

pub const ONE_SUCCESSOR: &str = "no token has two successors";
pub const NOTICED: &str =
    "a token that is presented after its grace, or after its successor was replaced, ends the session";
pub const NEVER_LOGGED_OUT: &str = "an honest client that repeats within the grace is never logged out";
pub const NEVER_AFTER_END: &str = "a session that has ended exchanges nothing, and stays ended";
pub const NEVER_FROM_THE_DATABASE: &str =
    "after the grace and a prune, the database opens no live token for the one who has its predecessor";
pub const ONE_SEAL: &str = "the database holds at most one sealed token of a session";
pub const NO_SEAL_AFTER_REUSE: &str = "the database holds no sealed token of a session that ended by reuse";

/// What must always hold, and what must be possible, so that the model is not empty.
pub(super) fn of(setup: &Setup) -> Vec<Property<Exchange>> {
    let mut properties = vec![
        Property::always(ONE_SUCCESSOR, |_, state: &State| !state.breach.two_successors),
        Property::always(NOTICED, |_, state: &State| !state.breach.unnoticed),
        Property::always(NEVER_LOGGED_OUT, |_, state: &State| !state.breach.logged_out),
        Property::always(NEVER_AFTER_END, |_, state: &State| !state.breach.after_end),
        Property::always(NEVER_FROM_THE_DATABASE, |_, state: &State| !state.breach.from_the_database),
        Property::always(ONE_SEAL, |_, state: &State| state.seals() <= 1),
        Property::always(NO_SEAL_AFTER_REUSE, |_, state: &State| {
            !(state.has_ended_by_reuse() && state.seals() > 0)
        }),
        Property::sometimes("a token is given out again", |_, state| {
            answers(state, |_, answer| matches!(answer, Answer::SameSuccessor(_))) > 0
        }),
        Property::sometimes("all tokens are made", |model: &Exchange, state| {
            state.made == model.setup.tokens
        }),
    ];
    if setup.thief {
        properties.push(Property::sometimes("the honest client hears of a theft", |_, state| {
            answers(state, |by, answer| by == Client::Honest && answer == Answer::Reused) > 0
        }));
        properties.push(Property::sometimes("the thief ends the session", |_, state| {
            answers(state, |by, answer| by == Client::Thief && answer == Answer::Reused) > 0
        }));
    }
    if setup.tabs > 1 {
        properties.push(Property::sometimes("two calls get one successor", |_, state| {
            let is_token = |answer| matches!(answer, Answer::Successor(_) | Answer::SameSuccessor(_));
            answers(state, |_, answer| is_token(answer)) > 1
        }));
    }
    properties
}

/// Returns how many such answers are on their way.
fn answers(state: &State, is_such: impl Fn(Client, Answer) -> bool) -> usize {
    let is_one = |call: &&Call| matches!(call.step, Step::Done(answer) if is_such(call.by, answer));
    state.calls.iter().filter(is_one).count()
}

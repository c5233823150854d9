//! What must always hold of the protocol, and what must be possible.

use stateright::Property;

use crate::listener::Phase;
use crate::node::{Breach, Node};
use crate::{Clocks, Protocol, Setup, State};

pub const NEVER_TOO_LATE: &str =
    "no node accepts a session later than the bound after its revocation committed";
pub const NEVER_AFTER_COMMIT: &str =
    "no node accepts a session after a revocation that it waits for has committed";
pub const NEVER_AFTER_REPLY: &str = "no node accepts a session after it answered that it has revoked it";
pub const NEVER_AFTER_PROMISE: &str =
    "no node accepts a session after a revocation that it left open has committed within max_staleness";
pub const NEVER_EXPIRED: &str = "no node accepts a session that has expired by its own clock";
pub const NEVER_AFTER_PRUNE: &str =
    "no node accepts a session that was pruned through it, wherever its clock is set";
pub const NEVER_LONG_AFTER_PRUNE: &str =
    "no node accepts a session later than max_staleness after it was pruned anywhere";

/// What must always hold, and what must be possible, so that the model is not empty.
pub(crate) fn of(setup: &Setup) -> Vec<Property<Protocol>> {
    let mut properties = vec![
        Property::always(NEVER_TOO_LATE, |model, state| !breaches(model, state, |b| b.too_late)),
        Property::always(NEVER_AFTER_COMMIT, |model, state| !breaches(model, state, |b| b.after_commit)),
        Property::always(NEVER_AFTER_REPLY, |model, state| !breaches(model, state, |b| b.after_reply)),
        Property::always(NEVER_AFTER_PROMISE, |model, state| !breaches(model, state, |b| b.after_promise)),
        Property::always(NEVER_EXPIRED, |model, state| !breaches(model, state, |b| b.expired)),
        Property::always(NEVER_AFTER_PRUNE, |model, state| !breaches(model, state, |b| b.after_prune)),
        Property::always(NEVER_LONG_AFTER_PRUNE, |model, state| {
            !breaches(model, state, |b| b.long_after_prune)
        }),
        Property::sometimes("a session is accepted from the cache", |model, state: &State| {
            state.session.is_valid(0) && any(model, state, Node::hits)
        }),
        Property::sometimes("a lookup in flight is voided", |model, state| {
            any(model, state, |node, _| node.lookups.iter().any(|l| l.is_read && l.answer.is_void))
        }),
    ];
    if setup.revoked_elsewhere {
        properties.push(Property::sometimes(
            "a session is accepted until the bound",
            |model, state: &State| {
                state.session.revoked == Some(model.setup.bound()) && any(model, state, Node::hits)
            },
        ));
    }
    if setup.nodes.iter().any(|abilities| abilities.lookups > 0 && abilities.leaves_open) {
        properties.push(Property::sometimes("the quarantine holds back an answer", |model, state| {
            any(model, state, |node, _| {
                node.lookups.iter().any(|l| l.is_read && l.answer.is_held_back && !l.answer.is_void)
            })
        }));
    }
    if setup.expires_in.is_some() && setup.clocks == Clocks::SetBack {
        properties.push(Property::sometimes(
            "a session that was pruned elsewhere is accepted until max_staleness by a clock that was set back",
            |model, state: &State| {
                state.session.pruned == Some(model.setup.max_staleness) && any(model, state, Node::hits)
            },
        ));
    }
    if setup.lease.is_some() {
        if setup.is_single_node() {
            properties
                .push(Property::sometimes("a session is accepted after a reconnect", |model, state| {
                    any(model, state, |node, setup| node.listener.is_second && node.hits(setup))
                }));
        }
        properties.push(Property::sometimes("the lease runs out", |model, state| {
            any(model, state, |node, setup| {
                let is_listening = node.listener.phase == Phase::Listening && node.listener.heard.is_some();
                node.entry.is_some() && is_listening && !node.holds_lease(setup)
            })
        }));
    }
    properties
}

fn any(model: &Protocol, state: &State, holds: impl Fn(&Node, &Setup) -> bool) -> bool {
    state.nodes.iter().any(|node| holds(node, &model.setup))
}

/// A hit changes nothing, so it is no step: it is enough to check in every state if a call would be a hit. For a call
/// with a check that began earlier, the reasons at its beginning count.
fn breaches(model: &Protocol, state: &State, is_breach: fn(Breach) -> bool) -> bool {
    any(model, state, |node, setup| {
        let at_once = is_breach(node.breach(state.session, setup)) && node.hits(setup);
        let in_two = |check| node.completes(check, setup);
        at_once || node.check.is_some_and(|check| is_breach(check.breach) && in_two(check))
    })
}

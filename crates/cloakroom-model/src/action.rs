use crate::listener::{Message, Phase};
use crate::node::{Node, Promise, Revocation};
use crate::{Abilities, Age, Prune, Session, Setup, State};

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Time goes on. Nothing else need happen, so this also represents a paused node and a delayed message.
    Tick,
    /// Time goes on, but not on this node's monotonic clock.
    Suspend(usize),
    SetWallClockBack(usize),
    PutWallClockRight(usize),
    /// The session is revoked by a node that is not modelled.
    RevokeElsewhere,
    /// … and the database refuses to announce it.
    RevokeElsewhereUnannounced,
    /// … or has expired, and is deleted by a node with a right clock.
    PruneElsewhere,
    /// An announcement in a statement of its own commits.
    AnnounceLate,
    Node(usize, Step),
}

/// … on one node, or between it and the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A call misses: the counter and the clock are read for its lookup.
    Ask,
    /// The database answers this lookup.
    Read(usize),
    /// Its answer arrives, and is cached.
    Receive(usize),
    /// A call begins to check if it may be answered from the cache.
    BeginCheck,
    SendRevocation,
    ExecuteRevocation,
    /// … without its announcement, which the database refuses.
    ExecuteUnannounced,
    /// The revocation has returned: the cached answers are voided.
    Void,
    Reply,
    /// The caller is dropped, or gets an error, while the statement is under way.
    GiveUp,
    /// The session is revoked within a transaction of the application's.
    RevokeInTransaction,
    /// An open revocation commits.
    CommitOpen,
    /// The session is extended.
    Extend,
    /// The wall clock is read, and noted, for a prune.
    BeginPrune,
    /// … and read again. Only if the rule is taken out.
    MarkPrune,
    ExecutePrune,
    ReturnFromPrune,
    Listen,
    /// LISTEN has returned: everything from before is voided.
    RaiseFloor,
    SendHeartbeat,
    CommitHeartbeat,
    /// The next notification arrives.
    Deliver,
    /// The connection breaks.
    Break,
    /// The node learns of it.
    NoticeBreak,
}

impl Step {
    /// Returns everything that this node can do now, or that can happen to it.
    pub(crate) fn offer_possible(
        node: &Node,
        abilities: Abilities,
        session: Session,
        setup: &Setup,
        offer: &mut impl FnMut(bool, Self),
    ) {
        offer(node.lookups.len() < abilities.lookups, Self::Ask);
        for (index, lookup) in node.lookups.iter().enumerate() {
            offer(!lookup.is_read, Self::Read(index));
            offer(lookup.is_read, Self::Receive(index));
        }
        let is_of_interest = node.entry.is_some() && node.breach(session, setup).any();
        offer(node.check.is_none() && is_of_interest, Self::BeginCheck);

        let revocation = node.revocation;
        let is_executed = matches!(revocation, Revocation::Executed { .. });
        offer(abilities.revokes && revocation == Revocation::Idle, Self::SendRevocation);
        offer(revocation == Revocation::Sent, Self::ExecuteRevocation);
        offer(revocation == Revocation::Sent && setup.refuses_announcements, Self::ExecuteUnannounced);
        offer(is_executed || revocation == Revocation::RepliedEarly, Self::Void);
        let is_early = is_executed && !setup.rules.void_before_reply;
        offer(revocation == Revocation::Voided || is_early, Self::Reply);
        offer(abilities.leaves_open && (is_executed || revocation == Revocation::Sent), Self::GiveUp);
        offer(abilities.leaves_open && node.open.promise != Promise::Due, Self::RevokeInTransaction);
        offer(node.open.may_commit, Self::CommitOpen);

        offer(setup.expires_in.is_some() && session.is_valid(node.lag), Self::Extend);
        // A sent statement may never be executed.
        let finds_something = session.is_there() && session.has_expired(node.lag);
        offer(finds_something && !matches!(node.prune, Prune::Executed { .. }), Self::BeginPrune);
        offer(matches!(node.prune, Prune::Begun { .. }), Self::MarkPrune);
        offer(matches!(node.prune, Prune::Sent { .. }), Self::ExecutePrune);
        offer(matches!(node.prune, Prune::Executed { .. }), Self::ReturnFromPrune);

        // A node that caches nothing needs no listener.
        if setup.lease.is_some() && abilities.lookups > 0 {
            Self::offer_of_listener(node, setup, offer);
        }
    }

    fn offer_of_listener(node: &Node, setup: &Setup, offer: &mut impl FnMut(bool, Self)) {
        let (listener, rules) = (&node.listener, &setup.rules);
        let before_listen = if rules.floor_after_listen { Phase::Away } else { Phase::Raised };
        let before_floor = if rules.floor_after_listen { Phase::Subscribed } else { Phase::Away };
        offer(listener.phase == before_listen, Self::Listen);
        let is_there = listener.connected || listener.phase == Phase::Away;
        offer(listener.phase == before_floor && is_there, Self::RaiseFloor);
        let is_up = listener.connected && listener.phase == Phase::Listening;
        // If the rule is taken out, another may be sent before the last came back.
        offer(is_up && (listener.sent.is_none() || !rules.heartbeats_told_apart), Self::SendHeartbeat);
        let is_out = is_up && listener.sent.is_some() && !listener.inbox.contains(&Message::Heartbeat);
        offer(is_out, Self::CommitHeartbeat);
        offer(is_up && !listener.inbox.is_empty(), Self::Deliver);
        offer(listener.connected, Self::Break);
        offer(!listener.connected && listener.phase >= Phase::Subscribed, Self::NoticeBreak);
    }

    pub(crate) fn take(self, state: &mut State, index: usize, setup: &Setup) {
        let is_revoked = state.session.revoked.is_some();
        let node = &mut state.nodes[index];
        match self {
            Self::Ask => node.ask(),
            Self::Read(lookup) => node.read(lookup, state.session),
            Self::Receive(lookup) => node.receive(lookup, setup),
            Self::BeginCheck => node.begin_check(state.session, setup),
            Self::SendRevocation => node.revocation = Revocation::Sent,
            Self::ExecuteRevocation | Self::ExecuteUnannounced => {
                let changed = state.commit(self == Self::ExecuteRevocation, setup);
                state.nodes[index].revocation = Revocation::Executed { changed };
            }
            Self::Void => {
                let changed = node.revocation != Revocation::Executed { changed: false };
                if changed || setup.rules.void_even_if_unchanged {
                    node.void();
                }
                let is_early = node.revocation == Revocation::RepliedEarly;
                node.revocation = if is_early { Revocation::Replied } else { Revocation::Voided };
            }
            Self::Reply => {
                let is_early = node.revocation != Revocation::Voided;
                node.revocation = if is_early { Revocation::RepliedEarly } else { Revocation::Replied };
            }
            Self::GiveUp => {
                node.leave_open(is_revoked, setup);
                node.revocation = Revocation::Idle;
            }
            Self::RevokeInTransaction => node.leave_open(is_revoked, setup),
            Self::CommitOpen => drop(state.commit(true, setup)),
            Self::Extend => state.session.extend(node.lag, setup.expires_in.unwrap_or(0)),
            Self::BeginPrune => node.begin_prune(setup),
            Self::MarkPrune => node.mark_prune(setup),
            Self::ExecutePrune => node.execute_prune(&mut state.session, setup),
            Self::ReturnFromPrune => node.return_from_prune(setup),
            _ => self.take_by_listener(node, setup),
        }
    }

    fn take_by_listener(self, node: &mut Node, setup: &Setup) {
        let (listener, rules) = (&mut node.listener, &setup.rules);
        match self {
            Self::Listen => {
                listener.connected = true;
                listener.phase = if rules.floor_after_listen { Phase::Subscribed } else { Phase::Listening };
                listener.sent = (!rules.heartbeat_after_listen).then_some(Age::NOW);
                if !rules.floor_after_listen {
                    listener.heard = listener.sent.take().or(listener.heard);
                }
            }
            Self::RaiseFloor => {
                listener.phase = if rules.floor_after_listen { Phase::Listening } else { Phase::Raised };
                listener.heard = listener.sent.take().or(listener.heard);
                if rules.floor {
                    node.void();
                }
            }
            Self::SendHeartbeat => listener.sent = Some(Age::NOW),
            Self::CommitHeartbeat if rules.heartbeat_through_queue => listener.notify(Message::Heartbeat),
            Self::CommitHeartbeat => listener.hear_heartbeat(rules),
            Self::Deliver => match listener.inbox.remove(0) {
                Message::Revoked => node.void(),
                Message::Heartbeat => listener.hear_heartbeat(rules),
            },
            Self::Break => listener.break_off(),
            Self::NoticeBreak => listener.leave(setup),
            _ => unreachable!("the other steps are the cache's"),
        }
    }
}

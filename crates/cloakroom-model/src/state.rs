use crate::listener::Message;
use crate::node::{Node, Promise};
use crate::{Session, Setup};

/// The state of the whole model at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub session: Session,
    /// The revocation has committed and its announcement has not. Only if the rule is taken out.
    pub unannounced: bool,
    pub nodes: Vec<Node>,
}

impl State {
    pub fn new(setup: &Setup) -> Self {
        Self {
            session: Session { revoked: None, expires_in: setup.expires_in, pruned: None },
            unannounced: false,
            nodes: setup.nodes.iter().map(|_| Node::NEW).collect(),
        }
    }

    /// A revoking statement, or a transaction with one, commits. Returns whether it changed anything.
    pub(crate) fn commit(&mut self, is_announced: bool, setup: &Setup) -> bool {
        if !self.session.is_there() {
            return false;
        }
        self.session.revoked = Some(0);
        match (is_announced, setup.rules.announce_in_transaction) {
            (true, true) => self.announce(),
            (true, false) => self.unannounced = true,
            (false, _) => {}
        }
        for node in &mut self.nodes {
            // All other open revocations will find nothing to change.
            node.open.may_commit = false;
            if let Promise::Made(_) = node.open.promise {
                node.open.promise = Promise::Due;
            }
        }
        true
    }

    pub(crate) fn announce(&mut self) {
        self.unannounced = false;
        self.nodes.iter_mut().for_each(|node| node.listener.notify(Message::Revoked));
    }

    /// Time goes on for all nodes; a suspended node's monotonic clock stands still.
    pub(crate) fn tick(&mut self, suspended: Option<usize>, setup: &Setup) {
        let session = &mut self.session;
        let one_less = |left: i8| (left - 1).max(-setup.greatest_lag());
        session.revoked = session.revoked.map(|ago| (ago + 1).min(setup.bound() + 1));
        session.expires_in = session.expires_in.map(one_less);
        session.pruned = session.pruned.map(|ago| (ago + 1).min(setup.max_staleness + 1));
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let is_suspended = suspended == Some(index);
            node.answers().for_each(|answer| {
                answer.age.tick(setup.max_staleness, is_suspended);
                answer.expires_in = answer.expires_in.map(one_less);
                answer.pruned_until = answer.pruned_until.map(one_less);
            });
            node.pruned_until = node.pruned_until.map(one_less);
            node.prune.tick(setup);
            node.listener.ages().for_each(|age| age.tick(setup.lease.unwrap_or(0), is_suspended));
            if !is_suspended {
                node.quarantine = node.quarantine.and_then(|left| left.checked_sub(1));
            }
            if let Promise::Made(ago) = &mut node.open.promise {
                *ago += 1;
                if *ago > setup.max_staleness {
                    node.open.promise = Promise::None;
                }
            }
        }
    }
}

use crate::{Node, Session, Setup};

/// A prune through a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prune {
    Idle,
    Sent {
        /// It deletes what expires no later than so many ticks from now: by the node's wall clock, when it was sent.
        until: i8,
    },
    /// The node has yet to learn that it has. Only without the rule.
    Executed {
        until: i8,
    },
}

impl Prune {
    pub(crate) fn tick(&mut self, setup: &Setup) {
        if let Self::Sent { until } | Self::Executed { until } = self {
            *until = (*until - 1).max(-setup.greatest_lag());
        }
    }
}

impl Node {
    /// The wall clock is read and noted. Sending comes later.
    pub(crate) fn begin_prune(&mut self, setup: &Setup) {
        let until = -self.lag;
        self.prune = Prune::Sent { until };
        self.answers().for_each(|answer| answer.is_from_before_prune = true);
        if setup.rules.mark_before_pruning {
            self.mark_pruned(until, setup);
        }
    }

    pub(crate) fn execute_prune(&mut self, session: &mut Session, setup: &Setup) {
        let Prune::Sent { until } = self.prune else { return };
        session.prune(until);
        self.has_pruned = session.pruned.is_some();
        self.prune = if setup.rules.mark_before_pruning { Prune::Idle } else { Prune::Executed { until } };
    }

    /// One that will find nothing need not be followed.
    pub(crate) fn forget_prune(&mut self, session: Session) {
        if let Prune::Sent { until } = self.prune
            && !(session.is_there() && session.has_expired(-until))
        {
            self.prune = Prune::Idle;
        }
    }

    pub(crate) fn return_from_prune(&mut self, setup: &Setup) {
        let Prune::Executed { until } = self.prune else { return };
        self.mark_pruned(until, setup);
        self.prune = Prune::Idle;
    }

    /// Of what was asked for so far, nothing counts that had expired by then.
    fn mark_pruned(&mut self, until: i8, setup: &Setup) {
        if setup.rules.pruned_mark {
            self.answers().for_each(|answer| answer.pruned_until = answer.pruned_until.max(Some(until)));
        }
    }
}

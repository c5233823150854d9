use crate::{Node, Session, Setup};

/// A prune through a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prune {
    Idle,
    /// Its mark is not set yet. Only if the rule is taken out.
    Begun {
        until: i8,
    },
    Sent {
        /// It deletes sessions that expire at most this many ticks from now, by the node's wall clock when the prune
        /// was begun.
        until: i8,
    },
    /// The node has not learned yet that it was executed. Only if the rule is taken out.
    Executed {
        until: i8,
    },
}

impl Prune {
    pub(crate) fn tick(&mut self, setup: &Setup) {
        if let Self::Begun { until } | Self::Sent { until } | Self::Executed { until } = self {
            *until = (*until - 1).max(-setup.greatest_lag());
        }
    }
}

impl Node {
    /// The wall clock is read and noted. Sending comes later.
    pub(crate) fn begin_prune(&mut self, setup: &Setup) {
        let (until, rules) = (-self.lag, &setup.rules);
        if rules.mark_before_pruning && !rules.mark_from_one_reading {
            self.prune = Prune::Begun { until };
            return;
        }
        self.prune = Prune::Sent { until };
        if rules.mark_before_pruning {
            self.mark_pruned(until, setup);
        }
    }

    pub(crate) fn mark_prune(&mut self, setup: &Setup) {
        let Prune::Begun { until } = self.prune else { return };
        self.prune = Prune::Sent { until };
        self.mark_pruned(-self.lag, setup);
    }

    pub(crate) fn execute_prune(&mut self, session: &mut Session, setup: &Setup) {
        let Prune::Sent { until } = self.prune else { return };
        session.prune(until);
        self.has_pruned = session.pruned.is_some();
        self.prune = if setup.rules.mark_before_pruning { Prune::Idle } else { Prune::Executed { until } };
    }

    pub(crate) fn return_from_prune(&mut self, setup: &Setup) {
        let Prune::Executed { until } = self.prune else { return };
        self.mark_pruned(until, setup);
        self.prune = Prune::Idle;
    }

    /// Voids every answer about a session that had expired by then.
    fn mark_pruned(&mut self, until: i8, setup: &Setup) {
        if !setup.rules.pruned_mark {
            return;
        }
        if setup.rules.mark_for_all_answers {
            self.pruned_until = self.pruned_until.max(Some(until));
        } else {
            self.answers().for_each(|answer| answer.pruned_until = answer.pruned_until.max(Some(until)));
        }
    }

    /// A prune that will find nothing need not be followed, nor a mark that voids nothing.
    pub(crate) fn forget_prune(&mut self, session: Session, setup: &Setup) {
        if let Prune::Begun { until } | Prune::Sent { until } = self.prune
            && !(session.is_there() && session.has_expired(-until))
        {
            self.prune = Prune::Idle;
        }
        // A later answer expires when the row does, or later.
        let in_row = session.is_there().then_some(session.expires_in).flatten();
        let least = self.answers().filter_map(|answer| answer.expires_in).chain(in_row).min();
        let no_clock_accepts = |left: i8| setup.rules.expiry && left <= -setup.greatest_lag();
        self.pruned_until = self.pruned_until.filter(|until| {
            let keeps_away = |left: i8| left <= *until;
            !no_clock_accepts(*until) && least.is_some_and(keeps_away)
        });
    }
}

use stateright::{Model, Property};

use crate::action::{Action, Step};
use crate::{Clocks, Setup, State, properties};

/// The protocol, in a setup.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub setup: Setup,
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.setup)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let setup = &self.setup;
        actions.push(Action::Tick);
        if setup.revoked_elsewhere && state.session.is_there() {
            actions.push(Action::RevokeElsewhere);
            if setup.refuses_announcements {
                actions.push(Action::RevokeElsewhereUnannounced);
            }
        }
        if state.session.is_there() && state.session.has_expired(0) {
            actions.push(Action::PruneElsewhere);
        }
        if state.unannounced {
            actions.push(Action::AnnounceLate);
        }
        for (index, (node, abilities)) in state.nodes.iter().zip(&setup.nodes).enumerate() {
            match setup.clocks {
                Clocks::Right => {}
                Clocks::Suspended => actions.push(Action::Suspend(index)),
                Clocks::SetBack => {
                    actions.push(Action::SetWallClockBack(index));
                    if node.lag > 0 {
                        actions.push(Action::PutWallClockRight(index));
                    }
                }
            }
            Step::offer_possible(node, *abilities, state.session, setup, &mut |is_possible, step| {
                if is_possible {
                    actions.push(Action::Node(index, step));
                }
            });
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let setup = &self.setup;
        let mut state = last.clone();
        match action {
            Action::Tick => state.tick(None, setup),
            Action::Suspend(index) => state.tick(Some(index), setup),
            Action::SetWallClockBack(index) => state.nodes[index].set_wall_clock_back(setup),
            Action::PutWallClockRight(index) => state.nodes[index].put_wall_clock_right(),
            Action::RevokeElsewhere => drop(state.commit(true, setup)),
            Action::RevokeElsewhereUnannounced => drop(state.commit(false, setup)),
            Action::PruneElsewhere => state.session.prune(0),
            Action::AnnounceLate => state.announce(),
            Action::Node(index, step) => step.take(&mut state, index, setup),
        }
        let session = state.session;
        state.nodes.iter_mut().for_each(|node| node.forget(session, setup));
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(&self.setup)
    }
}

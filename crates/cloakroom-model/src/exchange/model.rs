use stateright::{Model, Property};

use super::{Answer, Call, Client, Setup, State, Step, Token, properties};

/// The exchange of one session's tokens, in a setup.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub setup: Setup,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Time goes on. No step has to happen by some time, so a call may be held up anywhere.
    Tick,
    /// The honest client presents its token, for the first time or again.
    Present,
    /// The thief copies the honest client's token.
    Steal,
    ThiefPresents(Token),
    ThiefReadsDatabase,
    /// A call takes its next step.
    Advance(usize),
    /// A call's answer arrives.
    Receive(usize),
    /// A call is lost: before its statements or between two of them, as if its process crashed, or on the way back.
    Lose(usize),
    Prune,
    EndElsewhere,
    Rotate,
}

impl Model for Exchange {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.setup)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let setup = &self.setup;
        let under_way = |by| state.calls.iter().filter(|call| call.by == by).count();
        if state.now < setup.horizon {
            actions.push(Action::Tick);
        }
        let honest = state.honest;
        let is_patient = honest.sent_at.is_none_or(|at| state.now < at + setup.grace);
        let is_of_another = |call: &Call| call.by == Client::Honest && call.token != honest.holds;
        let is_free = !setup.rules.client_waits || !state.calls.iter().any(is_of_another);
        if !honest.is_logged_out && is_patient && is_free && under_way(Client::Honest) < setup.tabs {
            actions.push(Action::Present);
        }
        if setup.thief {
            actions.push(Action::Steal);
            if under_way(Client::Thief) == 0 {
                actions.extend(state.stolen.iter().map(|token| Action::ThiefPresents(*token)));
            }
            if setup.thief_reads_database {
                actions.push(Action::ThiefReadsDatabase);
            }
        }
        for (index, call) in state.calls.iter().enumerate() {
            match call.step {
                Step::Done(_) => actions.push(Action::Receive(index)),
                _ if state.now <= call.began + setup.longest_call => actions.push(Action::Advance(index)),
                _ => {}
            }
            actions.push(Action::Lose(index));
        }
        actions.push(Action::Prune);
        if setup.ends_elsewhere && !state.row.has_ended {
            actions.push(Action::EndElsewhere);
        }
        if setup.rotates && !state.row.has_ended && under_way(Client::Honest) == 0 {
            actions.push(Action::Rotate);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let setup = &self.setup;
        let mut state = last.clone();
        match action {
            Action::Tick => state.now += 1,
            Action::Present => {
                state.honest.sent_at.get_or_insert(state.now);
                let call = Call::begin(Client::Honest, state.honest.holds, &state);
                state.calls.push(call);
            }
            Action::Steal => drop(state.stolen.insert(state.honest.holds)),
            Action::ThiefPresents(token) => {
                let call = Call::begin(Client::Thief, token, &state);
                state.calls.push(call);
            }
            Action::ThiefReadsDatabase => state.read_database(),
            Action::Advance(index) => {
                let call = state.calls[index];
                let step = call.next(&mut state, setup)?;
                state.calls[index].step = step;
                note(&mut state, call, step);
            }
            Action::Receive(index) => {
                let call = state.calls.remove(index);
                if let Step::Done(answer) = call.step {
                    receive(&mut state, call, answer, setup);
                }
            }
            Action::Lose(index) => drop(state.calls.remove(index)),
            Action::Prune => state.prune(setup),
            Action::EndElsewhere => {
                state.row.has_ended = true;
                state.row.version += 1;
            }
            Action::Rotate => {
                let token = state.make(setup)?;
                state.row.token = token;
                state.row.version += 1;
                state.honest.holds = token;
                state.honest.sent_at = None;
            }
        }
        // The order of the calls means nothing.
        state.calls.sort_unstable();
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(&self.setup)
    }
}

/// Notes what must not be, once a call has its answer.
fn note(state: &mut State, call: Call, step: Step) {
    let Step::Done(answer) = step else { return };
    if let Answer::Successor(successor) | Answer::SameSuccessor(successor) = answer {
        let first = state.exchanged[usize::from(call.token)].and_then(|exchanged| exchanged.sealed);
        state.breach.two_successors |= first.is_some_and(|first| first != successor);
        state.breach.after_end |= call.had_ended;
    }
    state.breach.unnoticed |= call.was_stale && !state.row.has_ended;
}

fn receive(state: &mut State, call: Call, answer: Answer, setup: &Setup) {
    match (call.by, answer) {
        (Client::Honest, Answer::Successor(token) | Answer::SameSuccessor(token)) => {
            if state.honest.holds == call.token {
                state.honest.holds = token;
                state.honest.sent_at = None;
            }
        }
        (Client::Honest, Answer::Reused | Answer::Unknown) => {
            state.honest.is_logged_out = true;
            state.breach.logged_out |= setup.is_undisturbed();
        }
        (Client::Thief, Answer::Successor(token) | Answer::SameSuccessor(token)) => {
            state.stolen.insert(token);
        }
        (Client::Thief, _) => {}
    }
}

use std::collections::BTreeSet;

use cloakroom_model::exchange::{Action, Exchange, Rules, Setup};
use stateright::{Checker, HasDiscoveries, Model, Path};

/// Every state that can be reached is as it must be, and what must be possible is.
#[track_caller]
pub(crate) fn assert_holds(setup: Setup) {
    let checker = Exchange { setup }.checker().threads(2).spawn_bfs().join();
    println!("{} states, {} steps", checker.unique_state_count(), checker.state_count());
    checker.assert_properties();
}

/// Some way leads to a state in which `property` does not hold.
#[track_caller]
pub(crate) fn assert_breaks(setup: Setup, property: &'static str) {
    assert_ne!(setup.rules, Rules::ALL, "with all rules, nothing breaks");
    let wanted = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker = Exchange { setup: setup.clone() }.checker().finish_when(wanted).spawn_bfs().join();
    let found = checker.assert_any_discovery(property).into_actions();
    println!("After {} states, it is not so that {property}:", checker.unique_state_count());
    for action in shortened(found, &Exchange { setup }, property) {
        println!("    {action:?}");
    }
}

/// Without the actions that have nothing to do with it: the checker goes on for a while after its first find.
fn shortened(mut actions: Vec<Action>, model: &Exchange, property: &'static str) -> Vec<Action> {
    let condition = model.property(property).condition;
    let is_broken_by = |actions: &[Action]| {
        let path = Path::from_actions(model, model.init_states().remove(0), actions);
        path.is_some_and(|path| !condition(model, path.last_state()))
    };
    assert!(is_broken_by(&actions), "the checker's own counterexample shows it");
    let mut index = 0;
    while index < actions.len() {
        let action = actions.remove(index);
        if is_broken_by(&actions) {
            index = 0;
        } else {
            actions.insert(index, action);
            index += 1;
        }
    }
    actions
}

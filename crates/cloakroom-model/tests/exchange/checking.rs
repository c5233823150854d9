use std::collections::BTreeSet;

use cloakroom_model::exchange::{Exchange, Rules, Setup};
use stateright::{Checker, HasDiscoveries, Model};

use crate::counterexample::shortened;

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

//! Counterexamples, as short as they can be.

use stateright::{Model, Path};

/// Without the actions that have nothing to do with it: the checker goes on for a while after its first find.
pub(crate) fn shortened<M>(mut actions: Vec<M::Action>, model: &M, property: &'static str) -> Vec<M::Action>
where
    M: Model,
    M::State: PartialEq,
    M::Action: PartialEq,
{
    let condition = model.property(property).condition;
    let is_broken_by = |actions: &[M::Action]| {
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

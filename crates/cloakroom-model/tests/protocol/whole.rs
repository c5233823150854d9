//! With all of its rules, in every state that can be reached. The setups are as small as still shows what
//! each rule is for: those in which `rules` finds something wrong without it are all among them.

use cloakroom_model::{Abilities, Clocks, Setup};

use crate::checking::assert_holds;

const TWO_LOOKUPS: Abilities = Abilities { lookups: 2, ..Abilities::EVERYTHING };
/// All nodes extend and prune where sessions expire.
const PRUNER: Abilities = Abilities { lookups: 0, ..Abilities::READER };
const NO_CACHE: Abilities = Abilities { lookups: 0, ..Abilities::EVERYTHING };

/// By clocks that are set back.
fn expiring(setup: Setup) -> Setup {
    setup.expires_in(1).clocks(Clocks::SetBack)
}

macro_rules! holds {
    ($($name:ident: $setup:expr;)*) => {$(
        #[test]
        fn $name() {
            assert_holds($setup);
        }
    )*};
}

holds! {
    it_holds_without_a_listener: Setup::without_listener(2);
    it_holds_while_the_session_expires: Setup::without_listener(2).expires_in(3);
    it_holds_while_the_session_expires_by_a_clock_set_back:
        expiring(Setup::without_listener(1));
    it_holds_while_the_session_expires_by_a_clock_set_back_with_two_lookups_at_once:
        expiring(Setup::without_listener(1)).nodes(&[TWO_LOOKUPS]);
    it_holds_while_the_session_expires_beside_a_node_that_prunes_by_clocks_set_back:
        expiring(Setup::without_listener(1)).nodes(&[Abilities::REVOKER, PRUNER]);
    it_holds_while_the_session_expires_with_a_lease_by_a_clock_set_back:
        expiring(Setup::with_listener(1, 1)).nodes(&[Abilities::READER]);
    it_holds_without_a_listener_on_a_suspended_node: Setup::without_listener(2).clocks(Clocks::Suspended);
    it_holds_without_a_listener_by_a_clock_set_back: Setup::without_listener(2).clocks(Clocks::SetBack);
    it_holds_without_a_listener_with_two_lookups_at_once: Setup::without_listener(3).nodes(&[TWO_LOOKUPS]);
    it_holds_for_two_nodes_without_a_listener: Setup::without_listener(2).nodes(&[Abilities::EVERYTHING; 2]);

    it_holds_with_a_short_lease: Setup::with_listener(2, 1);
    it_holds_with_a_short_lease_on_a_suspended_node: Setup::with_listener(2, 1).clocks(Clocks::Suspended);
    it_holds_with_a_short_lease_by_a_clock_set_back: Setup::with_listener(2, 1).clocks(Clocks::SetBack);
    it_holds_with_a_short_lease_with_two_lookups_at_once: Setup::with_listener(2, 1).nodes(&[TWO_LOOKUPS]);
    it_holds_with_a_short_lease_beside_a_node_that_revokes:
        Setup::with_listener(2, 1).nodes(&[Abilities::READER, NO_CACHE]).revoked_elsewhere(false);
    it_holds_up_to_max_staleness_if_announcements_may_be_refused:
        Setup::with_listener(2, 1).refuses_announcements();
    it_holds_with_a_long_lease: Setup::with_listener(1, 2);
    it_holds_with_a_long_lease_on_a_suspended_node: Setup::with_listener(1, 2).clocks(Clocks::Suspended);
    it_holds_for_two_nodes_with_listeners: Setup::with_listener(1, 1).nodes(&[Abilities::READER; 2]);
}

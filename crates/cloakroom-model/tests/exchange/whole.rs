//! With all of its rules, in every state that can be reached. The setups in which `rules` finds something wrong without
//! a rule are all among them.

use cloakroom_model::exchange::Setup;

use crate::checking::assert_holds;

macro_rules! holds {
    ($($name:ident: $setup:expr;)*) => {$(
        #[test]
        fn $name() {
            assert_holds($setup);
        }
    )*};
}

holds! {
    it_holds_for_one_client: Setup::honest(1);
    it_holds_for_two_tabs: Setup::honest(2);
    it_holds_for_three_tabs: Setup::honest(3);
    it_holds_for_two_tabs_for_longer: Setup::honest(2).longer(3);
    it_holds_for_two_tabs_while_the_application_rotates: Setup::honest(2).rotates();
    it_holds_while_others_end_the_session: Setup::honest(2).ends_elsewhere();
    it_holds_beside_a_thief: Setup::with_thief();
    it_holds_beside_a_thief_for_longer: Setup::with_thief().longer(1);
    it_holds_beside_a_thief_while_the_application_rotates: Setup::with_thief().rotates();
    it_holds_beside_a_thief_while_others_end_the_session: Setup::with_thief().ends_elsewhere();
    it_holds_beside_a_thief_who_reads_the_database: Setup::with_thief_who_reads_the_database();
}

//! Each rule by itself: what goes wrong without it.

use cloakroom_model::exchange::properties::{
    NEVER_AFTER_END, NEVER_FROM_THE_DATABASE, NEVER_LOGGED_OUT, NO_SEAL_AFTER_REUSE, NOTICED, ONE_SEAL,
    ONE_SUCCESSOR,
};
use cloakroom_model::exchange::{Rules, Setup};

use crate::checking::assert_breaks;

/// The rule that is taken out, where, and what breaks.
macro_rules! breaks {
    ($($name:ident: $rule:ident, $setup:expr, $property:expr;)*) => {$(
        #[test]
        fn $name() {
            assert_breaks($setup.rules(Rules { $rule: false, ..Rules::ALL }), $property);
        }
    )*};
}

breaks! {
    only_one_of_two_calls_writes: guarded, Setup::honest(2), ONE_SUCCESSOR;
    a_session_that_has_ended_is_not_written: guarded, Setup::honest(1).ends_elsewhere(), NEVER_AFTER_END;
    the_new_token_and_the_record_of_the_old_one_are_written_together:
        one_transaction, Setup::honest(1), NEVER_LOGGED_OUT;
    a_client_whose_answer_was_lost_gets_it_again: sealed, Setup::honest(1), NEVER_LOGGED_OUT;
    a_client_does_not_go_on_while_it_may_still_be_heard_with_its_old_token:
        client_waits, Setup::honest(2), NEVER_LOGGED_OUT;
    the_second_of_two_calls_looks_again: loser_looks_again, Setup::honest(2), NEVER_LOGGED_OUT;
    a_successor_that_was_replaced_is_not_given_out_again: current_only, Setup::with_thief().rotates(), NOTICED;
    the_grace_ends: grace_ends, Setup::with_thief(), NOTICED;
    a_call_that_is_held_up_is_judged_by_when_it_began:
        judged_by_its_beginning, Setup::honest(2), NEVER_LOGGED_OUT;
    an_old_token_ends_the_session: reuse_ends, Setup::with_thief(), NOTICED;
    an_old_token_ends_the_session_even_if_it_was_written_meanwhile:
        ends_whatever_was_written, Setup::with_thief(), NOTICED;
    nothing_is_given_out_again_once_the_session_has_ended:
        only_while_valid, Setup::honest(2).ends_elsewhere(), NEVER_AFTER_END;
    the_record_of_an_old_token_outlives_its_grace: ancestors_stay, Setup::with_thief(), NOTICED;
    the_pruner_wipes_what_is_sealed:
        pruner_wipes, Setup::with_thief_who_reads_the_database(), NEVER_FROM_THE_DATABASE;
    the_pruner_waits_for_calls_that_began_within_the_grace: pruner_waits, Setup::honest(2), NEVER_LOGGED_OUT;
    an_exchange_wipes_what_its_token_was_sealed_in: exchange_wipes, Setup::honest(1), ONE_SEAL;
    reuse_wipes_what_is_sealed: reuse_wipes, Setup::with_thief(), NO_SEAL_AFTER_REUSE;
}

//! What `#[derive(SessionTable)]` takes, and what it says of the rest.

#[test]
fn good_tables_compile_and_errors_point_at_the_users_own_words() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}

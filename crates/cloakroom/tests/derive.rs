//! What `#[derive(SessionTable)]` says of what it does not take. The cases are in `ui/`.

#[test]
fn errors_point_at_the_users_own_words() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

#[cfg(feature = "dbsc")]
#[test]
fn errors_about_devices_point_at_them_too() {
    trybuild::TestCases::new().compile_fail("tests/ui_dbsc/*.rs");
}

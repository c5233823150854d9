//! The demo in a real browser: Chromium, driven over the WebDriver protocol.
//!
//! `cargo xtask test` says which browser, and counts these tests by the `browser` in their paths.

mod api;
mod chromium;
mod club;
mod device_club;
mod front;
mod inspect;
mod process;
mod sibling;
mod site;

mod bound;
mod keys;
mod leaving;
mod look;
mod planted;
mod reading_ahead;
mod shared;
mod walk;

/// Makes a test of each case, which without a browser is ignored.
macro_rules! in_a_browser {
    ($($case:ident),* $(,)?) => {
        mod browser {
            $(
                #[tokio::test]
                #[cfg_attr(not(feature = "servers"), ignore = "a browser: run `cargo xtask test`")]
                async fn $case() {
                    super::$case().await;
                }
            )*
        }
    };
}
use in_a_browser;

//! Finds the browser and its driver, and what the tests look at its pages with.

use std::path::PathBuf;
use std::process::Command;

use crate::axe;
use crate::install::in_path;

const BROWSERS: &[&str] = &["chromium", "google-chrome", "chromium-browser"];
const DRIVER: &str = "chromedriver";
/// Fetches axe-core.
const NPM: &str = "npm";
/// The path on macOS, where it is not in `PATH`.
const MACOS: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// Tells the tests which browser to use, or that there is none.
pub(crate) fn configure(command: &mut Command, wanted: bool) {
    let variables = [
        ("CLOAKROOM_TEST_CHROMIUM", browser()),
        ("CLOAKROOM_TEST_CHROMEDRIVER", in_path(DRIVER)),
        ("CLOAKROOM_TEST_AXE", Some(axe::script())),
    ];
    for (name, value) in variables {
        match value {
            Some(value) if wanted => command.env(name, value),
            _ => command.env_remove(name),
        };
    }
}

pub(crate) fn missing_programs() -> Vec<&'static str> {
    let browser = browser().is_none().then_some("chromium");
    let others = [DRIVER, NPM].into_iter().filter(|program| in_path(program).is_none());
    browser.into_iter().chain(others).collect()
}

fn browser() -> Option<PathBuf> {
    let macos = || Some(PathBuf::from(MACOS)).filter(|path| path.is_file());
    BROWSERS.iter().find_map(|name| in_path(name)).or_else(macos)
}

//! Every page as people see it: in the light, in the dark, and on a phone.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::chromium::{Browser, Driver, Profile};
use crate::site::Site;
use crate::walk::{log_in, mint};

crate::in_a_browser!(no_page_is_wider_than_a_phone_and_pictures_are_taken_of_all);

#[derive(Clone, Copy)]
enum Look {
    Light,
    Dark,
    Phone,
}

impl Look {
    const ALL: [Self; 3] = [Self::Light, Self::Dark, Self::Phone];

    fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Phone => "phone",
        }
    }

    /// Width and height, in the units of CSS.
    fn size(self) -> (u64, u64) {
        match self {
            Self::Light | Self::Dark => (1100, 800),
            Self::Phone => (390, 844),
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::Light | Self::Phone => "light",
            Self::Dark => "dark",
        }
    }
}

async fn no_page_is_wider_than_a_phone_and_pictures_are_taken_of_all() {
    let directory = directory();
    let site = Site::start_with(&["--fill"]);
    let driver = Driver::start();
    let browser = driver.open(&site.origin(), Profile::default()).await;

    for path in ["/", "/signup", "/login"] {
        browser.go(path).await;
        photograph(&browser, path.trim_start_matches('/')).await;
    }
    log_in(&browser, "ada.abel", "cloakroom").await;
    photograph(&browser, "account").await;

    mint(&browser).await;
    photograph(&browser, "new-key").await;
    browser.go("/keys").await;
    photograph(&browser, "keys").await;

    browser.go("/statistics").await;
    browser.find("svg#chart").await;
    photograph(&browser, "statistics").await;
    browser.close().await;
    // Past the test harness, which keeps what tests that pass print to itself.
    let _ = writeln!(io::stderr(), "screenshots: {}", directory.display());
}

/// `target/screenshots`.
fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots")
}

async fn photograph(browser: &Browser, page: &str) {
    let page = if page.is_empty() { "front" } else { page };
    for look in Look::ALL {
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": look.scheme() }] });
        browser.devtools("Emulation.setEmulatedMedia", scheme).await;
        let (width, height) = look.size();
        set_screen(browser, look, height).await;
        let content = browser.devtools("Page.getLayoutMetrics", json!({})).await;
        let content = &content["cssContentSize"];
        assert!(
            pixels(&content["width"]) <= width,
            "{page} is {} wide, its {} screen {width}",
            content["width"],
            look.name()
        );
        // The whole page, if it is not too long.
        set_screen(browser, look, pixels(&content["height"]).clamp(height, 2400)).await;
        keep(&format!("{page}-{}", look.name()), &browser.screenshot().await);
    }
    browser.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
}

/// Keeps a picture under this name.
pub(crate) fn keep(name: &str, picture: &[u8]) {
    let directory = directory();
    fs::create_dir_all(&directory).expect("a directory for screenshots");
    fs::write(directory.join(format!("{name}.png")), picture).expect("a screenshot");
}

async fn set_screen(browser: &Browser, look: Look, height: u64) {
    let (width, _) = look.size();
    let is_phone = matches!(look, Look::Phone);
    let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
    browser.devtools("Emulation.setDeviceMetricsOverride", screen).await;
}

fn pixels(value: &Value) -> u64 {
    value.as_u64().expect("a number of pixels")
}

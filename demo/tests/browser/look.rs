//! Every page as people see it: in the light, in the dark, and on a phone.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::api::get_with_key;
use crate::chromium::{Browser, Driver, Profile};
use crate::inspect::{
    MOST_SHIFT, assert_accessible, assert_begins_with, assert_stood_still, assert_whole, load, shift,
    violations, weigh,
};
use crate::site::Site;
use crate::walk::{log_in, mint};

crate::in_a_browser!(
    every_page_is_light_still_and_accessible_and_no_wider_than_a_phone,
    what_is_wrong_with_a_page_is_found,
);

/// As many as there may be.
const KEYS: [&str; 10] = [
    "phone widget",
    "monitoring of the whole data centre, with alerts by night",
    "billing export",
    "mirror",
    "dashboard",
    "home server",
    "spreadsheet",
    "reports",
    "continuous integration",
    "backup",
];

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

async fn every_page_is_light_still_and_accessible_and_no_wider_than_a_phone() {
    let site = Site::start_with(&["--fill"]);
    let driver = Driver::start();
    let browser = driver.open(&site.origin(), Profile::default()).await;
    let mut album = Album { browser: &browser, heaviest: (0, String::new()), wrapped: 0 };

    for path in ["/", "/signup", "/login"] {
        album.page(path, if path == "/" { "front" } else { &path[1..] }).await;
    }
    browser.go("/login").await;
    browser.fill("name", "ada.abel").await;
    browser.fill("password", "not-her-password").await;
    browser.follow("form:has([name=password]) button").await;
    browser.take_console().await;
    album.as_it_is("login-refused").await;

    log_in(&browser, "ada.abel", "cloakroom").await;
    let row = "#sessions tr.current";
    browser.open_details(&format!("{row} summary")).await;
    album.as_it_is("account-renaming").await;
    browser.fill_in(&format!("{row} [name=label]"), "The tablet in the kitchen, which all of us use").await;
    browser.click(&format!("{row} .rename")).await;
    album.as_it_is("account-renamed").await;
    for (path, name) in [
        ("/account", "account"),
        ("/account?sort=used&ended=hidden", "account-used"),
        ("/logout-everywhere", "everywhere"),
        ("/confirm?next=/keys/new", "confirm"),
        ("/password", "password"),
        ("/keys/new", "key-form"),
    ] {
        album.page(path, name).await;
    }

    for (number, name) in KEYS.into_iter().enumerate() {
        let key = mint(&browser, name).await;
        if number % 3 > 0 {
            assert_eq!(get_with_key(site.address, "/api/me", &key).status, 200);
        }
    }
    album.page("/keys/new", "key-form-full").await;
    mint(&browser, "deployment").await;
    album.as_it_is("new-key").await;
    browser.go("/keys").await;
    browser.click("#keys .rotate").await;
    album.as_it_is("rotate").await;
    browser.click("main form button").await;
    album.as_it_is("rotated-key").await;
    for (path, name) in [
        ("/keys", "keys"),
        ("/audit", "audit"),
        ("/audit?of=keys", "audit-keys"),
        ("/statistics", "statistics"),
    ] {
        album.page(path, name).await;
    }
    browser.go_in_vain("/nothing").await;
    album.as_it_is("not-found").await;
    assert!(album.wrapped > 0, "no address was so long that it could have been broken");
    let (bytes, heaviest) = album.heaviest;
    browser.close().await;
    // Past the test harness, which keeps what tests that pass print to itself.
    let _ = writeln!(io::stderr(), "screenshots: {}", directory().display());
    let _ = writeln!(io::stderr(), "the heaviest page: {heaviest}, {bytes} bytes with all that it loads");
}

/// The same looks at a page that is neither accessible nor still.
async fn what_is_wrong_with_a_page_is_found() {
    let driver = Driver::start();
    let browser = driver.open("data:text/html,", Profile::default()).await;
    browser
        .go("<title>x</title><main><h1>x</h1><p style='color:%23ccc'>pale<button></button><p style='height:500px'>last</main>")
        .await;
    let found = violations(&browser, "a faulty page").await.to_string();
    for rule in ["html-has-lang", "color-contrast", "button-name"] {
        assert!(found.contains(rule), "{rule}: {found}");
    }
    assert_stood_still(&browser, "the page").await;
    browser
        .run(
            "document.body.prepend(Object.assign(document.createElement('div'), { style: 'height: 300px' }))",
        )
        .await;
    assert!(shift(&browser).await > MOST_SHIFT);
    browser.close().await;
}

/// Pictures of pages, and what is to hold of each.
struct Album<'b> {
    browser: &'b Browser,
    heaviest: (u64, String),
    /// How many addresses took more than one line.
    wrapped: u64,
}

impl Album<'_> {
    /// Opens the page in each look.
    async fn page(&mut self, path: &str, name: &str) {
        for look in Look::ALL {
            self.turn_to(look).await;
            load(self.browser, path, &format!("{name}, {}", look.name())).await;
            self.inspect(name, look).await;
            self.photograph(name, look).await;
        }
        self.turn_back().await;
    }

    /// Looks at the page as it is, which another request would not show again.
    async fn as_it_is(&mut self, name: &str) {
        assert_stood_still(self.browser, name).await;
        for look in Look::ALL {
            self.turn_to(look).await;
            let look_name = format!("{name}, {}", look.name());
            assert_accessible(self.browser, &look_name).await;
            self.wrapped += assert_whole(self.browser, &look_name).await;
            self.photograph(name, look).await;
        }
        self.turn_back().await;
    }

    async fn inspect(&mut self, name: &str, look: Look) {
        let name = format!("{name}, {}", look.name());
        let bytes = weigh(self.browser, &name).await;
        assert_accessible(self.browser, &name).await;
        self.wrapped += assert_whole(self.browser, &name).await;
        if name.starts_with("statistics") {
            let today = "[...document.querySelectorAll('#chart .axis text')].find((it) => it.textContent === 'today')";
            assert_begins_with(self.browser, today, &name).await;
        }
        if bytes > self.heaviest.0 {
            self.heaviest = (bytes, name);
        }
    }

    async fn turn_to(&self, look: Look) {
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": look.scheme() }] });
        self.browser.devtools("Emulation.setEmulatedMedia", scheme).await;
        set_screen(self.browser, look, look.size().1).await;
    }

    async fn turn_back(&self) {
        self.browser.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
        self.browser.devtools("Emulation.setEmulatedMedia", json!({ "features": [] })).await;
    }

    async fn photograph(&self, name: &str, look: Look) {
        let (width, height) = look.size();
        let content = self.browser.devtools("Page.getLayoutMetrics", json!({})).await;
        let content = &content["cssContentSize"];
        assert!(
            pixels(&content["width"]) <= width,
            "{name} is {} wide, its {} screen {width}",
            content["width"],
            look.name()
        );
        // The whole page, if it is not too long.
        set_screen(self.browser, look, pixels(&content["height"]).clamp(height, 2400)).await;
        keep(&format!("{name}-{}", look.name()), &self.browser.screenshot().await);
    }
}

/// `target/screenshots`.
fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots")
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

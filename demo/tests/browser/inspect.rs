//! What a page costs, whether it moves while it loads, and what axe-core finds wrong with it.

use std::env;
use std::fs;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use crate::chromium::Browser;

/// How many bytes a page may have, with all that it loads.
const HEAVIEST: u64 = 50 * 1024;

static AXE: LazyLock<String> = LazyLock::new(|| {
    let path = env::var("CLOAKROOM_TEST_AXE")
        .unwrap_or_else(|_| panic!("CLOAKROOM_TEST_AXE is not set: run `cargo xtask test`"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}: run `cargo xtask test`"))
});

/// What a page weighs, in bytes before compression.
#[derive(Deserialize)]
struct Weight {
    page: u64,
    loaded: u64,
}

/// The page as it was just loaded, with nothing changed since.
pub(crate) async fn weigh(browser: &Browser, page: &str) -> u64 {
    let weight = browser
        .run(
            "const [page] = performance.getEntriesByType('navigation');
             const loaded = performance.getEntriesByType('resource');
             return { page: page.decodedBodySize, loaded: loaded.reduce((sum, it) => sum + it.decodedBodySize, 0) };",
        )
        .await;
    let weight = Weight::deserialize(&weight).expect("two numbers");
    assert!(weight.page > 0 && weight.loaded > 0, "{page} weighs nothing");
    let all = weight.page + weight.loaded;
    assert!(all < HEAVIEST, "{page} has {all} bytes");
    all
}

/// How much a page may move that loads slowly, and so is laid out in steps: what <https://web.dev/articles/cls> calls good.
pub(crate) const MOST_SHIFT: f64 = 0.1;

/// How often a page is loaded at most until it loads in one step.
const LOADS: usize = 3;

/// Loads a page. Nothing on it moves meanwhile.
pub(crate) async fn load(browser: &Browser, path: &str, page: &str) {
    let mut shifts = Vec::new();
    while shifts.len() < LOADS {
        browser.go(path).await;
        shifts.push(shift(browser).await);
        if shifts.ends_with(&[0.0]) {
            return;
        }
    }
    panic!("{page} moves while it loads: {shifts:?}");
}

/// Hardly anything on the page moved while it loaded.
pub(crate) async fn assert_stood_still(browser: &Browser, page: &str) {
    let shift = shift(browser).await;
    assert!(shift <= MOST_SHIFT, "{page} moved while it loaded: {shift}");
}

/// How much of the page has moved, and how far, since it was asked for: what is known as cumulative layout shift.
pub(crate) async fn shift(browser: &Browser) -> f64 {
    let shift = browser
        .run_async(
            "let sum = 0;
             // What the user's own click has moved does not count.
             const add = (list) => { for (const shift of list) if (!shift.hadRecentInput) sum += shift.value };
             const observer = new PerformanceObserver((list) => add(list.getEntries()));
             observer.observe({ type: 'layout-shift', buffered: true });
             requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => {
                 add(observer.takeRecords());
                 done(sum);
             })));",
        )
        .await;
    shift.as_f64().expect("a number")
}

/// axe-core finds nothing, by any of its rules.
pub(crate) async fn assert_accessible(browser: &Browser, page: &str) {
    let found = violations(browser, page).await;
    assert_eq!(found, serde_json::json!([]), "{page}: {found:#}");
}

/// What axe-core finds.
pub(crate) async fn violations(browser: &Browser, page: &str) -> Value {
    browser.run(&AXE).await;
    let found = browser
        .run_async(
            "axe.run(document).then((it) => done({
                 rules: it.passes.length,
                 violations: it.violations.map((rule) => ({
                     id: rule.id, help: rule.help, nodes: rule.nodes.map((node) => node.html + ' ' + node.failureSummary),
                 })),
             }), (error) => done({ error: String(error) }));",
        )
        .await;
    assert_eq!(found["error"], Value::Null, "{page}");
    assert!(found["rules"].as_u64().is_some_and(|rules| rules >= 10), "{page}: {found}");
    found["violations"].clone()
}

/// No button is broken into lines, and no address within one of its groups. Returns how many addresses take more than one line.
pub(crate) async fn assert_whole(browser: &Browser, page: &str) -> u64 {
    let found = browser
        .run(
            "let broken = [], wrapped = 0;
             for (const address of document.querySelectorAll('.address')) {
                 const lines = new Set();
                 for (const group of address.childNodes) {
                     if (group.nodeType !== Node.TEXT_NODE) continue;
                     const range = document.createRange();
                     range.selectNodeContents(group);
                     const rects = range.getClientRects();
                     if (rects.length > 1) broken.push(address.textContent);
                     for (const rect of rects) lines.add(rect.top);
                 }
                 if (lines.size > 1) wrapped += 1;
             }
             for (const button of document.querySelectorAll('main :is(button, summary, .button)')) {
                 if (!button.checkVisibility()) continue;
                 const range = document.createRange();
                 range.selectNodeContents(button);
                 if (range.getClientRects().length > 1) broken.push(button.textContent);
             }
             return { broken, wrapped };",
        )
        .await;
    assert_eq!(found["broken"], serde_json::json!([]), "{page}");
    found["wrapped"].as_u64().expect("a number")
}

/// What this finds is on the screen, without scrolling in any direction but down.
pub(crate) async fn assert_begins_with(browser: &Browser, script: &str, page: &str) {
    let script = format!(
        "const it = ({script}).getBoundingClientRect();
         return it.width > 0 && it.left >= 0 && it.right <= document.documentElement.clientWidth;"
    );
    assert_eq!(browser.run(&script).await, Value::Bool(true), "{page} begins elsewhere");
}

//! Checks and screenshots of a screen, in both colour schemes and at the widths of a phone and a desktop.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value as Json, json};

use crate::window::Window;

const SCHEMES: [&str; 2] = ["light", "dark"];
const WIDTHS: [u32; 2] = [360, 1280];
const HEIGHT: u32 = 800;

static AXE: LazyLock<String> = LazyLock::new(|| {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/browser/node_modules/axe-core/axe.min.js"
    );
    fs::read_to_string(path).expect("axe-core is missing: bin/setup installs it")
});

/// The axe rules for a page: all of them.
const ALL_RULES: &str = "undefined";

/// The axe rules for a letter: WCAG 2.2, level AA. A letter is shown within the page of a mail program and so has no
/// landmarks of its own.
const WCAG_RULES: &str = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']";

/// Checks a page for accessibility and horizontal scrolling, and saves screenshots.
pub(crate) async fn check_page(window: &Window, name: &str) {
    check(window, name, ALL_RULES).await;
}

/// Checks the HTML of a letter, opened on its own, in the same way.
pub(crate) async fn check_letter(window: &Window, name: &str) {
    check(window, name, WCAG_RULES).await;
}

async fn check(window: &Window, name: &str, rules: &str) {
    window.execute(&AXE, vec![]).await;
    for (scheme_index, scheme) in SCHEMES.into_iter().enumerate() {
        prefer(window, scheme).await;
        for (width_index, width) in WIDTHS.into_iter().enumerate() {
            let what = format!("{name} at {width}, {scheme}");
            size(window, width, HEIGHT).await;
            must_not_scroll_horizontally(window, &what).await;
            // Covers each scheme and each width once: colours do not depend on the width.
            if scheme_index == width_index {
                must_be_accessible(window, &what, rules).await;
            }
            save_screenshot(window, width, &format!("{name}-{width}-{scheme}")).await;
        }
    }
    prefer(window, SCHEMES[0]).await;
    size(window, WIDTHS[1], HEIGHT).await;
    window.must_have_no_console_errors().await;
}

async fn prefer(window: &Window, scheme: &str) {
    let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
    window
        .devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        )
        .await;
    let is_preferred = format!("return matchMedia('(prefers-color-scheme: {scheme})').matches");
    assert_eq!(window.execute(&is_preferred, vec![]).await, true);
}

async fn size(window: &Window, width: u32, height: u32) {
    let metrics =
        json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
    window
        .devtools("Emulation.setDeviceMetricsOverride", metrics)
        .await;
}

async fn must_not_scroll_horizontally(window: &Window, what: &str) {
    const WIDER: &str = "
        const page = document.documentElement;
        if (page.scrollWidth <= page.clientWidth) return [];
        const sticksOut = (element) => element.getBoundingClientRect().right > page.clientWidth;
        return [...document.querySelectorAll('body *')].filter(sticksOut).map((element) => element.outerHTML);";
    let wider = window.execute(WIDER, vec![]).await;
    assert_eq!(wider, json!([]), "{what}: wider than the page");
}

async fn must_be_accessible(window: &Window, what: &str, rules: &str) {
    const RUN: &str = "
        const done = arguments[arguments.length - 1];
        const described = (violation) => [violation.id, violation.help, ...violation.nodes.map((node) => node.html)];
        axe.run(document, { iframes: false, resultTypes: ['violations'], runOnly: RULES }).then(
            (results) => done({ rules: results.passes.length, violations: results.violations.map(described) }),
            (error) => done({ violations: [String(error)] }));";
    let found = window.execute_async(&RUN.replace("RULES", rules)).await;
    assert_eq!(found["violations"], json!([]), "{what}");
    assert!(found["rules"].as_u64().unwrap() > 5, "{what}: {found}");
}

/// Saves a screenshot of the whole page.
async fn save_screenshot(window: &Window, width: u32, name: &str) {
    let height = window
        .execute("return document.documentElement.scrollHeight", vec![])
        .await;
    let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
    let taken = window.devtools(
        "Page.captureScreenshot",
        json!({ "format": "png", "captureBeyondViewport": true, "clip": clip }),
    );
    let taken: Json = taken.await;
    let picture = BASE64_STANDARD.decode(taken["data"].as_str().unwrap());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("team-screenshots");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.png")), picture.unwrap()).unwrap();
}

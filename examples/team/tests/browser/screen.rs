//! A screen, looked at in both colour schemes and at the widths of a telephone and of a desk.

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
    fs::read_to_string(path).expect("axe-core, which bin/setup installs")
});

/// What is asked of a page: all that axe knows.
const EVERYTHING: &str = "undefined";

/// What is asked of a letter: WCAG 2.2 at level AA. A letter is part of a mail program's page, and so has no
/// landmarks of its own.
const WCAG: &str = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']";

/// Sees that nothing on the page keeps anybody out or scrolls sideways, and leaves pictures of it.
pub(crate) async fn look(window: &Window, name: &str) {
    look_for(window, name, EVERYTHING).await;
}

/// The same for the HTML of a letter, opened by itself.
pub(crate) async fn look_at_letter(window: &Window, name: &str) {
    look_for(window, name, WCAG).await;
}

async fn look_for(window: &Window, name: &str, rules: &str) {
    window.execute(&AXE, vec![]).await;
    for (place, scheme) in SCHEMES.into_iter().enumerate() {
        prefer(window, scheme).await;
        for (other_place, width) in WIDTHS.into_iter().enumerate() {
            let what = format!("{name} at {width}, {scheme}");
            size(window, width, HEIGHT).await;
            does_not_scroll_sideways(window, &what).await;
            // Each scheme and each width once: colours do not depend on the width.
            if place == other_place {
                keeps_nobody_out(window, &what, rules).await;
            }
            picture(window, width, &format!("{name}-{width}-{scheme}")).await;
        }
    }
    prefer(window, SCHEMES[0]).await;
    size(window, WIDTHS[1], HEIGHT).await;
    window.has_no_complaint().await;
}

async fn prefer(window: &Window, scheme: &str) {
    let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
    window
        .tools(
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
        .tools("Emulation.setDeviceMetricsOverride", metrics)
        .await;
}

async fn does_not_scroll_sideways(window: &Window, what: &str) {
    const WIDER: &str = "
        const page = document.documentElement;
        if (page.scrollWidth <= page.clientWidth) return [];
        const sticksOut = (element) => element.getBoundingClientRect().right > page.clientWidth;
        return [...document.querySelectorAll('body *')].filter(sticksOut).map((element) => element.outerHTML);";
    let wider = window.execute(WIDER, vec![]).await;
    assert_eq!(wider, json!([]), "{what}: wider than the page");
}

async fn keeps_nobody_out(window: &Window, what: &str, rules: &str) {
    const RUN: &str = "
        const done = arguments[arguments.length - 1];
        const told = (violation) => [violation.id, violation.help, ...violation.nodes.map((node) => node.html)];
        axe.run(document, { iframes: false, resultTypes: ['violations'], runOnly: RULES }).then(
            (results) => done({ rules: results.passes.length, violations: results.violations.map(told) }),
            (error) => done({ violations: [String(error)] }));";
    let found = window.execute_async(&RUN.replace("RULES", rules)).await;
    assert_eq!(found["violations"], json!([]), "{what}");
    assert!(found["rules"].as_u64().unwrap() > 5, "{what}: {found}");
}

/// A picture of the whole page.
async fn picture(window: &Window, width: u32, name: &str) {
    let height = window
        .execute("return document.documentElement.scrollHeight", vec![])
        .await;
    let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
    let taken = window.tools(
        "Page.captureScreenshot",
        json!({ "format": "png", "captureBeyondViewport": true, "clip": clip }),
    );
    let taken: Json = taken.await;
    let picture = BASE64_STANDARD.decode(taken["data"].as_str().unwrap());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("team-screenshots");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.png")), picture.unwrap()).unwrap();
}

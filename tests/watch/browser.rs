//! The page in a real browser: found by keyboard, fresh without being loaded again, readable on a phone and in the dark.

use crate::http::{address, with_token};
use crate::place::Place;
use crate::simulated::{all_have, base, shop};
use crate::webdriver::Browser;

const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";

/// The contrast of the least readable text on the page with what is behind it, and that text.
const LEAST_CONTRAST: &str = r#"
    const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
    const light = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
    const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const found = parts(getComputedStyle(at).backgroundColor);
            if (found.length === 3 || found[3] === 1) return found;
        }
        return [255, 255, 255];
    };
    let least = [99, ''];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const [text, element] = [walk.currentNode.textContent.trim(), walk.currentNode.parentElement];
        if (!text || !element.checkVisibility() || element.closest('.skip')) continue;
        const [one, other] = [luminance(parts(getComputedStyle(element).color)), luminance(behind(element))];
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        if (contrast < least[0]) least = [contrast, text];
    }
    return least;
"#;

/// Presses Tab until an expression holds of what has the focus; whatever has it on the way can be seen to.
fn tab_until(browser: &Browser, expression: &str) {
    for _ in 0..60 {
        browser.keys(&[TAB]);
        assert!(
            browser.holds("getComputedStyle(document.activeElement).outlineStyle !== 'none'"),
            "nobody sees where the focus is: {}",
            browser.run("return document.activeElement.outerHTML")
        );
        if browser.holds(expression) {
            return;
        }
    }
    panic!("no Tab leads to it: {expression}");
}

#[test]
fn a_device_is_found_by_a_target_condition_without_a_mouse() {
    let Some(browser) = Browser::start() else { return };
    let place = shop();
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let at = address(&place);
    browser.open(&format!("http://{at}/"));
    browser.until("document.querySelector('h1').innerText === 'All 3 devices are as desired'");
    assert!(browser.holds("document.querySelectorAll('.field a.good').length === 3"));
    assert!(browser.text(".deployments").contains("● 3 success"));

    browser.keys(&[TAB]);
    assert!(
        browser.holds("document.activeElement.matches('.skip')"),
        "the first way is past the header"
    );
    browser.keys(&["/"]);
    browser.until("location.pathname === '/devices'");
    browser.until("document.querySelectorAll('tbody tr').length === 3");
    browser.until("document.activeElement.id === 'where'");
    browser.keys(&[TAB, "/"]);
    browser.until("document.activeElement.id === 'where'");
    browser.types("deviceId = 'till-2'");
    browser.keys(&[ENTER]);
    browser.until("document.querySelectorAll('tbody tr').length === 1");
    tab_until(&browser, "document.activeElement.innerText === 'till-2'");
    browser.keys(&[ENTER]);
    browser.until("location.pathname === '/devices/till-2'");
    assert!(browser.text("h1").contains("till-2") && browser.text("h1").contains("as desired"));
    tab_until(&browser, "document.activeElement.matches('#fields-web summary')");
    assert!(!browser.holds("document.querySelector('#fields-web').open"));
    browser.keys(&[ENTER]);
    browser.until("document.querySelector('#fields-web').open");
    assert!(browser.text("#fields-web").contains("deployments/base.toml"), "who set it");

    browser.open(&format!("http://{at}/devices?where=tags.a+%3D%3D+1"));
    let wrong = browser.text("[role=alert]");
    assert!(wrong.contains("tags.a == 1\n       ^") && wrong.contains("is no operator"), "{wrong}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn news_come_by_themselves_and_an_approval_goes_back() {
    let Some(browser) = Browser::start() else { return };
    let place = shop();
    let strict =
        "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n[guards]\nmax-modules-removed = 1\n";
    place.commit(&[("fleet.toml", strict)]);
    let (token, _) = with_token(&place);
    let token = token.each_ref().map(String::as_str);
    let daemon = place.watch(&token);
    place.until("the first commit", || all_have(&place, "web:1"));
    let at = address(&place);
    browser.open(&format!("http://{at}/"));
    browser.until("location.pathname === '/login'");
    browser.run("document.querySelector('#token').focus()");
    browser.types("a token that nobody guesses");
    browser.keys(&[ENTER]);
    browser
        .until("location.pathname === '/' && document.querySelector('#live').innerText === 'Live'");

    // A mark that no page that is loaded again would have.
    browser.run("window.isTheSame = true");
    let second = place.commit(&[("deployments/base.toml", &base("2"))]);
    browser
        .until(&format!("document.querySelector('header code').innerText === '{}'", &second[..7]));
    let without = "target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:2\"\n";
    let held = place.commit(&[("deployments/base.toml", without)]);
    browser
        .until(&format!("document.querySelector('#held')?.innerText.includes('{}')", &held[..7]));
    assert!(browser.text("main").contains("modules-removed"), "{}", browser.text("main"));
    assert!(browser.holds("window.isTheSame"));
    tab_until(&browser, "document.activeElement.innerText.startsWith('Approve')");
    browser.keys(&[ENTER]);
    browser.until("!document.querySelector('#held')");
    place.until("it goes out", || !all_have(&place, "meter:1") && place.held().is_none());

    // A daemon that ends is missed, and one that is back is noticed without a hand.
    browser.run("window.isTheSame = true");
    assert_eq!(daemon.stop(), 0);
    browser.until("document.querySelector('#live').innerText.includes('does not answer')");
    let _daemon = place.watch(&[&token[..], &["--listen", &at]].concat());
    browser.until("document.querySelector('#live').innerText === 'Live'");
    let last = place.commit(&[("deployments/base.toml", &without.replace("web:2", "web:3"))]);
    browser.until(&format!("document.querySelector('header code').innerText === '{}'", &last[..7]));
    assert!(browser.holds("window.isTheSame"));
}

#[test]
fn a_phone_shows_all_of_it_and_it_is_readable_in_the_dark() {
    let Some(browser) = Browser::start() else { return };
    let place = shop_with_everything();
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let at = address(&place);
    let held = "target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:1\"\n";
    place.commit(&[("deployments/base.toml", held)]);
    place.until("it is held", || place.held().is_some());
    for scheme in ["light", "dark"] {
        browser.prefer("prefers-color-scheme", scheme);
        for path in ["/", "/devices", "/devices/till-1", "/history", "/login", "/devices?where=a"] {
            browser.resize(390, 844);
            browser.open(&format!("http://{at}{path}"));
            browser
                .run("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
            let width = browser.run("return document.documentElement.scrollWidth");
            assert_eq!(width, 390, "{path} has more than the phone is wide");
            let least = browser.run(LEAST_CONTRAST);
            let contrast = least[0].as_f64().unwrap_or_default();
            assert!(contrast >= 4.5, "{path}, {scheme}: {least}");
        }
        let ground =
            browser.run("return getComputedStyle(document.documentElement).backgroundColor");
        let is_dark = ground.as_str().is_some_and(|ground| ground.starts_with("rgb(1"));
        assert_eq!(is_dark, scheme == "dark", "{ground}");
    }
}

/// Long names, tags, twins, routes: what takes room.
fn shop_with_everything() -> Place {
    let place = shop();
    let full = format!(
        "{}command = [\"serve\", \"--listen=0.0.0.0:8080\", \"--a-rather-long-option-with-a-rather-long-value={}\"]\n\
         [modules.meter.desired]\nInterval = 60\nReport = {{ Level = \"info\", Batch = 100 }}\n\
         [metrics]\nunhealthy = \"SELECT deviceId FROM devices.modules WHERE runtimeStatus != 'running'\"\n",
        base("1"),
        "0123456789".repeat(12)
    );
    let strict =
        "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n[guards]\nmax-modules-removed = 1\n";
    place.commit(&[("deployments/base.toml", &full), ("fleet.toml", strict)]);
    place
}

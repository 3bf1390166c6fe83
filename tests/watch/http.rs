//! HTTP of a running daemon: the API as its document says, who may ask, hooks, metrics, the page and its forms.

use crate::place::{Place, git_in};
use crate::simulated::{all_have, base, shop};
use hoist::model::{DeviceId, Timestamp};
use serde_json::Value as Json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// Where the daemon listens, by its own words.
pub(crate) fn address(place: &Place) -> String {
    said_address(place, "the page is at http://")
}

pub(crate) fn said_address(place: &Place, words: &str) -> String {
    let log = || std::fs::read_to_string(place.path("log")).unwrap_or_default();
    place.until(words, || log().contains(words));
    let log = log();
    let line = log.lines().rev().find_map(|line| line.split_once(words));
    line.expect("a line").1.trim().to_owned()
}

const STRICT: &str =
    "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n[guards]\nmax-modules-removed = 1\n";
/// One of two modules is gone, and a value would be mark-up.
const WITHOUT_METER: &str =
    "target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:1\"\nenv = { A = \"<b>\" }\n";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

pub(crate) fn ask(address: &str, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the daemon listens");
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    headers.iter().for_each(|header| request.push_str(&format!("{header}\r\n")));
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
        body.split("\r\n").skip(1).step_by(2).collect()
    } else {
        body.to_owned()
    };
    Answer { status, head: head.to_owned(), body }
}

pub(crate) fn get(address: &str, path: &str) -> Answer {
    ask(address, "GET", path, &[], "")
}

pub(crate) const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const HTML: &str = "Accept: text/html,application/xhtml+xml";
const TOKEN: &str = "a token that nobody guesses";

/// The arguments that give the daemon a token, and the header that shows it.
pub(crate) fn with_token(place: &Place) -> ([String; 2], String) {
    let path = place.path("token");
    std::fs::write(&path, TOKEN).expect("a file");
    let arguments = ["--token-file".to_owned(), path.display().to_string()];
    (arguments, format!("Authorization: Bearer {TOKEN}"))
}

/// The value of a field of a form.
fn value(page: &str, name: &str) -> String {
    let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).expect("a field");
    rest.split('"').next().expect("a value").to_owned()
}

/// The same schema, to which a key that it does not name is wrong.
fn closed(schema: &Json) -> Json {
    match schema {
        Json::Object(keys) => {
            let mut keys: serde_json::Map<String, Json> =
                keys.iter().map(|(key, value)| (key.clone(), closed(value))).collect();
            let is_open = keys.get("properties").is_some_and(|named| !named["type"].is_string());
            if is_open && !keys.contains_key("additionalProperties") {
                keys.insert("additionalProperties".to_owned(), false.into());
            }
            Json::Object(keys)
        }
        Json::Array(all) => all.iter().map(closed).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_answer_is_as_the_document_says() {
    let place = shop();
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let at = address(&place);
    let document = get(&at, "/api/v1/openapi.json").json();
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() >= 7);
    place.until("a snapshot with all", || get(&at, "/api/v1/fleet").body.contains("\"200\":3"));
    for (path, described) in paths {
        let schema = &described["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let answer = get(&at, &path.replace("{id}", "till-1"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let validator = jsonschema::validator_for(&closed(schema)).expect("a schema");
        let wrong: Vec<String> =
            validator.iter_errors(&answer.json()).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{path}: {wrong:?}\n{}", answer.body);
    }
    let first = get(&at, "/api/v1/devices?limit=2").json();
    assert_eq!((&first["total"], &first["next"]), (&3.into(), &"till-2".into()));
    let rest = get(&at, "/api/v1/devices?limit=2&after=till-2").json();
    assert_eq!((rest["devices"][0]["id"].as_str(), rest["next"].as_str()), (Some("till-3"), None));
    let one = get(&at, "/api/v1/devices?where=deviceId%20%3D%20%27till-2%27").json();
    assert_eq!(one["total"], 1);
    for (path, status, words) in [
        ("/api/v1/devices?where=tags.a%20%3D%3D%201", 400, "`==` is no operator here"),
        ("/api/v1/devices/till-9", 404, "the fleet has no device `till-9`"),
        ("/api/v1/nothing", 404, "openapi.json lists all"),
        ("/api/v1/history?since=yesterday", 400, "since: it is neither a duration nor a moment"),
        ("/api/v1/devices/%ff", 400, "the path holds what is no UTF-8"),
        ("/api/v1/devices?limit=many", 400, "limit: it is no whole number"),
        ("/api/v1/devices?limit=1001", 400, "limit: it is 1001; it can be 1 to 1000"),
        ("/api/v1/history?limit=0", 400, "limit: it is 0; it can be 1 to 1000"),
        ("/api/v1/devices?wher=a", 400, "this path has no parameter `wher`; did you mean `where`?"),
        ("/api/v1/history?where=a", 400, "no parameter `where`; it takes device, since, limit"),
        ("/api/v1/fleet?where=a", 400, "this path has no parameter `where`; it takes none"),
    ] {
        let answer = get(&at, path);
        assert_eq!(answer.status, status, "{path}");
        let said = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(said.contains(words), "{path}: {said}");
    }
    let lately = get(&at, "/api/v1/history?since=1h").json();
    assert!(!lately["entries"].as_array().expect("a list").is_empty());
    // A saved state is what `hoist diff --facts` takes.
    let state = get(&at, "/api/v1/state").body;
    hoist::review::decode_state(&state).expect("a state");
}

#[test]
fn who_may_ask_is_asked_and_forms_come_from_the_page() {
    let place = shop();
    let (arguments, bearer) = with_token(&place);
    let _daemon = place.watch(&arguments.each_ref().map(String::as_str));
    place.until("the first commit", || all_have(&place, "web:1"));
    let at = address(&place);
    assert_eq!(get(&at, "/api/v1/fleet").status, 401);
    let page = get(&at, "/");
    assert!(page.status == 303 && page.head.contains("location: /login"), "{}", page.head);
    assert_eq!(get(&at, "/healthz").status, 200);
    place.until("a snapshot", || ask(&at, "GET", "/api/v1/fleet", &[&bearer], "").status == 200);
    assert_eq!(ask(&at, "GET", "/api/v1/fleet", &[&bearer], "").status, 200);
    assert_eq!(ask(&at, "GET", "/api/v1/fleet", &["Authorization: Bearer no"], "").status, 401);
    let evil = ask(&at, "GET", "/", &[&bearer, "Host: evil.example"], "");
    assert_eq!(evil.status, 421);
    // Names are the same in capitals.
    let shouted = ask(&at, "GET", "/healthz", &["Host: LocalHost"], "");
    assert_eq!(shouted.status, 200, "{}", shouted.body);
    for refused in [&evil, &get(&at, "/api/v1/fleet"), &page] {
        for header in ["content-security-policy: default-src 'none'", "cache-control: no-store"] {
            assert!(refused.head.contains(header), "{header}\n{}", refused.head);
        }
    }
    let deep = get(&at, "/devices?where=deviceId%20%3D%20%27till-2%27").head;
    let form =
        get(&at, deep.split("location: ").nth(1).expect("led").lines().next().expect("a line"));
    assert_eq!(value(&form.body, "to"), "/devices?where=deviceId%20%3D%20%27till-2%27");
    let unknown = ask(&at, "GET", "/devices/till-9", &[&bearer, HTML], "");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("no device `till-9`</p>"), "{}", unknown.body);
    assert!(ask(&at, "GET", "/nothing", &[&bearer], "").json()["error"].is_string());
    let wrong = ask(&at, "DELETE", "/api/v1/fleet", &[&bearer], "");
    assert_eq!((wrong.status, wrong.json()["format"].as_i64()), (405, Some(1)));
    assert!(wrong.head.contains("allow: GET"), "{}", wrong.head);
    assert_eq!(ask(&at, "POST", "/login", &[FORM], "token=no").status, 401);
    let login = ask(&at, "POST", "/login", &[FORM], &format!("token={}", TOKEN.replace(' ', "+")));
    assert_eq!(login.status, 303);
    let cookie =
        login.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && !cookie.contains(TOKEN), "{cookie}");
    let cookie = format!("Cookie: {}", cookie.split(';').next().expect("a value"));
    let page = ask(&at, "GET", "/devices/till-1", &[&cookie], "");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    assert!(!page.body.contains("<script>") && !page.body.contains("style=\""), "nothing inline");

    let form = value(&page.body, "form");
    let pause = |form: &str, more: &[&str]| {
        let body = format!("form={form}&device=till-1&reason=serviced");
        ask(&at, "POST", "/pause", &[&[FORM, cookie.as_str()], more].concat(), &body).status
    };
    assert_eq!(pause("0000", &[]), 403, "another site's form");
    assert_eq!(pause(&form, &["Sec-Fetch-Site: cross-site"]), 403);
    assert!(place.store().expect("a store").pauses(Place::now()).expect("read").is_empty());
    assert_eq!(pause(&form, &[]), 303);
    place.until("it is paused", || {
        place.device("till-1").is_some_and(|d| d.status.description.contains("serviced"))
    });
}

/// What a browser was given by one control host opens no other, though both have the same token; it outlives a restart, and
/// not a new token.
#[test]
fn a_cookie_is_of_one_store_and_one_token() {
    let started = |place: &Place| {
        let (arguments, bearer) = with_token(place);
        let _ = std::fs::remove_file(place.path("log"));
        let daemon = place.watch(&arguments.each_ref().map(String::as_str));
        let at = address(place);
        place
            .until("a snapshot", || ask(&at, "GET", "/api/v1/fleet", &[&bearer], "").status == 200);
        (daemon, at)
    };
    let (one, other) = (shop(), shop());
    let (daemon, at) = started(&one);
    let login = format!("token={}", TOKEN.replace(' ', "+"));
    let head = ask(&at, "POST", "/login", &[FORM], &login).head;
    let given = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    let cookie = format!("Cookie: {}", given.split(';').next().expect("a value"));
    let (name, proof) = cookie["Cookie: ".len()..].split_once('=').expect("a value");
    let sees = |at: &str, cookie: &str| ask(at, "GET", "/", &[cookie], "").status == 200;
    assert!(sees(&at, &cookie));
    let page = ask(&at, "GET", "/devices/till-1", &[&cookie], "").body;
    let body = format!("form={}&device=till-1&reason=serviced", value(&page, "form"));

    let (_other, elsewhere) = started(&other);
    let head = ask(&elsewhere, "POST", "/login", &[FORM], &login).head;
    let theirs = head.split("set-cookie: ").nth(1).expect("a cookie");
    let theirs = theirs.split('=').next().expect("a name");
    assert_ne!(name, theirs, "a browser keeps both");
    assert!(!sees(&elsewhere, &cookie) && !sees(&elsewhere, &format!("Cookie: {theirs}={proof}")));
    let bearer = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(ask(&elsewhere, "POST", "/pause", &[FORM, &bearer], &body).status, 403);

    assert_eq!(daemon.stop(), 0);
    let (daemon, at) = started(&one);
    assert!(sees(&at, &cookie));
    assert_eq!(daemon.stop(), 0);
    std::fs::write(one.path("token"), "another that nobody guesses").expect("a file");
    let _ = std::fs::remove_file(one.path("log"));
    let token = one.path("token").display().to_string();
    let _daemon = one.watch(&["--token-file", &token]);
    let (at, bearer) = (address(&one), "Authorization: Bearer another that nobody guesses");
    one.until("a snapshot", || ask(&at, "GET", "/api/v1/fleet", &[bearer], "").status == 200);
    assert!(!sees(&at, &cookie), "a new token ends it");
    assert_eq!(ask(&at, "POST", "/pause", &[FORM, bearer], &body).status, 403, "and its forms");
}

/// On a machine with other users anybody may look, and nobody without the token may order.
#[test]
fn without_a_token_nobody_orders_anything() {
    let place = shop();
    place.commit(&[("fleet.toml", STRICT)]);
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let at = address(&place);
    let held = place.commit(&[("deployments/base.toml", WITHOUT_METER)]);
    place.until("it is held", || get(&at, "/").body.contains("Held: "));
    for page in [get(&at, "/").body, get(&at, "/devices/till-1").body] {
        assert!(page.contains("--token-file") && !page.contains("method=\"post\""), "{page}");
    }
    assert!(get(&at, "/").body.contains(&format!("hoist approve {}", &held[..7])));
    for (path, body) in [
        ("/approve", format!("revision={held}&numbers=max-modules-removed=9")),
        ("/pause", "device=till-1&reason=mischief".to_owned()),
        ("/resume", "device=till-1".to_owned()),
    ] {
        let answer = ask(&at, "POST", path, &[FORM], &body);
        assert_eq!(answer.status, 403, "{path}");
        let words = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(words.contains("--token-file"), "{words}");
    }
    assert!(place.held().is_some() && all_have(&place, "meter:1"));
    assert!(place.store().expect("a store").pauses(Place::now()).expect("read").is_empty());
}

/// A device that nobody has seen for long is not as desired, whatever it was then.
#[test]
fn a_device_that_was_not_seen_lately_is_stale_and_credentials_are_masked() {
    let place = shop();
    let secretive = "target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:1\"\n\
                     command = [\"serve\", \"--password=hunter2-hunter2\"]\n\
                     create-options = { Env = [\"API_KEY=hunter2-hunter2\"] }\n\
                     desired = { Interval = 60, cloudToken = \"hunter2-hunter2\" }\n";
    place.commit(&[("deployments/base.toml", secretive)]);
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "API_KEY"));
    let at = address(&place);
    place.until("it is shown", || get(&at, "/devices/till-1").body.contains("(masked)"));
    let page = get(&at, "/devices/till-1").body;
    assert!(page.contains("id=\"twins\"") && page.contains("<code>Interval</code>"), "{page}");
    assert!(!page.contains("hunter2"), "{page}");
    daemon.stop();
    let store = place.store_to_write();
    let long_ago = Timestamp { seconds: Place::now().seconds - 10_000 };
    let till = DeviceId::parse("till-2").expect("an id");
    store.record_contacts([(&till, long_ago)]).expect("written");
    drop(store);
    std::fs::remove_file(place.path("log")).expect("the first daemon's");
    let engine = place.state_folder().join("engines/till-2.json");
    std::fs::write(&engine, "not an engine").expect("it is broken");
    let _daemon = place.watch(&[]);
    let at = address(&place);
    place.until("it counts", || get(&at, "/api/v1/fleet").body.contains("\"stale\":1"));
    let fleet = get(&at, "/api/v1/fleet").json();
    assert_eq!(fleet["codes"], serde_json::json!({"200": 2}));
    let page = get(&at, "/devices?where=deviceId%20%3D%20%27till-2%27").body;
    assert!(page.contains("> stale<") && page.contains("2 h ago"), "{page}");
    assert!(!page.contains("> as desired<"), "{page}");
    assert!(get(&at, "/metrics").body.contains("hoist_devices{code=\"stale\"} 1"));
}

/// Each of two control hosts speaks of the devices that it looks after.
#[test]
fn devices_of_another_control_host_are_left_out_and_that_is_said() {
    let place = shop();
    let daemon = place.watch(&["--where", "deviceId = 'till-2'"]);
    let at = address(&place);
    place.until("its own device", || {
        get(&at, "/api/v1/fleet").body.contains("\"codes\":{\"200\":1}")
    });
    assert_eq!(get(&at, "/api/v1/fleet").json()["devices"], 1);
    let page = get(&at, "/").body;
    let words = "Looked after here: devices where <code>deviceId = 'till-2'</code>, 1 of 3";
    assert!(page.replace("&#39;", "'").contains(words), "{page}");
    let status = |arguments: &[&str]| {
        let fleet = place.fleet().display().to_string();
        let all = [&["-C", &fleet, "status", "--simulate"], arguments].concat();
        let output = place.hoist(&all).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(
        status(&[]).contains("only what is looked after here: devices where deviceId = 'till-2'")
    );
    assert!(!status(&[]).contains("till-1") && status(&["--where", "*"]).contains("till-1"));
    let json: serde_json::Value =
        serde_json::from_str(&status(&["--format", "json"])).expect("JSON");
    assert_eq!(json["watches"]["where"], "deviceId = 'till-2'");
    assert_eq!(daemon.stop(), 0);

    // One that is not there yet may come.
    std::fs::remove_file(place.path("log")).expect("the first daemon's");
    let daemon = place.watch(&["--only", "till-9"]);
    let log = || std::fs::read_to_string(place.path("log")).unwrap_or_default();
    let words = "no device of this revision is looked after here";
    place.until("it says so", || log().contains(words));
    assert!(log().contains("devices=\"till-9\""), "as it was typed: {}", log());
    place.commit(&[("devices/till-9.toml", "")]);
    place.until("it came", || log().contains("device=till-9 code=200"));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_hook_wakes_the_daemon_if_it_is_signed() {
    let place = shop();
    let bare = place.path("remote.git");
    let shown = bare.display().to_string();
    git_in(&place.fleet(), &["init", "--quiet", "--bare", "--initial-branch=main", &shown]);
    place.git(&["push", "--quiet", &shown, "main"]);
    std::fs::write(place.path("secret"), "hush hush").expect("a file");
    let secret = place.path("secret").display().to_string();
    let arguments = ["--poll", "1h", "--hook-secret-file", &secret];
    let _daemon = place.watch_of(&format!("file://{shown}"), &arguments);
    place.until("the first commit", || all_have(&place, "web:1"));
    let at = address(&place);
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.git(&["push", "--quiet", &shown, "main"]);
    assert_eq!(ask(&at, "POST", "/hooks/git", &["X-Gitlab-Token: wrong"], "{}").status, 401);
    assert_eq!(ask(&at, "POST", "/hooks/git", &[], "{}").status, 401);
    let large = "x".repeat(2 << 20);
    let refused = ask(&at, "POST", "/hooks/git", &["X-Gitlab-Token: hush hush"], &large);
    assert_eq!(refused.status, 413);
    let words = refused.json()["error"].as_str().unwrap_or_default().to_owned();
    assert!(words.contains("the body is larger than 1 MiB"), "{words}");
    assert!(all_have(&place, "web:1"));
    assert_eq!(ask(&at, "POST", "/hooks/git", &["X-Gitlab-Token: hush hush"], "{}").status, 202);
    place.until("what was pushed", || all_have(&place, "web:2"));
}

/// Prometheus' text format: families with their kind before their samples, each sample a number.
#[test]
fn metrics_are_as_prometheus_reads_them() {
    let place = shop();
    let _daemon = place.watch(&["--device-metrics"]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let at = address(&place);
    place.until("it is counted", || get(&at, "/metrics").body.contains("state=\"success\"} 3"));
    let answer = get(&at, "/metrics");
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let mut families: Vec<&str> = Vec::new();
    for line in answer.body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(matches!(kind, "gauge" | "counter" | "summary"), "{line}");
            assert!(!families.contains(&name), "{name} stands twice");
            families.push(name);
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            value.parse::<f64>().expect("a number");
            let name = series.split('{').next().expect("a name");
            let family = families.last().expect("a family before");
            assert!(name.starts_with(family), "{name} after {family}");
        }
    }
    for family in [
        "hoist_deployment_devices",
        "hoist_pass_seconds",
        "hoist_steps_total",
        "hoist_revision_info",
        "hoist_held_seconds",
        "hoist_last_fetch_success_timestamp_seconds",
        "hoist_device_status_code",
    ] {
        assert!(families.contains(&family), "{family}");
    }
    assert_eq!(get(&at, "/readyz").status, 200);
}

#[test]
fn the_page_shows_what_is_held_takes_a_condition_and_an_approval() {
    let place = shop();
    place.commit(&[("fleet.toml", STRICT)]);
    let (arguments, bearer) = with_token(&place);
    let _daemon = place.watch(&arguments.each_ref().map(String::as_str));
    place.until("the first commit", || all_have(&place, "web:1"));
    let at = address(&place);
    let see = |path: &str| ask(&at, "GET", path, &[&bearer], "").body;
    let held = place.commit(&[("deployments/base.toml", WITHOUT_METER)]);
    place.until("the page shows it", || see("/").contains(&format!("Held: <code>{}", &held[..7])));
    let wrong = see("/devices?where=tags.a%20%3D%3D%201");
    assert!(
        wrong.contains("role=\"alert\"") && wrong.contains("`==` is no operator here"),
        "{wrong}"
    );
    let some = see("/devices?where=deviceId%20%3D%20%27till-2%27");
    assert!(
        some.contains(">1 device<")
            && some.contains("/devices/till-2")
            && !some.contains("/devices/till-1")
    );
    let page = see("/");
    let value = |name: &str| value(&page, name);
    let body = format!(
        "form={}&revision={}&numbers={}",
        value("form"),
        value("revision"),
        value("numbers")
    );
    assert_eq!(ask(&at, "POST", "/approve", &[FORM, &bearer], &body).status, 303);
    place.until("it goes out", || place.held().is_none() && !all_have(&place, "meter:1"));
    place.until("what files say is shown and not run", || {
        see("/devices/till-1").contains("&lt;b&gt;")
    });
    let device = see("/devices/till-1");
    assert!(!device.contains("<b>\""));
    // The last change is the approved one, with its cause and who set what.
    let change = device.split("id=\"change\"").nth(1).expect("the last change");
    for words in
        [&held[..7], "Because the content of", ">remove<", "meter", "deployments/base.toml:"]
    {
        assert!(change.contains(words), "{words}\n{change}");
    }
    assert!(see("/history").contains("approve"));
    // Taken: the words say so, and what helps.
    let other = shop();
    let (code, words) = other.watch(&["--listen", &at]).ends();
    assert_eq!(code, 1);
    assert!(words.contains(&format!("can't listen on {at}")), "{words}");
}

/// Nobody takes "as desired" of a module for how it is, where its device was not reached since.
#[test]
fn modules_of_a_device_that_is_not_reached_are_said_to_be_as_they_were() {
    let place = shop();
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let at = address(&place);
    let words = "As they were when the device was seen last.";
    assert!(!get(&at, "/devices/till-1").body.contains(words));
    let engine = place.state_folder().join("engines/till-1.json");
    std::fs::write(engine, "it is not here").expect("written");
    place.store_to_write().poke(&DeviceId::parse("till-1").expect("an id")).expect("written");
    place.until("it is said", || get(&at, "/devices/till-1").body.contains(words));
}

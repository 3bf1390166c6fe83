//! A browser without a window, led by chromedriver: WebDriver is JSON over plain HTTP on loopback.

use crate::testbed::programs::{Supervised, has, skip_without_browser, wait_for};
use serde_json::{Value as Json, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

/// So long may anything take until it is there: a limit against hanging.
const PATIENCE: u32 = 600;
const BETWEEN: Duration = Duration::from_millis(50);
/// What the driver says when it can be asked, before the number of its port.
const STARTED: &str = "was started successfully on port ";

/// A browser with one page.
pub(crate) struct Browser {
    port: u16,
    /// Its path below the driver's address.
    session: String,
    _driver: Supervised,
    _folder: tempfile::TempDir,
}

impl Browser {
    /// Starts one; `None` where there is none and none is required.
    pub(crate) fn start() -> Option<Self> {
        let missing = [("chromedriver", "chromium-driver"), ("chromium", "chromium")]
            .into_iter()
            .find(|(program, _)| !has(program, "--version"))
            .map(|(program, package)| format!("no {program} here; install {package}"));
        skip_without_browser(missing)?;
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let driver = Supervised::start(&["chromedriver", "--port=0"], &log);
        let words = || std::fs::read_to_string(&log).unwrap_or_default();
        wait_for("chromedriver", || words().contains(STARTED));
        let words = words();
        let port = words.split(STARTED).nth(1).and_then(|rest| rest.split('.').next());
        let port = port.and_then(|port| port.trim().parse().ok()).expect("a port");
        let profile: PathBuf = folder.path().join("profile");
        // Nothing leaves this machine: no name resolves, and nothing is looked up in the background.
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".to_owned(),
            format!("--user-data-dir={}", profile.display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let answer = ask(port, "POST", "/session", &wanted);
        let id = answer["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}"));
        let session = format!("/session/{id}");
        Some(Self { port, session, _driver: driver, _folder: folder })
    }

    fn order(&self, what: &str, body: &Json) -> Json {
        ask(self.port, "POST", &format!("{}{what}", self.session), body)
    }

    /// Opens a page.
    pub(crate) fn open(&self, address: &str) {
        self.order("/url", &json!({"url": address}));
    }

    /// What a script gives.
    pub(crate) fn run(&self, script: &str) -> Json {
        self.order("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text of the first element that a selector finds; empty where there is none.
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({selector:?})?.innerText ?? ''");
        self.run(&script).as_str().unwrap_or_default().to_owned()
    }

    /// What a script says of the page, as a sentence that holds or not.
    pub(crate) fn holds(&self, expression: &str) -> bool {
        self.run(&format!("return Boolean({expression})")) == true
    }

    /// Waits until an expression holds on the page.
    pub(crate) fn until(&self, expression: &str) {
        for _ in 0..PATIENCE {
            if self.holds(expression) {
                return;
            }
            std::thread::sleep(BETWEEN);
        }
        panic!("it never held: {expression}\n{}", self.text("body"));
    }

    /// Presses and leaves keys, one after the other.
    pub(crate) fn keys(&self, keys: &[&str]) {
        let action = |kind: &str, key: &str| json!({"type": kind, "value": key});
        let actions: Vec<Json> =
            keys.iter().flat_map(|key| [action("keyDown", key), action("keyUp", key)]).collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.order("/actions", &json!({"actions": [keyboard]}));
    }

    /// Types a text, letter by letter.
    pub(crate) fn types(&self, text: &str) {
        let letters: Vec<String> = text.chars().map(String::from).collect();
        self.keys(&letters.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Makes the page so wide and high, as a phone does.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let parameters =
            json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": true});
        self.tool("Emulation.setDeviceMetricsOverride", &parameters);
    }

    /// What the system would prefer.
    pub(crate) fn prefer(&self, feature: &str, value: &str) {
        let features = json!({"features": [{"name": feature, "value": value}]});
        self.tool("Emulation.setEmulatedMedia", &features);
    }

    fn tool(&self, command: &str, parameters: &Json) {
        self.order("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}));
    }

    /// What went wrong in the page's scripts, by the browser's own words.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.order("/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let is_bad = |entry: &&Json| entry["level"] == "SEVERE";
        entries.iter().filter(is_bad).map(|entry| entry["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends without its browsers if it is only killed.
        let _ = exchange(self.port, "DELETE", &self.session, "");
    }
}

fn ask(port: u16, method: &str, path: &str, body: &Json) -> Json {
    let text = exchange(port, method, path, &body.to_string())
        .unwrap_or_else(|error| panic!("{method} {path} {body}: {error}"));
    let answer: Json = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"));
    let value = answer["value"].clone();
    assert!(value["error"].is_null(), "{method} {path}: {value}");
    value
}

fn exchange(port: u16, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    // The driver keeps connections open whatever is asked: its word on the length counts.
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    for line in stream.by_ref().lines() {
        let line = line?.to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

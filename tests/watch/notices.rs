//! Webhooks that are told of failures, recoveries and what is held.

use crate::by_hand::hoist;
use crate::place::Place;
use crate::simulated::{all_have, base, shop};
use crate::testbed::certificates::{Authority, EC};
use serde_json::Value as Json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use tokio_rustls::rustls;

/// One request that came.
#[derive(Clone)]
pub(crate) struct Came {
    head: String,
    pub(crate) body: Json,
}

/// A webhook on this machine: answers with these statuses in turn, and with the last for ever.
pub(crate) struct Hook {
    pub(crate) address: SocketAddr,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Hook {
    pub(crate) fn open(statuses: &[&'static str]) -> Self {
        let statuses = statuses.to_vec();
        Self::serve(move |stream, n| read(stream, statuses[n.min(statuses.len() - 1)]))
    }

    fn serve(answer: impl Fn(std::net::TcpStream, usize) -> Option<Came> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let came = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&came);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let n = all.lock().expect("whole").len();
                if let Some(one) = answer(stream, n) {
                    all.lock().expect("whole").push(one);
                }
            }
        });
        Self { address, came }
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().expect("whole").clone()
    }

    fn has(&self, event: &str) -> bool {
        self.came().iter().any(|one| one.body["event"] == event)
    }
}

/// Reads a request and answers it.
fn read(mut stream: impl Read + Write, status: &str) -> Option<Came> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_string();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.and_then(|n| n.parse().ok()).unwrap_or(0) {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.flush();
                let body = serde_json::from_str(body).expect("JSON");
                return Some(Came { head: head.to_owned(), body });
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&piece[..n]),
        }
    }
}

fn tell(place: &Place, text: &str) {
    std::fs::write(place.path("hoist.toml"), text).expect("a file");
}

fn missing(place: &Place, device: &str, image: &str, is_missing: bool) {
    let file = place.state_folder().join(format!("engines/{device}.json"));
    let engine = hoist::engine::simulated::Simulated::open(Some(file), device).expect("an engine");
    engine.control().set_missing(image, is_missing).expect("written");
}

#[test]
fn a_webhook_is_told_once_of_what_fails_and_what_works_again() {
    let place = shop();
    let (json, slack) = (Hook::open(&["503 Busy", "200 OK"]), Hook::open(&["204 No Content"]));
    tell(
        &place,
        &format!(
            "[notify.ops]\nurl = \"http://{}/hunter2?a=b\"\nsecret = {{ command = \"echo key\" }}\n\
             headers = {{ Authorization = \"Bearer hunter3\" }}\n\
             [notify.chat]\nurl = \"http://{}/hunter2\"\nformat = \"slack\"\nevents = [\"failure\"]\n",
            json.address, slack.address
        ),
    );
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    ["till-1", "till-2"].iter().for_each(|till| missing(&place, till, "web:2", true));
    let second = place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("it is told again after a 503", || json.came().len() >= 2);
    let failure = &json.came()[1];
    assert!(failure.head.starts_with("POST /hunter2?a=b HTTP/1.1\r\n"), "{}", failure.head);
    assert!(failure.head.contains("authorization: Bearer hunter3"), "{}", failure.head);
    assert!(failure.head.contains("x-hoist-signature-256: sha256="), "{}", failure.head);
    assert_eq!((&failure.body["event"], &failure.body["count"]), (&"failure".into(), &2.into()));
    assert_eq!(failure.body["devices"], serde_json::json!(["till-1", "till-2"]));
    assert_eq!(failure.body["revision"], second.as_str());
    place.until("the other, too", || slack.came().len() == 1);
    let text = slack.came()[0].body["text"].as_str().expect("a text").to_owned();
    assert!(text.starts_with("*shop* (simulated): 2 devices fail\n> 424: web: "), "{text}");

    // A daemon that begins anew tells nothing twice, and goes on.
    place.until("it is written down", || {
        let store = place.store().expect("a store");
        let key = hoist::store::fleet_key::told("ops");
        store.fleet_state(&key).expect("read").is_some_and(|told| told.contains("till-2"))
    });
    assert_eq!(daemon.stop(), 0);
    let _daemon = place.watch(&[]);
    place.commit(&[("deployments/base.toml", "target = 5\n")]);
    place.until("that it is held", || json.has("held"));
    place.commit(&[("deployments/base.toml", &base("3"))]);
    place.until("that they work again", || {
        json.came().iter().any(|one| one.body["event"] == "recovery" && one.body["count"] == 2)
    });
    let failures = json.came().iter().filter(|one| one.body["event"] == "failure").count();
    assert_eq!((failures, slack.came().len()), (2, 1), "the first of them was answered with 503");
    let log = std::fs::read_to_string(place.path("log")).expect("a log");
    assert!(log.contains("it answers 503"), "{log}");
    assert!(!log.contains("hunter") && !log.contains(&json.address.to_string()), "{log}");
}

#[test]
fn a_webhook_that_hangs_holds_up_nobody() {
    let place = shop();
    let hook = Hook::serve(|stream, _| {
        std::mem::forget(stream);
        None
    });
    tell(&place, &format!("[notify.ops]\nurl = \"http://{}/\"\n", hook.address));
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    place.commit(&[("deployments/base.toml", "target = 5\n")]);
    place.until("held", || place.held().is_some());
    std::thread::sleep(std::time::Duration::from_secs(7));
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("the next commit", || all_have(&place, "web:2"));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn whether_messages_arrive_can_be_tried() {
    let place = shop();
    let hook = Hook::open(&["200 OK", "404 Not Found", "302 Found"]);
    tell(
        &place,
        &format!(
            "[notify.ops]\nurl = \"http://{}/hunter2\"\n\
             [notify.gone]\nurl = \"http://127.0.0.1:9/hunter2\"\n\
             [notify.none]\nurl = {{ env = \"HOIST_TEST_UNSET\" }}\n",
            hook.address
        ),
    );
    let said = hoist(&place, &["notify", "test", "ops"]);
    assert_eq!(said.out, "ops: took a test message (it answers 200)\n", "{}", said.err);
    assert_eq!(hook.came()[0].body["event"], "test");
    for (name, words) in [
        ("ops", "ops: it answers 404 Not Found"),
        ("ops", "ops: it answers 302: redirects are not followed"),
        ("gone", "gone: it is not reached: Connection refused"),
        ("none", "no value for secret `notify.none.url`: the variable HOIST_TEST_UNSET is not set"),
        ("opps", "did you mean `ops`"),
    ] {
        let said = hoist(&place, &["notify", "test", name]);
        assert_eq!(said.code, 1, "{name}");
        assert!(said.err.contains(words) && !said.err.contains("hunter2"), "{name}: {}", said.err);
    }
}

#[test]
fn a_webhook_by_tls_is_checked_by_the_authority_that_is_named() {
    if !crate::testbed::programs::has("openssl", "version") {
        println!("SKIPPED: no openssl here");
        return;
    }
    let authority = Authority::new("hooks");
    let made = authority.issue("hook", "subjectAltName=IP:127.0.0.1\n", 30, EC);
    let config = server(&made.cert, &made.key);
    let hook = Hook::serve(move |stream, _| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
        read(rustls::StreamOwned::new(connection, stream), "200 OK")
    });
    let place = shop();
    let url = format!("url = \"https://{}/hunter2\"\n", hook.address);
    let ca = authority.ca().display().to_string();
    tell(&place, &format!("[notify.ops]\n{url}ca = \"{ca}\"\n[notify.blind]\n{url}"));
    let said = hoist(&place, &["notify", "test", "ops"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(hook.came().len(), 1);
    let said = hoist(&place, &["notify", "test", "blind"]);
    assert!(said.code == 1 && said.err.contains("blind: "), "{}", said.err);
    assert_eq!(hook.came().len(), 1, "nothing was sent to whoever that is");
}

fn server(cert: &std::path::Path, key: &std::path::Path) -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::pem_file_iter(cert).expect("PEM").collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_file(key).expect("PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain.expect("PEM"), key)
        .expect("a certificate");
    Arc::new(config)
}

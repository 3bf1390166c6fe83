//! The ports of a running daemon: limits, TLS of its own, webhooks apart, and who asks from elsewhere.

use crate::http::{FORM, address, ask, get, said_address, with_token};
use crate::simulated::{all_have, base, shop};
use crate::testbed::certificates::{Authority, EC};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Whoever keeps a connection and says nothing, or says it too slowly, loses it; who tries tokens waits.
#[test]
fn nobody_keeps_the_daemon_from_others() {
    let place = shop();
    let (arguments, bearer) = with_token(&place);
    let _daemon = place.watch(&arguments.each_ref().map(String::as_str));
    let at = address(&place);
    let silent = || TcpStream::connect(&at).expect("the daemon listens");
    let (mut idle, mut slow) = (silent(), silent());
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").expect("sent");
    let tries: Vec<_> = (0..40)
        .map(|_| {
            let at = at.clone();
            std::thread::spawn(move || ask(&at, "POST", "/login", &[FORM], "token=no").status)
        })
        .collect();
    let tried: Vec<u16> = tries.into_iter().map(|one| one.join().expect("an answer")).collect();
    assert!(tried.contains(&401) && tried.contains(&429), "{tried:?}");
    assert_eq!(ask(&at, "GET", "/readyz", &[&bearer], "").status, 200, "others are answered");
    for stream in [&mut idle, &mut slow] {
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).expect("it is closed, not left open");
        assert!(!String::from_utf8_lossy(&rest).contains("alive"));
    }
    // So many listen that one more is told to do without, and is answered all the same.
    let mut listening = Vec::new();
    for _ in 0..128 {
        let mut one = silent();
        let request = format!("GET /events HTTP/1.1\r\nHost: {at}\r\n{bearer}\r\n\r\n");
        one.write_all(request.as_bytes()).expect("sent");
        one.read_exact(&mut [0; 12]).expect("an answer begins");
        listening.push(one);
    }
    assert_eq!(ask(&at, "GET", "/events", &[&bearer], "").status, 503);
    assert_eq!(get(&at, "/healthz").status, 200);
}

/// Webhooks come in elsewhere, under any name, and find nothing else there.
#[test]
fn hooks_are_taken_apart() {
    let place = shop();
    std::fs::write(place.path("secret"), "hush hush").expect("a file");
    let secret = place.path("secret").display().to_string();
    let _daemon = place.watch(&["--hooks-listen", "127.0.0.1:0", "--hook-secret-file", &secret]);
    let at = address(&place);
    let hooks = said_address(&place, "webhooks are taken at http://").replace("/hooks/git", "");
    place.until("it accepted", || get(&at, "/api/v1/fleet").status == 200);
    let hook = |at: &str, token: &str| {
        let headers = [&format!("X-Gitlab-Token: {token}"), "Host: hooks.example"];
        ask(at, "POST", "/hooks/git", &headers, "{}").status
    };
    assert_eq!(
        (hook(&hooks, "hush hush"), hook(&hooks, "no"), hook(&at, "hush hush")),
        (202, 401, 404)
    );
    for path in ["/", "/api/v1/fleet", "/metrics", "/login"] {
        assert_eq!(get(&hooks, path).status, 404, "{path}");
    }
}

/// CI asks the control host itself, over its own TLS, with the token.
#[test]
fn a_diff_takes_what_the_server_says_over_its_own_certificate() {
    let place = shop();
    let authority = Authority::new("ours");
    let server = authority.server("host");
    let (token, _) = with_token(&place);
    let path = |path: &std::path::Path| path.display().to_string();
    let own = ["--tls-cert", &path(&server.cert), "--tls-key", &path(&server.key)];
    let all = [&own[..], &token.each_ref().map(String::as_str)[..]].concat();
    let _daemon = place.watch(&all);
    place.until("the first commit", || all_have(&place, "web:1"));
    let at = said_address(&place, "the page is at https://");
    place.put("deployments/base.toml", &base("2"));
    let diff = |server: &str, ca: &str, arguments: &[&str]| {
        let fleet = path(&place.fleet());
        let all = [&["-C", &fleet, "diff", "in-force", "--server", server], arguments].concat();
        let output = place.hoist(&all).env("SSL_CERT_FILE", ca).output().expect("hoist");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (https, ca) = (format!("https://{at}"), path(&authority.ca()));
    let token = token.each_ref().map(String::as_str);
    place.until("it says what is in force", || diff(&https, &ca, &token).1.contains("web:1"));
    let (code, words) = diff(&https, &ca, &token);
    assert!(code == Some(2) && words.contains("web:2"), "{code:?} {words}");
    let (code, words) = diff(&https, &ca, &[]);
    assert!(code == Some(1) && words.contains("--token-file names"), "{words}");
    let (code, words) = diff(&https, &path(&Authority::new("other").ca()), &token);
    assert!(
        code == Some(1) && words.contains("of no authority that this machine trusts"),
        "{words}"
    );
    let by_name = https.replace("127.0.0.1", "localhost");
    let (code, words) = diff(&by_name, &ca, &token);
    assert!(code == Some(1) && words.contains("for another name or address"), "{words}");
    let (code, words) = diff(&format!("http://{at}"), &ca, &token);
    assert_eq!(code, Some(1), "nothing goes in the clear: {words}");
    let plain = crate::place::Place::new(&[("fleet.toml", "name = \"plain\"\n")]);
    let _other = plain.watch(&[]);
    let at = crate::http::address(&plain);
    let (code, words) = diff(&format!("https://{at}"), &ca, &token);
    assert!(code == Some(1) && words.contains("what listens there speaks no TLS"), "{words}");

    // A renewed certificate is shown without a restart; one that is half written changes nothing.
    let newer = Authority::new("newer");
    let renewed = newer.server("host");
    std::fs::write(&server.cert, "half").expect("written");
    assert_eq!(diff(&https, &ca, &token).0, Some(2));
    std::fs::copy(&renewed.cert, &server.cert).expect("written");
    std::fs::copy(&renewed.key, &server.key).expect("written");
    let (code, words) = diff(&https, &path(&newer.ca()), &token);
    assert_eq!(code, Some(2), "{words}");
}

/// As `openssl req -x509` makes one in one go.
#[test]
fn a_certificate_of_an_authority_is_told_from_one_to_show() {
    let place = shop();
    let authority = Authority::new("localhost");
    let path = |path: &std::path::Path| path.display().to_string();
    let (cert, key) = (path(&authority.ca()), path(&authority.path("ca.key")));
    let _daemon = place.watch(&["--tls-cert", &cert, "--tls-key", &key]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let https = format!("https://{}", said_address(&place, "the page is at https://"));
    let fleet = path(&place.fleet());
    let mut diff = place.hoist(&["-C", &fleet, "diff", "in-force", "--server", &https]);
    let output = diff.env("SSL_CERT_FILE", &cert).output().expect("hoist");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("not usable: it is the certificate of an authority"), "{words}");
}

/// Who renews a certificate at night reads what is wrong with it, and a daemon is not kept from its devices by it.
#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let place = shop();
    let authority = Authority::new("ours");
    let (one, other) = (authority.server("one"), authority.server("other"));
    let (token, _) = with_token(&place);
    let path = |path: &std::path::Path| path.display().to_string();
    let own = |cert: &std::path::Path, key: &std::path::Path| {
        let own = ["--tls-cert".to_owned(), path(cert), "--tls-key".to_owned(), path(key)];
        [&own[..], &token[..]].concat()
    };
    let watch = |arguments: &[String]| {
        place.watch(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (code, words) = watch(&own(&one.cert, &other.key)).ends();
    let told =
        format!("{}: it does not belong to the certificate {}", path(&other.key), path(&one.cert));
    assert!(code == 1 && words.contains(&told), "{words}");
    let plain = authority.without_extensions("plain");
    let (code, words) = watch(&own(&plain.cert, &plain.key)).ends();
    let told = format!("{}: it is an X.509 certificate of version 1", path(&plain.cert));
    assert!(code == 1 && words.contains(&told), "{words}");
    let past = authority.issue("past", "subjectAltName=IP:127.0.0.1\n", -1, EC);
    let daemon = watch(&own(&past.cert, &past.key));
    place.until("the first commit", || all_have(&place, "web:1"));
    let log = std::fs::read_to_string(place.path("log")).expect("a log");
    assert!(log.contains("the certificate that is shown has expired"), "{log}");
    let read_by_all = |log: &str, file: &std::path::Path| {
        let words = format!("every user of this machine can read this secret file={}", path(file));
        log.contains(&words)
    };
    assert!(!read_by_all(&log, &past.key), "openssl makes keys private: {log}");
    daemon.stop();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&one.key, everybody).expect("set");
    let daemon = watch(&own(&one.cert, &one.key));
    let log = || std::fs::read_to_string(place.path("log")).unwrap_or_default();
    place.until("it is said whose key it is", || read_by_all(&log(), &one.key));
    daemon.stop();
}

//! tcp with mutual TLS: a dockerd with `--tlsverify` and certificates by `openssl`.

use crate::control::ControlHost;
use crate::testbed::certificates::{Authority, Certificate, EC, ED25519, RSA};
use crate::testbed::programs::{Supervised, free_port, wait_for_port};
use crate::testbed::relay::Relay;
use crate::testbed::{Dockerd, dockerd_with};
use crate::{connect, list, median, refusal, runtime};
use futures_util::StreamExt as _;
use hoist::engine::docker::{Access, ClientIdentity};
use hoist::engine::{Cause, Engine};

fn access(authority: &Authority, certificate: &Certificate) -> Access {
    let identity = ClientIdentity {
        ca: authority.ca(),
        cert: certificate.cert.clone(),
        key: certificate.key.clone(),
    };
    Access { tls: Some(identity), ssh_config: None }
}

struct Secured {
    engine: Dockerd,
    authority: Authority,
    port: u16,
}

fn secured() -> Option<Secured> {
    let authority = Authority::new("site");
    let Certificate { cert, key } = authority.server("engine");
    let port = free_port();
    let arguments = [
        format!("--host=tcp://127.0.0.1:{port}"),
        "--tlsverify".to_owned(),
        format!("--tlscacert={}", authority.ca().display()),
        format!("--tlscert={}", cert.display()),
        format!("--tlskey={}", key.display()),
    ];
    let engine = dockerd_with(&arguments)?;
    Some(Secured { engine, authority, port })
}

#[test]
fn mutual_tls() {
    let Some(secured) = secured() else { return };
    runtime().block_on(async {
        connections_are_kept(&secured).await;
        every_kind_of_key(&secured).await;
        wrong_certificates_of_ours(&secured).await;
        wrong_certificates_of_engines(&secured).await;
    });
    by_name_from_hoist_toml(&secured);
}

async fn connections_are_kept(Secured { authority, port, .. }: &Secured) {
    let relay = Relay::before(*port);
    let access = access(authority, &authority.client("control"));
    let docker = connect(&format!("tcp://127.0.0.1:{}", relay.port), access);
    for _ in 0..20 {
        list(&docker).await.unwrap();
    }
    assert_eq!(relay.connections(), 1, "twenty calls one after the other");
    let all = futures_util::future::join_all((0..40).map(|_| list(&docker))).await;
    assert!(all.iter().all(Result::is_ok));
    let after = relay.connections();
    assert!(after <= 1 + 16, "{after} connections for forty calls at once");
    println!("tls: p50 {} µs a list; {after} connections for 40 at once", median(&docker).await);
    // A stream that breaks ends, and says so; a call begins anew.
    let mut events = docker.events(&["f".to_owned()]).await.unwrap();
    relay.cut();
    let end = tokio::time::timeout(std::time::Duration::from_secs(5), events.next()).await.unwrap();
    assert!(end.unwrap().is_err());
    assert!(events.next().await.is_none());
    list(&docker).await.unwrap();
    assert_eq!(docker.facts().await.unwrap().api_version, "1.41");
}

async fn every_kind_of_key(Secured { authority, port, .. }: &Secured) {
    let usage = "extendedKeyUsage=clientAuth\n";
    for (name, kind) in [("ec", EC), ("rsa", RSA), ("ed", ED25519)] {
        let certificate = authority.issue(name, usage, 3, kind);
        let docker = connect(&format!("tcp://127.0.0.1:{port}"), access(authority, &certificate));
        list(&docker).await.unwrap();
    }
    // As older tools write RSA keys.
    let certificate = authority.issue("old", usage, 3, RSA);
    let old = Certificate { key: authority.path("old-form.key"), ..certificate.clone() };
    let (from, to) = (certificate.key.display().to_string(), old.key.display().to_string());
    crate::testbed::certificates::openssl(&["rsa", "-traditional", "-in", &from, "-out", &to]);
    let docker = connect(&format!("tcp://127.0.0.1:{port}"), access(authority, &old));
    list(&docker).await.unwrap();
}

async fn wrong_certificates_of_ours(Secured { authority, port, .. }: &Secured) {
    let address = format!("tcp://127.0.0.1:{port}");
    let good = authority.client("good");
    let with = |certificate: &Certificate| connect(&address, access(authority, certificate));

    let expired = authority.issue("expired", "extendedKeyUsage=clientAuth\n", -1, EC);
    let (cause, words) = refusal(&with(&expired)).await;
    assert_eq!(cause, Some(Cause::ClientExpired));
    assert!(words.contains("expired.pem expired 20"), "{words}");

    let (cause, words) = refusal(&with(&authority.without_extensions("plain"))).await;
    assert_eq!(cause, Some(Cause::ClientFiles), "{words}");
    assert!(words.contains("plain.pem: it is an X.509 certificate of version 1"), "{words}");

    let other_key = Certificate { key: expired.key.clone(), ..good.clone() };
    let (cause, words) = refusal(&with(&other_key)).await;
    assert_eq!(cause, Some(Cause::KeyMismatch));
    assert!(words.contains("does not belong to the certificate"), "{words}");

    let absent = Certificate { cert: authority.path("absent.pem"), ..good.clone() };
    let (cause, words) = refusal(&with(&absent)).await;
    assert_eq!(cause, Some(Cause::ClientFiles));
    assert!(words.contains("absent.pem: No such file"), "{words}");

    let strangers = Authority::new("strangers");
    let foreign = strangers.client("foreign");
    let (cause, words) = refusal(&with(&foreign)).await;
    assert_eq!(cause, Some(Cause::ClientRefused));
    assert!(words.contains("does not accept our client certificate"), "{words}");

    let (cause, words) = refusal(&connect(&address, access(&strangers, &good))).await;
    assert_eq!(cause, Some(Cause::EngineUntrusted));
    assert!(words.contains("not of the authority in `ca`"), "{words}");

    let by_name = connect(&format!("tcp://localhost:{port}"), access(authority, &good));
    let (cause, words) = refusal(&by_name).await;
    assert_eq!(cause, Some(Cause::EngineNameMismatch));
    assert!(words.contains("another name or address"), "{words}");

    let plain = connect(&address, Access::default());
    let (cause, words) = refusal(&plain).await;
    assert_eq!(cause, Some(Cause::WantsTls));
    assert!(words.contains("speaks TLS, and the device's file names none"), "{words}");

    let unknown = connect("tcp://nowhere.invalid:2376", access(authority, &good));
    assert_eq!(refusal(&unknown).await.0, Some(Cause::NameUnknown));
    let nobody = connect("tcp://127.0.0.1:1", access(authority, &good));
    assert_eq!(refusal(&nobody).await.0, Some(Cause::NothingListens));
}

/// Servers of `openssl`, as a handshake is all that it comes to.
async fn wrong_certificates_of_engines(Secured { authority, .. }: &Secured) {
    let good = authority.client("good");
    let names = "subjectAltName=IP:127.0.0.1\n";
    for (name, extensions, days, cause) in [
        ("past", names, -1, Cause::EngineExpired),
        ("other", "subjectAltName=DNS:other.example\n", 3, Cause::EngineNameMismatch),
        ("none", "basicConstraints=CA:FALSE\n", 3, Cause::EngineNameMismatch),
    ] {
        let Certificate { cert, key } = authority.issue(name, extensions, days, EC);
        let port = free_port();
        let accept = format!("127.0.0.1:{port}");
        let (cert, key) = (cert.display().to_string(), key.display().to_string());
        let program =
            ["openssl", "s_server", "-www", "-accept", &accept, "-cert", &cert, "-key", &key];
        let log = authority.path("s_server");
        let _running = Supervised::start(&program, &log);
        wait_for_port(port, &log);
        let docker = connect(&format!("tcp://{accept}"), access(authority, &good));
        assert_eq!(refusal(&docker).await.0, Some(cause), "{name}");
    }
    // Something else listens there.
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in plain.incoming().flatten() {
            let _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
            let _ = std::io::Write::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.2\r\n");
        }
    });
    let docker = connect(&format!("tcp://127.0.0.1:{port}"), access(authority, &good));
    assert_eq!(refusal(&docker).await.0, Some(Cause::NotTls));
}

fn by_name_from_hoist_toml(Secured { engine, authority, port }: &Secured) {
    engine.load_image("test/app:1", &[], &["sh", "-c", "echo up; exec sleep 100000"]);
    let good = authority.client("by-name");
    let control = ControlHost::new();
    let tls = format!(
        "[tls.site-a]\nca = \"{}\"\ncert = \"{}\"\nkey = \"{}\"\n",
        authority.ca().display(),
        good.cert.display(),
        good.key.display()
    );
    let device = |tls: &str| {
        control
            .write("fleet/devices/d1.toml", &format!("engine = \"tcp://127.0.0.1:{port}\"\n{tls}"));
    };
    control.write(
        "fleet/deployments/base.toml",
        "target = \"deviceId = 'd1'\"\n[modules.app]\nimage = \"test/app:1\"\n",
    );
    control.write("hoist.toml", &tls);
    device("tls = \"site-a\"\n");
    control.apply().expect(0);
    assert_eq!(control.device("d1")["status"]["code"], 200);
    assert!(control.hoist(&["logs", "d1", "app", "--worktree"]).expect(0).stdout.contains("up\n"));

    device("tls = \"site-b\"\n");
    control.apply().expect(4);
    let status = control.device("d1")["status"].clone();
    assert_eq!(status["code"], 406);
    assert!(status["description"].as_str().unwrap().contains("no `[tls.site-b]`"), "{status}");

    control.write("hoist.toml", &format!("[engines]\nallow = [\"tcp://127.0.0.2/32:*\"]\n{tls}"));
    device("tls = \"site-a\"\n");
    control.apply().expect(4);
    let status = control.device("d1")["status"].clone();
    assert!(status["description"].as_str().unwrap().contains("not allowed by"), "{status}");
}

/// What the documentation tells people to type makes certificates that both sides accept.
#[test]
fn the_commands_of_the_documentation() {
    if !crate::testbed::programs::has("openssl", "version") {
        println!("SKIPPED: no openssl here");
        return;
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/control-host.md")).unwrap();
    let blocks: Vec<&str> = document
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|block| block.starts_with("openssl"))
        .collect();
    assert_eq!(blocks.len(), 3);
    let dir = tempfile::tempdir().unwrap();
    for block in blocks {
        let output = std::process::Command::new("sh")
            .args(["-ec", block])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let path = |name: &str| dir.path().join(name);
    let text = |name: &str| path(name).display().to_string();
    let port = free_port();
    let accept = format!("127.0.0.1:{port}");
    let (cert, key, ca) = (text("engine.pem"), text("engine.key"), text("ca.pem"));
    let program = [
        "openssl",
        "s_server",
        "-www",
        "-accept",
        &accept,
        "-cert",
        &cert,
        "-key",
        &key,
        "-CAfile",
        &ca,
        "-Verify",
        "1",
        "-verify_return_error",
    ];
    let _running = Supervised::start(&program, &path("log"));
    wait_for_port(port, &path("log"));
    let identity =
        ClientIdentity { ca: path("ca.pem"), cert: path("cert.pem"), key: path("key.pem") };
    let access = Access { tls: Some(identity), ssh_config: None };
    let docker = connect(&format!("tcp://{accept}"), access);
    let (_, words) = runtime().block_on(refusal(&docker));
    // Beyond TLS it is no engine.
    assert!(words.contains("the engine answers nonsense"), "{words}");
}

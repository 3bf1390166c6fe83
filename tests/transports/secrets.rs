//! A module's secret: in its environment, and nowhere else.

use crate::control::ControlHost;
use crate::testbed::dockerds;
use crate::testbed::registry::base64;
use std::path::Path;

const FIRST: &str = "s3cr\"et/+?ß-one";
const SECOND: &str = "s3cr\"et/+?ß-two";

/// A secret as it is, in JSON, in a URL, and in base64 in both alphabets.
fn disguises(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap();
    let url = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let encoded = base64(secret.as_bytes()).trim_end_matches('=').to_owned();
    vec![
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        secret.bytes().map(url).collect(),
        encoded.replace('-', "+").replace('_', "/"),
        encoded,
    ]
}

fn assert_absent(text: &[u8], place: &str) {
    for secret in [FIRST, SECOND] {
        for disguise in disguises(secret) {
            let found = text.windows(disguise.len()).any(|piece| piece == disguise.as_bytes());
            assert!(!found, "{place} holds {disguise}");
        }
    }
}

fn assert_absent_below(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            assert_absent_below(&path);
        } else {
            assert_absent(&std::fs::read(&path).unwrap(), &path.display().to_string());
        }
    }
}

#[test]
fn a_secret_is_in_the_environment_and_nowhere_else() {
    let Some(engines) = dockerds(1) else { return };
    let engine = &engines[0];
    // A module that tells all it knows, and fails.
    let tells = r#"t=$(printf %s "$TOKEN" | sed 's/"/\\"/g'); printf '{"told": "of %s"}' "$t" >/run/hoist/out/reported.json"#;
    let app = format!("{tells}; exec sleep 100000");
    engine.load_image("test/app:1", &[], &["sh", "-c", &app]);
    engine.load_image("test/chatty:1", &[], &["sh", "-c", "echo \"$TOKEN\"; exit 3"]);
    let mut control = ControlHost::new();
    control.set_variable("HOIST_LOG", "trace");
    control.set_variable("API", FIRST);
    control.write("hoist.toml", "[secrets.api]\npassword = { env = \"API\" }\n");
    control.write(
        "fleet/fleet.toml",
        "name = \"towers\"\n[reported-properties]\ntoken = \"app.told\"\n",
    );
    control.write("fleet/devices/d1.toml", &format!("engine = \"{}\"\n", engine.address()));
    let deployment = |image: &str| {
        format!(
            "target = \"deviceId = 'd1'\"\n[modules.app]\nimage = \"{image}\"\n\
             image-pull-policy = \"never\"\n[modules.app.env]\nTOKEN = {{ secret = \"api\" }}\n"
        )
    };
    control.write("fleet/deployments/base.toml", &deployment("test/app:1"));
    let saved = control.path("plan.json").display().to_string();
    control.hoist(&["plan", "--worktree", "--steps", "--out", &saved]).expect(2);
    assert_absent(&std::fs::read(&saved).unwrap(), "the saved plan");
    control.hoist(&["plan", "--worktree", "--format", "json"]).expect(2);
    control.apply().expect(0);
    let environment =
        |engine: &crate::testbed::Dockerd| engine.inspect("app")["Config"]["Env"].to_string();
    assert!(environment(engine).contains("one"));
    let id = engine.inspect("app")["Id"].clone();
    let before = engine.inspect("app")["Config"]["Labels"]["hoist.spec"].clone();
    assert_absent(engine.inspect("app")["Config"]["Labels"].to_string().as_bytes(), "a label");
    control.apply().expect(0);
    assert_eq!(engine.inspect("app")["Id"], id, "the same value changes nothing");
    let report =
        control.hoist(&["query", "SELECT properties.reported.token FROM devices"]).expect(0);
    assert!(report.stdout.contains("of …"), "{}", report.stdout);

    // Another value is another specification, told without either.
    control.set_variable("API", SECOND);
    let plan = control.hoist(&["plan", "--worktree"]).expect(2);
    assert!(plan.stdout.contains("replace"), "{}", plan.stdout);
    control.apply().expect(0);
    assert!(environment(engine).contains("two"));
    assert_ne!(engine.inspect("app")["Config"]["Labels"]["hoist.spec"], before);

    // What a failing module wrote is shown, but for what it was given.
    control.write("fleet/deployments/base.toml", &deployment("test/chatty:1"));
    let said = control.hoist(&["apply", "--worktree", "--yes", "--format", "json"]).expect(5);
    assert!(said.stdout.contains("its last words"), "{}", said.stdout);
    // So is what its health check says.
    let health = "[modules.app.health]\ncommand = [\"CMD-SHELL\", \"echo told $TOKEN; exit 1\"]\n\
                  interval = \"1s\"\nretries = 1\n";
    control.write("fleet/deployments/base.toml", &(deployment("test/app:1") + health));
    let said = control.hoist(&["apply", "--worktree", "--yes", "--format", "json"]).expect(5);
    assert!(said.stdout.contains("is unhealthy: told …"), "{}", said.stdout);
    control.hoist(&["status", "--format", "json"]);
    control.hoist(&["diff", "--format", "json"]);
    control.hoist(&["manifest", "d1"]).expect(0);
    control.hoist(&["explain", "d1"]).expect(0);
    control.write("fleet/deployments/base.toml", &deployment("test/app:1"));
    control.apply().expect(0);
    control.hoist(&["restart", "d1", "app", "--worktree"]).expect(0);

    assert_absent(control.printed().as_bytes(), "what was printed");
    assert_absent_below(&control.path("state"));
    missing_ones(&control, engine);
}

/// A value that can't be had holds the module as it is, and says why.
fn missing_ones(control: &ControlHost, engine: &crate::testbed::Dockerd) {
    let id = engine.inspect("app")["Id"].clone();
    // A file that everybody may read is used, and spoken of.
    control.write("api", FIRST);
    let file = control.path("api").display().to_string();
    control.write("hoist.toml", &format!("[secrets.api]\npassword = {{ file = \"{file}\" }}\n"));
    let said = control.hoist(&["plan", "--worktree"]);
    assert!(said.stderr.contains("every user of this machine can read this secret"), "{said:?}");
    assert_absent(said.stderr.as_bytes(), "the log");

    let begun = std::time::Instant::now();
    for (password, words) in [
        ("{ env = \"UNSET\" }", "the variable UNSET is not set"),
        ("{ file = \"/nonexistent/api\" }", "/nonexistent/api: No such file"),
        ("{ command = \"exit 7\" }", "/bin/sh failed: exit status: 7"),
        ("{ command = [\"/nonexistent/vault\"] }", "cannot run /nonexistent/vault"),
        ("{ command = [\"sleep\", \"600\"] }", "sleep took longer than 10 s"),
    ] {
        control.write("hoist.toml", &format!("[secrets.api]\npassword = {password}\n"));
        control.apply().expect(5);
        let status = control.device("d1")["status"].clone();
        assert!(status.to_string().contains(words), "{status}");
        assert_eq!(engine.inspect("app")["Id"], id, "the module stays as it is");
    }
    assert!(begun.elapsed().as_secs() < 25, "{:?}", begun.elapsed());
}

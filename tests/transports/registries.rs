//! A private registry: its credentials, and what can go wrong with pulls.

use crate::control::ControlHost;
use crate::testbed::programs::skip_without;
use crate::testbed::registry::{self, Registry, USER};
use crate::testbed::{Dockerd, dockerds};
use serde_json::Value as Json;

const PASSWORD: &str = "c0rrect-h0rse/9+ü";

struct Stage {
    engine: Dockerd,
    registry: Registry,
    control: ControlHost,
}

impl Stage {
    /// Wants another image, and applies that.
    fn apply(&self, image: &str, code: i32) -> Json {
        self.control.write(
            "fleet/deployments/base.toml",
            &format!(
                "target = \"deviceId = 'd1'\"\n[modules.app]\nimage = \"127.0.0.1:{}/{image}\"\n\
                 image-pull-policy = \"always\"\n",
                self.registry.port
            ),
        );
        let said = self.control.apply().expect(code);
        let status = self.control.device("d1")["status"].clone();
        if code != 0 {
            let words = status["description"].as_str().unwrap();
            let reason = words.rsplit("could not pull").next().unwrap();
            assert!(said.stdout.contains(reason.trim()), "{reason}\n{said:?}");
        }
        status
    }

    fn secret(&self, rest: &str) {
        let text = format!("[secrets.puller]\nusername = \"{USER}\"\n{rest}");
        self.control.write("hoist.toml", &text);
    }

    #[track_caller]
    fn fails(&self, image: &str, words: &str) {
        let status = self.apply(image, 5);
        assert_eq!(status["code"], 424, "{status}");
        assert!(status["description"].as_str().unwrap().contains(words), "{words}\n{status}");
    }
}

#[test]
fn a_private_registry() {
    if skip_without(registry::missing()).is_none() {
        return;
    }
    let Some(mut engines) = dockerds(1) else { return };
    let engine = engines.remove(0);
    let registry = Registry::start(PASSWORD);
    let port = registry.port;
    engine.load_image("test/app:1", &[], &["sh", "-c", "exec sleep 100000"]);
    for name in ["app", "broken"] {
        engine.push("test/app:1", &format!("127.0.0.1:{port}/{name}:1"), &registry.auth(PASSWORD));
    }
    engine.forget_image("test/app:1");
    let control = ControlHost::new();
    control.write(
        "fleet/fleet.toml",
        &format!(
            "name = \"f\"\n[defaults]\nprobation = \"300ms\"\n\
             [registries.\"127.0.0.1:{port}\"]\ncredentials = \"puller\"\n"
        ),
    );
    control.write("fleet/devices/d1.toml", &format!("engine = \"{}\"\n", engine.address()));
    let mut stage = Stage { engine, registry, control };
    without_credentials(&stage);
    with_wrong_ones(&stage);
    with_right_ones(&mut stage);
    let printed = stage.control.printed();
    assert!(!printed.contains(PASSWORD), "{printed}");
}

fn without_credentials(stage: &Stage) {
    let port = stage.registry.port;
    stage.fails("app:1", "the control host's hoist.toml has no secret `puller`");
    stage.secret(
        "password = { file = \"/nonexistent/password\" }\nregistries = [\"127.0.0.1:1\"]\n",
    );
    stage.fails("app:1", "secret `puller` is not for this registry");
    stage.secret("password = { env = \"X\" }\ndevices = \"deviceId = 'd2'\"\n");
    stage.fails("app:1", "secret `puller` is not for this device");
    let registries = format!("registries = [\"127.0.0.1:{port}\"]\n");
    stage.secret(&format!("password = {{ file = \"/nonexistent/password\" }}\n{registries}"));
    stage.fails("app:1", "/nonexistent/password: No such file");
    stage.secret(&format!("password = {{ command = \"exit 3\" }}\n{registries}"));
    stage.fails("app:1", "/bin/sh failed: exit status: 3");
    stage.secret(&format!("password = {{ env = \"UNSET\" }}\n{registries}"));
    stage.fails("app:1", "the variable UNSET is not set");
}

fn with_wrong_ones(stage: &Stage) {
    let registries = format!("registries = [\"127.0.0.1:{}\"]\n", stage.registry.port);
    stage.control.write("wrong", "wrong-password\n");
    let file = stage.control.path("wrong");
    stage.secret(&format!("password = {{ file = \"{}\" }}\n{registries}", file.display()));
    stage.fails("app:1", "the registry refuses the credentials");
}

fn with_right_ones(stage: &mut Stage) {
    let registries = format!("registries = [\"127.0.0.1:{}\"]\n", stage.registry.port);
    stage.secret(&format!(
        "password = {{ command = [\"printf\", \"%s\", \"{PASSWORD}\"] }}\n{registries}"
    ));
    stage.fails("nope:1", "the registry has no such image or tag");
    stage.fails("app:9", "the registry has no such image or tag");
    let digest = format!("app@sha256:{}", "0".repeat(64));
    stage.fails(&digest, "the registry has no image with this digest");
    assert_eq!(stage.apply("app:1", 0)["code"], 200);
    stage.registry.stop();
    stage.fails("app:2", "the device does not reach the registry");
    assert_eq!(stage.apply("app:1", 0)["code"], 200, "what runs goes on without the registry");
    stage.registry.start_again();
    stage.registry.damage_layers();
    stage.fails_after_forgetting("broken:1", "the registry's copy is broken");
}

impl Stage {
    /// Layers that the engine has already it would not ask for.
    fn fails_after_forgetting(&self, image: &str, words: &str) {
        self.control.write("fleet/deployments/base.toml", "target = \"deviceId = 'd1'\"\n");
        self.control.apply().expect(0);
        self.engine.forget_image(&format!("127.0.0.1:{}/app:1", self.registry.port));
        self.fails(image, words);
    }
}

//! `hoist import azure`: the way over from Azure IoT Edge, and `hoist manifest --format azure`, the way back.

use crate::stage::Stage;

const TEMPLATE: &str = r#"{
  // made by hand
  "$schema-template": "4.0.0",
  "modulesContent": {
    "$edgeAgent": {"properties.desired": {
      "schemaVersion": "1.0",
      "runtime": {"type": "docker", "settings": {"minDockerVersion": "v1.25", "loggingOptions": "",
        "registryCredentials": {"puller": {"address": "registry.example.com", "username": "joe", "password": "hunter2"}}}},
      "systemModules": {
        "edgeAgent": {"type": "docker", "settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.4", "createOptions": {}}},
        "edgeHub": {"type": "docker", "status": "running", "restartPolicy": "always",
          "settings": {"image": "mcr.microsoft.com/azureiotedge-hub:1.4", "createOptions": {}}}
      },
      "modules": {
        "camera": {"version": "1.0", "type": "docker", "status": "running", "restartPolicy": "always",
          "env": {"LEVEL": {"value": "info"}, "FPS": {"value": 12}},
          "settings": {"image": "${MODULES.camera}", "createOptions": {"Env": ["LEVEL=debug"],
            "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}, "Binds": ["/var/run/iotedge/workload.sock:/w.sock"], "IpcMode": "host"}}}},
        "web": {"type": "docker", "status": "running", "settings": {"image": "web:1.0"}},
      }
    }},
    "$edgeHub": {"properties.desired": {"schemaVersion": "1.0",
      "routes": {"up": "FROM /messages/modules/camera/outputs/* INTO $upstream"},
      "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}},
    "camera": {"properties.desired": {"SendInterval": 5}}
  }
}
"#;
const TWINS: &str = r#"[{"deviceId": "lobby", "tags": {"environment": "prod"}, "properties": {"reported": {"$version": 1}}}]"#;

fn show(stage: &mut Stage, path: &str) {
    let text = stage.read(path);
    stage.tell(&format!("cat {path}\n{text}"));
}

#[test]
fn a_template_goes_over_and_comes_back() {
    let mut stage = Stage::empty();
    stage.put("deployment.template.json", TEMPLATE);
    stage.put("twins.json", TWINS);
    let import = [
        "import",
        "azure",
        "deployment.template.json",
        "--devices",
        "twins.json",
        "--engine",
        "ssh://hoist@{deviceId}",
        "--out",
        "fleet",
    ];
    stage.hoist(&import);
    for path in [
        "fleet/fleet.toml",
        "fleet/devices/lobby.toml",
        "fleet/deployments/deployment.template.toml",
    ] {
        show(&mut stage, path);
    }
    stage.hoist(&["-C", "fleet", "validate"]);
    stage.hoist(&import);
    let mut filled = import.to_vec();
    filled.splice(
        7..,
        [
            "--set",
            "MODULES.camera=registry.example.com/camera:1.4.2",
            "--set",
            "TYPO=x",
            "--out",
            "filled",
        ],
    );
    stage.hoist(&filled);
    stage.edit(
        "filled/deployments/deployment.template.toml",
        "created =",
        "target = \"*\"\ncreated =",
    );
    stage.hoist(&["-C", "filled", "manifest", "lobby", "--format", "azure"]);
    stage.done("a_template_goes_over_and_comes_back");
}

#[test]
fn what_is_wrong_writes_nothing() {
    let mut stage = Stage::empty();
    stage.put("broken.json", "{\"modulesContent\": {\n  \"$edgeAgent\": }\n}\n");
    stage.put("good.json", TEMPLATE);
    stage.put("bare.json", "{\"modulesContent\": {\"$edgeAgent\": {}, \"cam\": {\"properties.desired\": {\"x\": ${X}}}}}");
    stage.hoist(&["import", "azure", "good.json", "broken.json", "bare.json", "--out", "fleet"]);
    stage.hoist(&["import", "azure", "missing.json", "--out", "fleet"]);
    stage.hoist(&["import", "azure", "good.json", "--set", "X", "--out", "fleet"]);
    stage.hoist(&[
        "import",
        "azure",
        "good.json",
        "--engine",
        "ssh://{deviceId}",
        "--out",
        "fleet",
    ]);
    assert!(!stage.root().join("fleet/fleet").exists());
    stage.done("what_is_wrong_writes_nothing");
}

#[test]
fn the_report_is_there_for_programs() {
    let stage = Stage::empty();
    stage.put("site.json", TEMPLATE);
    let report = stage
        .quiet_hoist(&["import", "azure", "site.json", "--out", "fleet", "--format", "json"])
        .json();
    assert_eq!(report["format"], 1);
    assert_eq!(report["files"], serde_json::json!(["deployments/site.toml", "fleet.toml"]));
    let modules = report["deployments"][0]["modules"].clone();
    assert_eq!(modules[0]["verdict"], "needs-edge-hub");
    assert_eq!(
        modules[1],
        serde_json::json!({"name": "web", "verdict": "runs-as-is", "reasons": []})
    );
    assert_eq!(report["placeholders"][0]["name"], "MODULES.camera");
    assert_eq!(report["registries"][0]["credentials"], "puller");
    assert!(!report.to_string().contains("hunter2"));
}

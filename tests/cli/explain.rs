//! `hoist explain`: every fate of a deployment, every nearest miss, every setter.

use crate::stage::Stage;

#[test]
fn what_became_of_every_deployment() {
    let mut stage = Stage::new();
    let file = |stage: &Stage, name: &str, head: &str| {
        let module = "[modules.web]\npatch = true\nenv = { A = \"1\" }\n";
        let body =
            if head.contains("layered") { module } else { "[modules.web]\nimage = \"web:9\"\n" };
        stage.put(&format!("deployments/{name}.toml"), &format!("{head}\n{body}"));
    };
    for (name, head) in [
        ("base-eu", "target = \"tags.floor > 0\"\npriority = 60"),
        ("newer", "target = \"tags.floor = 2\"\npriority = 60\ncreated = 2026-02-01T00:00:00Z"),
        ("low", "kind = \"layered\"\ntarget = \"tags.floor = 2\"\npriority = 5"),
        ("high", "kind = \"layered\"\ntarget = \"tags.floor = 2\"\npriority = 70"),
        ("own", "kind = \"device\"\ndevice = \"bench\""),
        ("nobody", "priority = 3"),
    ] {
        file(&stage, name, head);
    }
    stage.put("devices/bench.toml", "");
    let base = stage.read("deployments/base-eu.toml");
    stage.put("deployments/base-eu.toml", &format!("created = 2026-01-01T00:00:00Z\n{base}"));
    for device in ["till-2", "till-1", "bench", "door"] {
        stage.hoist(&["explain", device, "--revision", "HEAD"]);
        stage.hoist(&["explain", device]);
    }
    stage.done("explain_fates");
}

#[test]
fn the_nearest_miss() {
    let mut stage = Stage::new();
    stage.put(
        "devices/lab.toml",
        "[tags]\nenvironment = \"test\"\nring = \"stable\"\nlocation = { floor = 4 }\nlist = [1]\n\
         [reported]\nmodel = \"4000x\"\n",
    );
    for (name, target) in [
        ("a-two", "tags.environment = 'prod' AND tags.ring = 'canary'"),
        ("b-one-of-two", "tags.environment = 'test' AND tags.ring = 'canary'"),
        (
            "c-shorter-branch",
            "tags.environment = 'prod' AND tags.ring = 'canary' OR tags.location.floor > 5",
        ),
        ("d-not", "NOT tags.environment = 'test' AND tags.owner != 'us'"),
        ("e-typo", "tags.rings = 'stable' AND tags.location.flor = 4"),
        (
            "f-reported",
            "properties.reported.modell = '4000x' OR properties.reported.model = '5000x'",
        ),
        ("g-other", "deviceId = 'gate'"),
        ("h-impossible", "tags.ring = 'a' AND tags.ring = 'b'"),
        ("i-in", "tags.ring IN ['canary', 'beta'] OR IS_DEFINED(tags.pilot)"),
        ("j-list", "tags.list = 1"),
        ("k-never", "false"),
    ] {
        let text = format!("target = \"{target}\"\npriority = 1\n");
        stage.put(&format!("deployments/{name}.toml"), &text);
    }
    stage.hoist(&["explain", "lab"]);
    let json = stage.quiet_hoist(&["explain", "lab", "--format", "json"]).json();
    assert_eq!(json["retained"], true);
    let of = |id: &str| {
        let all = json["deployments"].as_array().expect("a list");
        all.iter().find(|d| d["id"] == id).expect("it is there").clone()
    };
    stage.tell(&format!("the JSON of two deployments\n{:#}\n{:#}\n", of("d-not"), of("e-typo")));
    stage.done("explain_nearest");
}

#[test]
fn who_set_every_field_and_whom_it_overrode() {
    let mut stage = Stage::new();
    stage.put(
        "fleet.toml",
        "name = \"shop\"\n[defaults]\nlog = { max-size = \"5m\" }\nmemory = \"64MiB\"\n",
    );
    stage.put(
        "deployments/secure.toml",
        "kind = \"layered\"\ntarget = \"tags.secure = true\"\npriority = 20\n\n\
         [modules.web]\npatch = true\nunset = [\"ports\"]\nimage = \"web:1.5\"\n\
         env = { LEVEL = \"debug\", API_TOKEN = \"0123456789abcdef0123456789abcdef\" }\n\
         health = { command = [\"CMD\", \"/ok\"], interval = \"30s\" }\n\
         [modules.meter.desired-at.\"Limits\"]\nUpper = 9\n\
         [routes]\nup = \"FROM /messages/* INTO $upstream\"\n",
    );
    let base = stage.read("deployments/base.toml");
    let base = format!("{base}[routes]\nup = \"FROM /messages/modules/web/* INTO $upstream\"\n");
    stage.put("deployments/base.toml", &base);
    stage.hoist(&["explain", "door"]);
    for path in ["web", "web.env", "env.LEVEL", "image", "web.log.max-size", "routes", "routes.up"]
    {
        stage.hoist(&["explain", "door", path]);
    }
    for path in [
        "web.envs.LEVEL",
        "web.env.LEVL",
        "web.volumes",
        "web.ports",
        "wep.image",
        "camera",
        "web.log.max-length",
        "rutes",
        "routes.down",
        "",
    ] {
        stage.hoist(&["explain", "door", path]);
    }
    stage.hoist(&["explain", "lab", "web"]);
    stage.hoist(&["explain", "door", "routes", "--format", "json"]);
    stage.done("explain_fields");
}

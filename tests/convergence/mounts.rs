//! One path can be written in several ways, `/v` and `/v/`: engines mount one thing there.

use crate::block_on;
use crate::world::{World, manifest};
use hoist::plan::Step;
use serde_json::Value as Json;

/// The body of the one container that a plan makes.
async fn body(world: &World, more: &str) -> Json {
    let module = "target = \"*\"\n[modules.app]\nimage = \"app:1\"";
    let options = "create-options.Volumes = { \"/v\" = {} }";
    let plan = world.plan(&manifest(&format!("{module}\n{options}\n{more}"))).await;
    let mut steps = plan.works.iter().flat_map(|work| &work.steps);
    let body = steps.find_map(|step| match step {
        Step::Create { body, .. } => Some(body.clone()),
        _ => None,
    });
    body.unwrap()
}

/// The data that is there goes on where nothing else is mounted, and nowhere else.
#[test]
fn nothing_is_carried_over_to_where_the_next_one_mounts_something() {
    block_on(async {
        let mut world = World::new();
        let first = "target = \"*\"\n[modules.app]\nimage = \"app:1\"\n\
                     create-options.Volumes = { \"/v\" = {} }";
        world.pass(&manifest(first), None).await;
        let all = world.control().observed().unwrap();
        let held = all.containers[0].mounts.iter().find(|mount| mount.target == "/v").unwrap();
        let carried = format!("{}:/v", held.volume);
        for (more, is_carried) in [
            ("env.A = \"2\"", true),
            ("volumes = [\"data:/v/\"]", false),
            ("volumes = [\"data:/x/../v\"]", false),
            ("tmpfs = [\"/v/\"]", false),
            ("create-options.HostConfig.Binds = [\"data:/v/\"]", false),
            ("create-options.HostConfig.Binds = [\"/srv:/v/:ro\"]", false),
            ("create-options.HostConfig.Mounts = [{ Type = \"tmpfs\", Target = \"/v/\" }]", false),
            ("create-options.HostConfig.Tmpfs = { \"/v/\" = \"\" }", false),
            // Nobody named it, so that it is the one that is there.
            ("create-options.HostConfig.Binds = [\"/v\"]", true),
            ("create-options.HostConfig.Binds = [\"/v/\"]", true),
        ] {
            let body = body(&world, more).await;
            let binds = body["HostConfig"]["Binds"].as_array().into_iter().flatten();
            let at_v = |bind: &&Json| {
                let bind = bind.as_str().unwrap();
                let target = bind.split(':').nth(1).unwrap_or(bind);
                matches!(target, "/v" | "/v/" | "/x/../v")
            };
            let binds: Vec<&Json> = binds.filter(at_v).collect();
            assert!(binds.len() <= 1, "{more}: {binds:?}");
            assert_eq!(binds.contains(&&Json::from(&*carried)), is_carried, "{more}: {binds:?}");
        }
    });
}

/// The module's own key is over create-options, however each writes the path.
#[test]
fn the_modules_own_mount_is_over_the_one_of_its_options() {
    block_on(async {
        let more = "volumes = [\"data:/w\"]\ncreate-options.HostConfig.Binds = [\"other:/w/\"]";
        let body = body(&World::new(), more).await;
        assert_eq!(body["HostConfig"]["Binds"], serde_json::json!(["data:/w"]));
    });
}

//! The engine is killed, with its containerd and all containers, as by a machine that loses its power, in every
//! state of a replace, and comes back: the next `apply` ends where an uncut one does, what is stopped stays
//! stopped, and two of one module never run.

use crate::site::{OBEDIENT, Site};
use crate::testbed::proxy::{Trap, When};

fn state(image: &str) -> String {
    format!(
        "target = \"*\"\n\
         [modules.app]\nimage = \"{image}\"\ncommand = {OBEDIENT}\nkeep-previous = \"5m\"\n\
         [modules.still]\nimage = \"test/layer:1\"\ncommand = {OBEDIENT}\nstatus = \"stopped\"\n\
         [modules.failing]\nimage = \"test/layer:1\"\ncommand = {OBEDIENT}\nrestart-policy = \"on-failure\"\n"
    )
}

#[test]
fn a_reboot_in_any_state_of_a_replace_is_mended() {
    let Some(mut site) = Site::new(1) else { return };
    site.write("deployments/base.toml", &state("test/app:1").replace("status = \"stopped\"\n", ""));
    site.apply().expect(0);
    // Stopped by Hoist, with what its policy was.
    site.write("deployments/base.toml", &state("test/app:1"));
    site.apply().expect(0);
    assert!(site.containers(1)["still"].starts_with("exited"));
    site.write("deployments/base.toml", &state("test/app:2"));
    site.forget_requests();
    site.apply().expect(0);
    let changes = site.proxies[0].log().iter().filter(|request| request.is_change()).count();
    assert!(changes >= 7, "only {changes} changes");
    for nth in 1..=changes {
        let image = if nth % 2 == 1 { "test/app:1" } else { "test/app:2" };
        site.write("deployments/base.toml", &state(image));
        let mut run = site.apply_on_signal(&[]);
        let kill = Some(run.pid());
        let is_change = crate::testbed::proxy::Request::is_change;
        site.proxies[0].set_trap(Trap { nth, matches: is_change, when: When::After, kill });
        run.go();
        run.ended_by_itself();
        site.proxies[0].set_trap(Trap {
            nth: 0,
            matches: |_| false,
            when: When::After,
            kill: None,
        });
        site.engines[0].lose_power();
        let up = site.containers(1);
        let running: Vec<&String> = up
            .iter()
            .filter(|(_, state)| state.starts_with("running"))
            .map(|(name, _)| name)
            .collect();
        let apps = running.iter().filter(|name| name.contains("app")).count();
        assert!(apps <= 1, "after call {nth}: {up:?}");
        assert!(up["still"].starts_with("exited"), "after call {nth}: {up:?}");
        assert!(up["failing"].starts_with("running"), "after call {nth}: {up:?}");
        let said = site.apply();
        assert_eq!(said.code, 0, "after call {nth}: {said:?}");
        let now = site.containers(1);
        assert_eq!(now["app"], format!("running {image}"), "after call {nth}: {}", said.stdout);
        assert!(now["still"].starts_with("exited"), "after call {nth}: {now:?}");
        assert_eq!(now["failing"], "running test/layer:1", "after call {nth}: {now:?}");
        for name in now.keys() {
            let known = ["app", "still", "failing", "hoist-old-app"];
            assert!(known.contains(&name.as_str()), "after call {nth}: {now:?}");
        }
    }
}

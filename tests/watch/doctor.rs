//! `hoist doctor` with a real engine: what is in the way, and what helps.

use crate::by_hand::{Said, hoist};
use crate::place::Place;
use crate::testbed::dockerds;
use serde_json::{Value as Json, json};

const FLEET: &str = "name = \"shop\"\n[defaults]\nprobation = \"0s\"\nstop-timeout = \"1s\"\n";
const BASE: &str = "target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:1\"\n\
                    image-pull-policy = \"never\"\n[modules.meter]\nimage = \"meter:1\"\nimage-pull-policy = \"never\"\n";

/// A line about something: its sign and its words.
fn line<'a>(said: &'a Said, about: &str) -> &'a str {
    let is_it = |line: &&str| line.chars().skip(2).collect::<String>().starts_with(about);
    said.out.lines().find(is_it).unwrap_or_else(|| panic!("no {about} in {}{}", said.out, said.err))
}

#[test]
fn what_is_in_the_way_is_told_step_by_step() {
    let Some(mut engines) = dockerds(1) else { return };
    let engine = engines.remove(0);
    engine.load_image("web:1", &[], &["/bin/sleep", "3600"]);
    let mut place = Place::new(&[("fleet.toml", FLEET), ("deployments/base.toml", BASE)]);
    place.simulated = false;
    let address = engine.address();
    place.commit(&[
        ("devices/till.toml", &format!("engine = \"{address}\"\n")),
        ("devices/far.toml", "engine = \"unix:///nowhere/engine.sock\"\n"),
        ("devices/odd.toml", "engine = \"tcp://192.0.2.9:2376\"\n"),
    ]);
    std::fs::write(place.path("hoist.toml"), "").expect("a file");
    let fleet = place.fleet().display().to_string();
    let on = |device: &str| hoist(&place, &["-C", &fleet, "doctor", device]);

    let said = on("till");
    assert_eq!(line(&said, "way"), format!("✓ way      {address}"));
    assert!(line(&said, "answer").starts_with('✓'), "{}", said.out);
    assert!(line(&said, "version").contains("Docker Engine "), "{}", said.out);
    assert!(line(&said, "clock").starts_with('✓'), "{}", said.out);
    assert!(line(&said, "disk").contains(" are free; images take "), "{}", said.out);
    assert!(line(&said, "engine").contains("never worked with"), "{}", said.out);
    assert!(line(&said, "meter").starts_with("✗ meter    424 "), "{}", said.out);

    // Somebody else's container has a module's name.
    let foreign = engine.raw(
        "POST",
        "/containers/create?name=web",
        Some(&json!({"Image": "web:1", "HostConfig": {"NetworkMode": "none"}})),
    );
    assert_eq!(foreign.status, 201, "{}", foreign.text);
    let applied = hoist(&place, &["-C", &fleet, "apply", "--yes", "--device", "till"]);
    assert_eq!(applied.code, 5, "{}", applied.out);
    let said = on("till");
    assert_eq!(said.code, 5, "{}", said.out);
    assert!(
        line(&said, "web").starts_with("✗ web") && said.out.contains("hoist adopt"),
        "{}",
        said.out
    );
    assert!(line(&said, "meter").starts_with("✗ meter    424 "), "{}", said.out);

    assert_eq!(engine.raw("DELETE", "/containers/web?force=1", None).status, 204);
    engine.load_image("meter:1", &[], &["/bin/sleep", "3600"]);
    hoist(&place, &["-C", &fleet, "apply", "--yes", "--device", "till", "--retry"]);
    let said = on("till");
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(line(&said, "modules"), "✓ modules  all run as they should");
    assert!(line(&said, "engine").contains("the same as before"), "{}", said.out);
    hoist(&place, &["-C", &fleet, "pause", "till", "--reason", "new cables"]);
    let said = on("till");
    assert_eq!(said.code, 0, "a pause is no fault: {}{}", said.out, said.err);
    assert!(line(&said, "paused").contains("new cables"), "{}", said.out);
    hoist(&place, &["-C", &fleet, "resume", "till"]);

    // Pinned to what it has, it is not measured by what came after that.
    let pinned =
        hoist(&place, &["-C", &fleet, "pin", "HEAD", "--device", "till", "--reason", "fair"]);
    assert_eq!(pinned.code, 0, "{}{}", pinned.out, pinned.err);
    place.commit(&[("deployments/base.toml", &BASE.replace("web:1", "web:2"))]);
    let said = on("till");
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(line(&said, "pinned").contains("(fair) to "), "{}", said.out);
    assert_eq!(line(&said, "modules"), "✓ modules  all run as they should");
    hoist(&place, &["-C", &fleet, "unpin", "--device", "till"]);
    assert!(!on("till").out.contains("all run as they should"), "{}", on("till").out);

    // Nobody there; and a way that the control host does not allow.
    let said = on("far");
    assert_eq!(said.code, 4, "{}", said.out);
    assert!(line(&said, "answer").starts_with('✗') && said.out.contains("→ "), "{}", said.out);
    let said = on("odd");
    assert_eq!(said.code, 4, "{}", said.out);
    assert!(said.out.contains("hoist.toml decide that"), "{}", said.out);
    let said = hoist(&place, &["-C", &fleet, "doctor", "odd", "--format", "json"]);
    let json: Json = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((&json["device"], &json["findings"][0]["good"]), (&"odd".into(), &false.into()));
}

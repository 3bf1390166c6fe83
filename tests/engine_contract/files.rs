//! Files and volumes of containers, images and their labels.

use crate::bench::{Bench, Does, body, named, remove, start, stop};
use hoist::engine::{EngineErrorKind, FileForm, Wanted};
use hoist::model::{TwinFile, TwinSeen};
use hoist::plan::{FileEntry, Step};
use serde_json::json;

fn file(path: &str, content: &str) -> FileEntry {
    FileEntry::File { path: path.to_owned(), content: content.as_bytes().to_vec() }
}

fn link(path: &str, target: &str) -> FileEntry {
    FileEntry::Link { path: path.to_owned(), target: target.to_owned() }
}

fn write(entries: Vec<FileEntry>) -> Step {
    Step::WriteFiles { container: named("cam"), entries }
}

fn twin(n: u64) -> Vec<FileEntry> {
    let slot = format!(".desired.{}.json", n % 3);
    let content = json!({ "$version": n, "$hash": format!("v1:{n}"), "a": "b" }).to_string();
    vec![file(&slot, &content), link("desired.json", &slot)]
}

pub(crate) async fn twins_are_written_and_seen(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    let mut locked = body("test/runs:1");
    locked["HostConfig"]["ReadonlyRootfs"] = json!(true);
    locked["User"] = json!("1000");
    bench.create("cam", locked).await;
    assert_eq!(bench.detail("cam").await.twin, TwinFile::Foreign);
    let mut first = twin(1);
    first.insert(0, FileEntry::SharedFolder { path: "out".to_owned() });
    bench.run(write(first)).await;
    let seen = |n: u64| TwinFile::Ours(TwinSeen { version: n, hash: format!("v1:{n}") });
    assert_eq!(bench.detail("cam").await.twin, seen(1));
    bench.run(start("cam")).await;
    for n in 2..6 {
        bench.run(write(twin(n))).await;
        assert_eq!(bench.detail("cam").await.twin, seen(n));
    }
    bench.pause("cam");
    bench.run(write(twin(7))).await;
    assert_eq!(bench.detail("cam").await.twin, seen(7));
    bench.run(Step::Unpause { container: named("cam") }).await;
    bench.run(stop("cam")).await;
    assert_eq!(bench.detail("cam").await.twin, seen(7));

    for out in ["../etc/passwd", "..", "a/../../x"] {
        let error = bench.fails(write(vec![link("desired.json", out)])).await;
        assert_eq!(error.kind, EngineErrorKind::Refused, "{error}");
        assert!(error.message.contains("invalid symlink"), "{error}");
    }
    for odd in ["/etc/passwd", "out/x", "nowhere"] {
        bench.run(write(vec![link("desired.json", odd)])).await;
        assert_eq!(bench.detail("cam").await.twin, TwinFile::Foreign, "{odd}");
    }
    for odd in ["", "{", "[]", "{\"$version\":-1,\"$hash\":\"x\"}", "{\"$version\":1}"] {
        bench.run(write(vec![file("odd", odd), link("desired.json", "odd")])).await;
        assert_eq!(bench.detail("cam").await.twin, TwinFile::Foreign, "{odd}");
    }
    bench.run(write(vec![file("desired.json", "{\"$version\":1,\"$hash\":\"x\"}")])).await;
    assert_eq!(bench.detail("cam").await.twin, TwinFile::Foreign);
}

pub(crate) async fn only_plain_small_files_are_read(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    bench.up("cam", body("test/runs:1")).await;
    bench
        .run(write(vec![
            file("routes.json", "0123456789"),
            file("empty", ""),
            link("link", "routes.json"),
            FileEntry::SharedFolder { path: "out".to_owned() },
            file("out/reported.json", "{}"),
        ]))
        .await;
    let engine = bench.engine();
    let read = async |path: &str, limit| engine.read_file("cam", path, limit).await.unwrap();
    assert_eq!(read("/run/hoist/routes.json", 10).await.unwrap(), b"0123456789");
    assert_eq!(read("/run/hoist/routes.json", 9).await, None);
    assert_eq!(read("/run/hoist/empty", 9).await.unwrap(), b"");
    assert_eq!(read("/run/hoist/out/reported.json", 100).await.unwrap(), b"{}");
    assert_eq!(read("/run/hoist/link", 100).await, None);
    assert_eq!(read("/run/hoist/out", 100).await, None);
    assert_eq!(read("/run/hoist/none", 100).await, None);
    let look = async |path: &str| engine.look_at("cam", path).await.unwrap();
    let form = async |path: &str| look(path).await.map(|seen| seen.form);
    let plain = look("/run/hoist/routes.json").await.unwrap();
    assert_eq!((plain.form, plain.size), (FileForm::Plain, 10));
    assert_eq!(
        look("/run/hoist/routes.json").await.unwrap(),
        plain,
        "looked at again it is the same"
    );
    assert_eq!(form("/run/hoist/link").await, Some(FileForm::Link));
    assert_eq!(form("/run/hoist/out").await, Some(FileForm::Folder));
    assert_eq!(form("/run/hoist/none").await, None);

    let mut bare = body("test/runs:1");
    bare.as_object_mut().unwrap().remove("Volumes");
    bench.create("bare", bare).await;
    let step = Step::WriteFiles { container: named("bare"), entries: twin(1) };
    let error = bench.fails(step).await;
    assert!(error.message.contains("Could not find the file /run/hoist"), "{error}");
}

pub(crate) async fn anonymous_volumes_can_be_carried_over(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    let mut first = body("test/runs:1");
    first["HostConfig"]["Binds"] = json!(["test-data:/data", "/tmp:/host:ro"]);
    bench.create("cam", first).await;
    bench.run(write(twin(4))).await;
    let mounts = bench.see("cam").await.mounts;
    let volume = |target: &str| {
        let found = mounts.iter().find(|mount| mount.target == target).unwrap();
        (found.volume.clone(), found.is_anonymous())
    };
    let (carried, anonymous) = volume("/run/hoist");
    assert!(anonymous, "{carried}");
    assert_eq!(volume("/data"), ("test-data".to_owned(), false));
    assert_eq!(volume("/host"), (String::new(), false));

    let mut second = body("test/runs:1");
    second["HostConfig"]["Binds"] = json!([format!("{carried}:/run/hoist")]);
    bench.create("hoist-new-cam", second).await;
    bench.run(remove("cam")).await;
    let seen = bench.see("hoist-new-cam").await;
    assert_eq!(seen.mounts.len(), 1);
    assert_eq!(seen.mounts[0].volume, carried);
    assert_eq!(bench.detail("hoist-new-cam").await.twin.ours().unwrap().version, 4);
    bench.run(start("hoist-new-cam")).await;
}

pub(crate) async fn images_and_their_labels(bench: &dyn Bench) {
    bench.image("test/labelled:1", Does::Runs, &[("hoist.fleet", "forged"), ("a", "b")]);
    bench.create("cam", body("test/labelled:1")).await;
    let detail = bench.detail("cam").await;
    assert_eq!(detail.image_labels["hoist.fleet"], "forged");
    assert_eq!(detail.image_labels["a"], "b");
    let images = ["test/labelled:1".to_owned(), "test/labelled:2".to_owned()];
    let wanted = Wanted { images: &images, ..Wanted::list_only() };
    let seen = bench.engine().observe(&wanted).await.unwrap();
    assert!(seen.images[&images[0]]);
    assert!(!seen.images[&images[1]]);
    assert!(seen.containers.iter().all(|container| container.detail.is_none()));
    // The tag moves: the list shows the id that the container has.
    let before = bench.see("cam").await.image_id;
    bench.image("test/labelled:1", Does::Ends(1, 1), &[]);
    assert_eq!(bench.see("cam").await.image_id, before);
}

//! `hoist init [DIR]`: a fleet repository to begin with.

use super::exit::{Exit, Failure};
use super::output::print;
use super::run::now;
use super::{Global, schema};
use crate::fleet::FileKind;
use crate::model::FleetName;
use std::fs;
use std::path::{Path, PathBuf};

/// Begin a fleet repository.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The folder [default: here]
    folder: Option<PathBuf>,
    /// The fleet's name [default: the folder's]
    #[arg(long)]
    name: Option<String>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let here = || global.folder.clone().unwrap_or_else(|| PathBuf::from("."));
    let folder = arguments.folder.clone().unwrap_or_else(here);
    fs::create_dir_all(&folder).map_err(|error| unmade(&folder, &error))?;
    let name = name(&folder, arguments.name.as_deref())?;
    let files = [
        ("fleet.toml", FileKind::Fleet, fleet_file(&name)),
        ("devices/this-host.toml", FileKind::Device, DEVICE.to_owned()),
        (
            "deployments/base.toml",
            FileKind::Deployment,
            DEPLOYMENT.replace("CREATED", &now().to_string()),
        ),
    ]
    .map(|(path, kind, text)| (path.to_owned(), schema::line(path, kind) + &text));
    let files = [files, schema::files()].concat();
    if let Some((path, _)) = files.iter().find(|(path, _)| folder.join(path).exists()) {
        return Err(Failure::new(format!(
            "{path} is there already in {}; nothing was written",
            folder.display()
        )));
    }
    for (path, text) in &files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| unmade(parent, &error))?;
        }
        fs::write(&path, text).map_err(|error| unmade(&path, &error))?;
    }
    let mut out = String::new();
    for (path, _) in &files {
        let path = folder.join(path);
        let path = path.strip_prefix(".").unwrap_or(&path);
        out.push_str(&format!("wrote {}\n", path.display()));
    }
    out.push_str(
        "next: hoist validate; git init, git add -A, git commit; hoist plan; hoist apply\n",
    );
    print(&out);
    Ok(Exit::Done)
}

fn unmade(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("can't make {}: {error}", path.display()))
}

pub(super) fn name(folder: &Path, given: Option<&str>) -> Result<FleetName, Failure> {
    if let Some(given) = given {
        return FleetName::parse(given)
            .map_err(|error| Failure::new(format!("`{given}`: {error}")));
    }
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let stem = absolute.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain: String = stem
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(31)
        .collect();
    FleetName::parse(plain.trim_matches('-'))
        .or_else(|_| FleetName::parse("fleet").map_err(|error| Failure::new(error.to_string())))
}

fn fleet_file(name: &FleetName) -> String {
    format!(
        "name = \"{name}\"\n\n\
         [defaults]\n\
         # filled into every module that does not say it itself\n\
         log = {{ max-size = \"10m\", max-file = 3 }}\n"
    )
}

const DEVICE: &str = r#"# One device; its id is the file's name: this-host.
engine = "unix:///var/run/docker.sock"

[tags]
environment = "test"
"#;

const DEPLOYMENT: &str = r#"# What every device with this tag runs. A layer with a higher priority can change it.
target = "tags.environment = 'test'"
priority = 10
created = CREATED

[modules.hello]
image = "busybox:1.36"
command = ["sh", "-c", "while true; do cat /run/hoist/desired.json; sleep 10; done"]
stop-timeout = "1s"

[modules.hello.desired]
Greeting = "hello"
"#;

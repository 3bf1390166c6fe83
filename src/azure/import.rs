//! All files of an import to all files of a fleet folder, or to every mistake that prevents it.

use super::credentials;
use super::deployment::{ConvertedDeployment, deployment};
use super::devices::devices;
use super::envelope::{Configuration, configurations};
use super::json::{Json, JsonFile, Member, Node, parse};
use super::module::Desk;
use super::names::deployment_id;
use super::placeholder::{LeftPlaceholder, Placeholders};
use super::report::{DeploymentReport, Remark, Remarks, Report};
use crate::diagnostic::Level;
use crate::fleet::{FileTree, TreeEntry, print_deployment, print_fleet};
use crate::model::{EngineAddress, FleetName, Table, Timestamp, Value};
use crate::resolve::check;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many refusals are told.
const REFUSALS: usize = 20;

/// A file that was read.
#[derive(Debug, Clone)]
pub struct InputFile {
    /// What it is called, for messages and for ids.
    pub name: String,
    /// What is in it.
    pub bytes: Arc<[u8]>,
}

/// What to import, and how.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    /// Manifests, configurations, lists and exports of them.
    pub manifests: Vec<InputFile>,
    /// Devices of a hub.
    pub devices: Option<InputFile>,
    /// Their engines' address, with `{deviceId}` in it.
    pub engine: Option<String>,
    /// Values of placeholders.
    pub set: BTreeMap<String, String>,
    /// The present moment: what does not say when it was made is taken to be made now.
    pub now: Timestamp,
    /// The fleet's name, if it has no `fleet.toml` yet.
    pub fleet_name: FleetName,
}

/// The files of an import, and what there is to tell.
#[derive(Debug)]
pub struct Imported {
    /// Path in the fleet folder → text.
    pub files: BTreeMap<String, String>,
    /// What there is to tell.
    pub report: Report,
}

/// Why nothing can be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// `file:line:column`, if it is in one.
    pub place: Option<String>,
    /// In words.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Mistake {
    fn at(place: String, message: impl Into<String>) -> Self {
        Self { place: Some(place), message: message.into(), help: None }
    }
}

/// What is gathered from file to file.
struct Import<'a> {
    request: &'a ImportRequest,
    existing: &'a FileTree,
    placeholders: Placeholders,
    remarks: Remarks,
    files: BTreeMap<String, (String, String)>,
    deployments: Vec<DeploymentReport>,
    registries: BTreeMap<String, String>,
    taken: BTreeSet<String>,
    /// Ids that the input gives, and where.
    given: BTreeMap<String, String>,
    mistakes: Vec<Mistake>,
}

/// Imports everything, or nothing. `existing` is what the fleet folder holds already.
///
/// # Errors
/// Every mistake of every file.
pub fn import(request: &ImportRequest, existing: &FileTree) -> Result<Imported, Vec<Mistake>> {
    let mut import = Import {
        request,
        existing,
        placeholders: Placeholders::new(request.set.clone()),
        remarks: Remarks::default(),
        files: BTreeMap::new(),
        deployments: Vec::new(),
        registries: BTreeMap::new(),
        taken: BTreeSet::new(),
        given: BTreeMap::new(),
        mistakes: Vec::new(),
    };
    for input in &request.manifests {
        if let Err(mistake) = import.manifest_file(input) {
            import.mistakes.push(mistake);
        }
    }
    let devices = import.device_file();
    import.finish(devices)
}

impl Import<'_> {
    /// Reads a file; tells what was tolerated.
    fn read(&mut self, input: &InputFile) -> Result<(JsonFile, Vec<Node>), Mistake> {
        let file = JsonFile::new(&input.name, &text(input)?);
        let parsed = parse(file.text(), self.placeholders.values()).map_err(|error| Mistake {
            place: Some(file.place(error.at)),
            message: format!("not JSON: {}", error.message),
            help: error.help,
        })?;
        self.placeholders.count_bare(file.text());
        if let Some(at) = parsed.comment {
            self.remarks.warn(
                "it has comments, which are no JSON; they were left out",
                Some(file.place(at)),
            );
        }
        if let Some(at) = parsed.trailing_comma {
            self.remarks.warn(
                "it has commas behind which nothing follows, which is no JSON",
                Some(file.place(at)),
            );
        }
        for (at, key) in parsed.doubled {
            let message = format!("the key `{key}` stands there twice; the last one counts");
            self.remarks.warn(message, Some(file.place(at)));
        }
        let mut roots = vec![parsed.root];
        roots.extend(parsed.more);
        let nulls: Vec<&Member> = roots.iter().flat_map(without_value).collect();
        if let Some(first) = nulls.first() {
            let message = match nulls.len() {
                1 => format!(
                    "`{}` is null, which says as much as its absence; it was left out",
                    first.key
                ),
                n => format!(
                    "{n} keys are null, which says as much as their absence; they were left out (the first is `{}`)",
                    first.key
                ),
            };
            self.remarks.note(message, Some(file.place(first.at)));
        }
        Ok((file, roots))
    }

    fn manifest_file(&mut self, input: &InputFile) -> Result<(), Mistake> {
        let (file, roots) = self.read(input)?;
        let found = configurations(roots);
        if found.found.is_empty() {
            let (at, words) =
                found.skipped.into_iter().next().unwrap_or((0, "the list is empty".to_owned()));
            return Err(Mistake::at(file.place(at), words));
        }
        for (at, words) in found.skipped {
            self.remarks.warn(words, Some(file.place(at)));
        }
        let many = found.found.len() > 1;
        for configuration in found.found {
            let converted = self.configuration(&file, input, configuration, many);
            self.mistakes.extend(converted.err());
        }
        Ok(())
    }

    fn configuration(
        &mut self,
        file: &JsonFile,
        input: &InputFile,
        found: Configuration,
        many: bool,
    ) -> Result<(), Mistake> {
        let Configuration { id: given, mut envelope, mut content } = found;
        let at = content.at;
        if content.members().is_none() {
            return Err(Mistake::at(file.place(at), "`modulesContent` is no object"));
        }
        let mut remarks = Remarks::default();
        let registries =
            credentials::take(&mut content, file, &mut self.placeholders, &mut remarks);
        credentials::take(&mut envelope, file, &mut self.placeholders, &mut remarks);
        for (host, named) in registries {
            let first = self.registries.entry(host.clone()).or_insert_with(|| named.clone());
            if *first != named {
                let words = format!(
                    "registry credentials `{named}` were left out: a fleet has one secret for {host}, \
                     and that is `{first}` of an earlier deployment"
                );
                remarks.warn(words, None);
            }
        }
        self.placeholders.fill(&mut content, file);
        forget_results(&mut envelope);
        self.placeholders.fill_code(&mut envelope, file);
        let before = given.as_ref().map(|(id, _)| id.clone());
        let id = self.id(file, input, given, many.then_some(at), &mut remarks)?;
        let mut desk = Desk { file, placeholders: &mut self.placeholders, remarks: &mut remarks };
        let converted = deployment(&mut desk, &envelope, &content, self.request.now);
        let ConvertedDeployment { kind, mut table, modules } = converted;
        if let Some(before) = before.filter(|before| *before != id) {
            rename_in_metrics(&mut table, &before, &id);
        }
        if table.contains_key("azure") {
            let words = "system modules, schema versions and the like are kept in [azure], for the way back";
            remarks.note(words, None);
        }
        let what = format!("{kind}, from {}", input.name);
        self.files.insert(format!("deployments/{id}.toml"), (print_deployment(&table), what));
        let from = if many { file.place(at) } else { input.name.clone() };
        self.deployments.push(DeploymentReport { id, kind, from, modules, remarks: remarks.0 });
        Ok(())
    }

    /// The deployment's id: the one it has, else the file's name.
    fn id(
        &mut self,
        file: &JsonFile,
        input: &InputFile,
        given: Option<(String, usize)>,
        at: Option<usize>,
        remarks: &mut Remarks,
    ) -> Result<String, Mistake> {
        let place =
            given.as_ref().map(|(_, at)| file.place(*at)).or_else(|| at.map(|at| file.place(at)));
        if let Some((id, at)) = &given
            && let Some(first) = self.given.insert(id.clone(), file.place(*at))
        {
            let message = format!("deployment `{id}` is there twice: also at {first}");
            return Err(Mistake::at(file.place(*at), message));
        }
        let stem = stem(&input.name);
        let wanted = given.as_ref().map_or(stem.as_str(), |(id, _)| id.as_str());
        let id = deployment_id(wanted, &self.taken);
        if id != wanted {
            let reason = if self.taken.contains(&wanted.to_ascii_lowercase()) {
                "is taken"
            } else {
                "is no id of a deployment"
            };
            remarks.warn(format!("the deployment is named `{id}`: `{wanted}` {reason}"), place);
        }
        self.taken.insert(id.to_ascii_lowercase());
        Ok(id)
    }

    /// Devices, and how many.
    fn device_file(&mut self) -> usize {
        let engine = self.request.engine.as_deref();
        let Some(input) = &self.request.devices else {
            if engine.is_some() {
                let message = "--engine says where devices are, but there are none".to_owned();
                let help = Some("name a hub's export of its devices: --devices FILE".to_owned());
                self.mistakes.push(Mistake { place: None, message, help });
            }
            return 0;
        };
        if let Some(error) =
            engine.and_then(|e| EngineAddress::parse(&e.replace("{deviceId}", "device")).err())
        {
            self.mistakes.push(Mistake {
                place: None,
                message: format!("--engine: {error}"),
                help: None,
            });
            return 0;
        }
        let read = self.read(input).map_err(|mistake| vec![mistake]);
        let result =
            read.and_then(|(file, roots)| devices(&roots, &file, engine, &mut self.remarks));
        match result {
            Ok((files, count)) => {
                for (path, text) in files {
                    self.files.insert(path, (text, format!("from {}", input.name)));
                }
                count
            }
            Err(mistakes) => {
                self.mistakes.extend(mistakes);
                0
            }
        }
    }

    fn finish(mut self, devices: usize) -> Result<Imported, Vec<Mistake>> {
        let fleet_file_was_there = self.existing.0.contains_key("fleet.toml");
        if !fleet_file_was_there {
            let text = print_fleet(&self.request.fleet_name, &self.registries);
            self.files.insert("fleet.toml".to_owned(), (text, "the fleet".to_owned()));
        }
        for path in self.files.keys().filter(|path| self.existing.0.contains_key(path.as_str())) {
            self.mistakes.push(Mistake {
                place: None,
                message: format!("{path} is there already; nothing is overwritten"),
                help: Some("move it away, or import into another folder".to_owned()),
            });
        }
        if !self.mistakes.is_empty() {
            return Err(self.mistakes);
        }
        let told =
            self.files.iter().map(|(path, (_, what))| (path.clone(), what.clone())).collect();
        let files: BTreeMap<String, String> =
            self.files.into_iter().map(|(path, (text, _))| (path, text)).collect();
        let filled = self.placeholders.filled();
        let placeholders = self.placeholders.into_left();
        let refusals = refusals(self.existing, &files, &placeholders);
        let report = Report {
            files: told,
            deployments: self.deployments,
            devices,
            remarks: self.remarks.0,
            registries: self.registries,
            fleet_file_was_there,
            placeholders,
            filled,
            refusals,
        };
        Ok(Imported { files, report })
    }
}

/// The members of a tree that are null, however deep.
fn without_value(node: &Node) -> Vec<&Member> {
    match &node.json {
        Json::Object(members) => members
            .iter()
            .flat_map(|member| match member.value.json {
                Json::Null => vec![member],
                _ => without_value(&member.value),
            })
            .collect(),
        Json::List(items) => items.iter().flat_map(without_value).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => Vec::new(),
    }
}

/// A deployment that got another name has it in its queries too.
fn rename_in_metrics(deployment: &mut Table, before: &str, after: &str) {
    let Some(Value::Table(metrics)) = deployment.get_mut("metrics") else { return };
    for query in metrics.values_mut() {
        if let Value::String(text) = query {
            *text = text.replace(&format!("[[{before}]]"), &format!("[[{after}]]")).into();
        }
    }
}

/// What the service computes about a configuration; no part of it.
fn forget_results(envelope: &mut Node) {
    if let Json::Object(members) = &mut envelope.json {
        members
            .retain(|member| !matches!(member.key.as_str(), "systemMetrics" | "etag" | "results"));
    }
}

/// What `validate` refuses in the new files, beside the old ones; what comes of a placeholder is told there.
fn refusals(
    existing: &FileTree,
    files: &BTreeMap<String, String>,
    left: &[LeftPlaceholder],
) -> Vec<String> {
    let mut tree = existing.clone();
    for (path, text) in files {
        tree.0.insert(path.as_str().into(), TreeEntry::File(text.as_str().into()));
    }
    let checked = check(&tree);
    let errors = checked.diagnostics.into_iter().filter(|d| d.level == Level::Error);
    let ours =
        errors.filter(|d| d.place.as_ref().is_none_or(|place| files.contains_key(place.file())));
    let mut told: Vec<String> = ours
        .filter(|d| !left.iter().any(|left| left.refused && d.message.contains(&left.text)))
        .map(|d| {
            let place = d.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
            format!("{place}{}", d.message)
        })
        .collect();
    if told.len() > REFUSALS {
        let more = told.len() - REFUSALS;
        told.truncate(REFUSALS);
        told.push(format!("and {more} more"));
    }
    told
}

/// The text of a file; what PowerShell writes is UTF-16.
fn text(input: &InputFile) -> Result<String, Mistake> {
    let bytes: &[u8] = &input.bytes;
    let largest = usize::try_from(FileTree::LARGEST_FILE).unwrap_or(usize::MAX);
    if bytes.len() > largest {
        let message = format!("the file has {} bytes; at most {largest} are read", bytes.len());
        return Err(Mistake::at(input.name.clone(), message));
    }
    let wide = |little: bool| {
        let units = bytes[2..].chunks_exact(2).map(|pair| {
            let pair = [pair[0], pair[1]];
            if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
        });
        char::decode_utf16(units).collect::<Result<String, _>>().ok()
    };
    let decoded = match bytes {
        [0xff, 0xfe, ..] => wide(true),
        [0xfe, 0xff, ..] => wide(false),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => Some(text.to_owned()),
            Err(error) => {
                let file = JsonFile::new(&input.name, &String::from_utf8_lossy(bytes));
                let place = file.place(error.valid_up_to());
                return Err(Mistake::at(place, "the file is not UTF-8"));
            }
        },
    };
    decoded.ok_or_else(|| Mistake::at(input.name.clone(), "the file is neither UTF-8 nor UTF-16"))
}

/// A file's name without folders and ending.
fn stem(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    last.strip_suffix(".json").or_else(|| last.strip_suffix(".jsonc")).unwrap_or(last).to_owned()
}

impl Remark {
    /// Whether it tells of something lost or wrong.
    pub fn is_warning(&self) -> bool {
        self.weight == super::report::Weight::Warning
    }
}

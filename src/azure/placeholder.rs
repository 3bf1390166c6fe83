//! Placeholders of templates: `${NAME}`, and `$NAME`, `#NAME#`, `__NAME__`, `%NAME%`,
//! `<NAME>`, `{{NAME}}`.
//!
//! Enters: a tree and the values of `--set`. Leaves: the tree with what has a value filled in, and a list of
//! what has none. `${NAME}` is a placeholder wherever it stands. The other spellings may as well be plain
//! text: they are filled only if somebody gives exactly that name a value, and not within routes and
//! queries, which have `$upstream` and `$version` of their own.

use super::json::{Json, JsonFile, Node};
use std::collections::{BTreeMap, BTreeSet};

/// Longest placeholder, in bytes.
const LONGEST: usize = 200;

/// A placeholder in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// With its signs.
    pub(super) text: &'a str,
    /// Without.
    pub(super) name: &'a str,
    pub(super) start: usize,
    pub(super) end: usize,
    /// `${NAME}`.
    pub(super) braced: bool,
}

/// The first placeholder of a text, of any spelling.
pub(super) fn first(text: &str) -> Option<Found<'_>> {
    text.char_indices().find_map(|(start, _)| at(text, start))
}

fn at(text: &str, start: usize) -> Option<Found<'_>> {
    if !text[start..].starts_with(['$', '#', '_', '%', '<', '{']) {
        return None;
    }
    // Nobody's names are longer; a text of a thousand `<` should not be read a thousand times.
    let mut most = text.len().min(start + LONGEST);
    while !text.is_char_boundary(most) {
        most -= 1;
    }
    let rest = &text[start..most];
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let spaced = |c: char| word(c) || " .:-".contains(c);
    let within = |open: &str, close: &str, good: &dyn Fn(char) -> bool| {
        let inner = rest.strip_prefix(open)?;
        let end = inner.find(close)?;
        let name = &inner[..end];
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
        (begins && name.chars().all(good)).then_some((name, open.len() + end + close.len()))
    };
    let braced = rest.strip_prefix("${").and_then(|inner| {
        let end = inner.find('}')?;
        Some((&inner[..end], end + 3))
    });
    let (name, length) = braced
        .or_else(|| {
            let inner = rest.strip_prefix('$')?;
            let length = inner.find(|c| !word(c)).unwrap_or(inner.len());
            let begins = inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            (begins && length > 0).then(|| (&inner[..length], length + 1))
        })
        .or_else(|| within("{{", "}}", &spaced))
        .or_else(|| within("__", "__", &word))
        .or_else(|| within("#", "#", &|c| word(c) || c == '.'))
        .or_else(|| within("%", "%", &word))
        .or_else(|| within("<", ">", &spaced))?;
    let end = start + length;
    Some(Found { text: &text[start..end], name, start, end, braced: braced.is_some() })
}

/// All placeholders of a text.
pub(super) fn all(text: &str) -> Vec<Found<'_>> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(start) =
        text[from..].char_indices().map(|(i, _)| from + i).find(|i| at(text, *i).is_some())
    {
        let one = at(text, start).expect("just found");
        from = one.end;
        found.push(one);
    }
    found
}

/// A placeholder that nobody gave a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftPlaceholder {
    /// Its name, as `--set` takes it.
    pub name: String,
    /// As it is written.
    pub text: String,
    /// Where it stands.
    pub places: BTreeSet<String>,
    /// Whether `validate` refuses it; else it may be meant as plain text.
    pub refused: bool,
}

/// The values of `--set`, and what became of the placeholders.
#[derive(Debug, Default)]
pub(super) struct Placeholders {
    values: BTreeMap<String, String>,
    filled: BTreeMap<String, usize>,
    left: BTreeMap<String, LeftPlaceholder>,
}

/// How a text is written, which decides what a `$` in it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    /// A text of a module, a template in fleet files.
    Plain,
    /// A route or a query.
    Code,
    /// A key, or what goes to `[azure]`: no template.
    Verbatim,
    /// JSON within such a text: what is filled in must not break its form.
    Document,
}

/// A text as it stands within the quotes of JSON.
fn within_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

impl Placeholders {
    pub(super) fn new(values: BTreeMap<String, String>) -> Self {
        Self { values, ..Self::default() }
    }

    pub(super) fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// How often each name was filled in; 0 for one that occurs nowhere.
    pub(super) fn filled(&self) -> BTreeMap<String, usize> {
        let count = |name: &String| self.filled.get(name).copied().unwrap_or(0);
        self.values.keys().map(|name| (name.clone(), count(name))).collect()
    }

    pub(super) fn into_left(self) -> Vec<LeftPlaceholder> {
        self.left.into_values().collect()
    }

    /// Counts what the parser has filled in where a value stands without quotes.
    pub(super) fn count_bare(&mut self, text: &str) {
        let mut in_text = false;
        let mut from = 0;
        while let Some(i) = text[from..].find(['"', '\\', '$', '#', '_', '%', '<', '{']) {
            let start = from + i;
            from = start + 1;
            match &text[start..=start] {
                "\"" => in_text = !in_text,
                "\\" => from += text[from..].chars().next().map_or(0, char::len_utf8),
                _ if !in_text => {
                    if let Some(found) =
                        at(text, start).filter(|f| self.values.contains_key(f.name))
                    {
                        *self.filled.entry(found.name.to_owned()).or_default() += 1;
                        from = found.end;
                    }
                }
                _ => {}
            }
        }
    }

    /// Fills all texts and keys of a tree. Documents within texts of modules (`createOptions`) are left for later:
    /// what is filled into them must not break their form.
    pub(super) fn fill(&mut self, node: &mut Node, file: &JsonFile) {
        self.fill_as(node, file, Text::Plain);
    }

    /// The same for a tree of routes or queries.
    pub(super) fn fill_code(&mut self, node: &mut Node, file: &JsonFile) {
        self.fill_as(node, file, Text::Code);
    }

    fn fill_as(&mut self, node: &mut Node, file: &JsonFile, kind: Text) {
        let at = node.at;
        match &mut node.json {
            Json::Text(text) => *text = self.filled_text(text, at, file, kind),
            Json::List(items) => {
                for item in items {
                    self.fill_as(item, file, kind);
                }
            }
            Json::Object(members) => {
                for member in members {
                    let below = match member.key.as_str() {
                        key if key == "routes" || key.contains(".routes") => Text::Code,
                        key if key.contains("systemModules") || key == "runtime" => Text::Verbatim,
                        _ => kind,
                    };
                    member.key = self.filled_text(&member.key, member.at, file, Text::Verbatim);
                    let is_document = member.key.to_lowercase().starts_with("createoptions");
                    let below = match (is_document && member.value.text().is_some(), below) {
                        (false, _) => below,
                        (true, Text::Verbatim) => Text::Document,
                        (true, _) => continue,
                    };
                    self.fill_as(&mut member.value, file, below);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    fn filled_text(&mut self, text: &str, at: usize, file: &JsonFile, kind: Text) -> String {
        let mut out = String::new();
        let mut from = 0;
        for found in all(text) {
            let whole = found.text.len() == text.trim().len();
            let clear = found.braced || !found.text.starts_with('$');
            let counts = clear || kind != Text::Code || whole;
            out.push_str(&text[from..found.start]);
            from = found.end;
            match self.values.get(found.name).filter(|_| counts) {
                Some(value) => {
                    match kind {
                        Text::Document => out.push_str(&within_json(value)),
                        Text::Plain | Text::Code | Text::Verbatim => out.push_str(value),
                    }
                    *self.filled.entry(found.name.to_owned()).or_default() += 1;
                }
                None => {
                    let escaped = text[..found.start].ends_with('$');
                    if escaped && found.braced && kind == Text::Plain {
                        // Fleet files read `$${` as `${`: without one more, a `$` would be lost.
                        out.push('$');
                    }
                    out.push_str(found.text);
                    if counts && !escaped && (found.braced || looks_meant(&found)) {
                        self.leave(&found, found.braced, file.place(at));
                    }
                }
            }
        }
        out.push_str(&text[from..]);
        out
    }

    /// A text that is written nowhere, with what has a value filled in.
    pub(super) fn filled_in(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut from = 0;
        for found in all(text) {
            out.push_str(&text[from..found.start]);
            from = found.end;
            match self.values.get(found.name) {
                Some(value) => {
                    out.push_str(value);
                    *self.filled.entry(found.name.to_owned()).or_default() += 1;
                }
                None => out.push_str(found.text),
            }
        }
        out.push_str(&text[from..]);
        out
    }

    /// Notes a text that is not valid as it stands, if a placeholder may be why.
    pub(super) fn refuse(&mut self, text: &str, at: usize, file: &JsonFile) -> bool {
        let found = all(text);
        for found in &found {
            self.leave(found, true, file.place(at));
        }
        !found.is_empty()
    }

    fn leave(&mut self, found: &Found<'_>, refused: bool, place: String) {
        let entry = self.left.entry(found.text.to_owned()).or_insert_with(|| LeftPlaceholder {
            name: found.name.to_owned(),
            text: found.text.to_owned(),
            places: BTreeSet::new(),
            refused: false,
        });
        entry.refused |= refused;
        entry.places.insert(place);
    }
}

/// `$LVA_MODE` is hardly meant as it stands; `$upstream` and `#1#` are.
fn looks_meant(found: &Found<'_>) -> bool {
    let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    found.name.len() >= 3
        && found.name.starts_with(|c: char| c.is_ascii_uppercase())
        && found.name.chars().all(capital)
        || found.text.starts_with("{{") && !found.name.contains(':')
}

/// A text as a template of fleet files: a `${` that no `}` closes is plain text.
pub(super) fn template_text(text: &str) -> String {
    match text.rfind("${") {
        Some(at) if !text[at..].contains('}') && !text[..at].ends_with('$') => {
            format!("{}${}", &text[..at], &text[at..])
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_found() {
        for (text, name) in [
            ("${MODULES.x}", "MODULES.x"),
            ("$TAG", "TAG"),
            ("#TAG#", "TAG"),
            ("__TAG__", "TAG"),
            ("%TAG%", "TAG"),
            ("<Container_Registry>", "Container_Registry"),
            ("{{password}}", "password"),
        ] {
            let text = format!("a/{text}:1");
            assert_eq!(first(&text).unwrap().name, name, "{text}");
        }
        for plain in ["", "$", "${", "a#b", "a__b", "a < b", "$1", "{{}}"] {
            assert_eq!(first(plain), None, "{plain}");
        }
        let names: Vec<&str> = all("${A}-$B/${C}").iter().map(|f| f.name).collect();
        assert_eq!(names, ["A", "B", "C"]);
    }

    #[test]
    fn values_go_in_and_the_rest_is_listed() {
        let text = r##"{"image": "r/x:$TAG", "a": "${A} ${B} $OTHER", "createOptions": "${A}",
            "routes": {"r": "FROM /* INTO $TAG", "s": "$TAG"}, "__A__": 1}"##;
        let file = JsonFile::new("f.json", text);
        let values = [("TAG", "7"), ("A", "x"), ("NOWHERE", "")];
        let values: BTreeMap<_, _> =
            values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut node = crate::azure::json::parse(text, &values).unwrap().root;
        let mut placeholders = Placeholders::new(values);
        placeholders.fill(&mut node, &file);
        assert_eq!(node.get("image").unwrap().text(), Some("r/x:7"));
        assert_eq!(node.get("a").unwrap().text(), Some("x ${B} $OTHER"));
        assert_eq!(node.get("createOptions").unwrap().text(), Some("${A}"));
        assert_eq!(node.get("routes").unwrap().get("r").unwrap().text(), Some("FROM /* INTO $TAG"));
        assert_eq!(node.get("routes").unwrap().get("s").unwrap().text(), Some("7"));
        assert!(node.get("x").is_some());
        let counts: Vec<usize> = placeholders.filled().into_values().collect();
        assert_eq!(counts, [2, 0, 2]);
        let left: Vec<_> = placeholders.into_left();
        let left: Vec<_> = left.iter().map(|l| (l.text.as_str(), l.refused)).collect();
        assert_eq!(left, [("$OTHER", false), ("${B}", true)]);
    }

    #[test]
    fn an_unclosed_brace_is_plain_text() {
        assert_eq!(template_text("a ${b"), "a $${b");
        assert_eq!(template_text("a ${b}"), "a ${b}");
        assert_eq!(template_text("a"), "a");
    }
}

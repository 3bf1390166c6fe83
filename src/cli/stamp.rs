//! `hoist stamp FILE…`: writes the present moment into deployment files as `created`.

use super::exit::{Exit, Failure};
use super::output::print;
use super::run::now;
use std::fs;
use std::path::PathBuf;
use toml::de::{DeTable, DeValue};

/// Write the present moment into deployment files as `created`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Deployment files
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let moment = now().to_string();
    let mut stamped = Vec::new();
    for path in &arguments.files {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("can't read {}: {error}", path.display())))?;
        let new = stamp(&text, &moment).map_err(|words| {
            Failure::new(format!("{}: {words}; no file was changed", path.display()))
                .help("`hoist validate` shows where")
        })?;
        stamped.push((path, new));
    }
    for (path, text) in stamped {
        fs::write(path, text)
            .map_err(|error| Failure::new(format!("can't write {}: {error}", path.display())))?;
        print(&format!("{}: created = {moment}\n", path.display()));
    }
    Ok(Exit::Done)
}

/// The text with `created` set, everything else as it was.
fn stamp(text: &str, moment: &str) -> Result<String, String> {
    let root = DeTable::parse(text).map_err(|error| error.message().to_owned())?;
    let root = root.get_ref();
    if let Some((_, value)) = root.iter().find(|(key, _)| key.get_ref().as_ref() == "created") {
        let mut new = text.to_owned();
        new.replace_range(value.span(), moment);
        return Ok(new);
    }
    let line = format!("created = {moment}\n");
    // Behind the last plain key at the top: behind a table's head it would belong to that table.
    let last = root
        .iter()
        .filter(|(_, value)| {
            !matches!(value.get_ref(), DeValue::Table(_)) || is_inline(text, value.span())
        })
        .filter(|(_, value)| !text[value.span()].starts_with("[["))
        .map(|(_, value)| value.span().end)
        .max();
    let mut new = text.to_owned();
    match last {
        None => new.insert_str(0, &line),
        Some(end) => match text[end..].find('\n') {
            Some(i) => new.insert_str(end + i + 1, &line),
            None => new.push_str(&format!("\n{line}")),
        },
    }
    let check = DeTable::parse(&new).map_err(|error| error.message().to_owned())?;
    if check.get_ref().iter().any(|(key, _)| key.get_ref().as_ref() == "created") {
        Ok(new)
    } else {
        Err("found no place for `created`; write it by hand above the first table".to_owned())
    }
}

fn is_inline(text: &str, span: std::ops::Range<usize>) -> bool {
    text[span].starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::stamp;

    #[test]
    fn created_is_set_where_it_belongs_and_nothing_else_moves() {
        let m = "2026-01-05T09:00:00Z";
        assert_eq!(
            stamp("target = \"*\" # all\n\n[modules.a]\nimage = \"a:1\"\n", m).unwrap(),
            "target = \"*\" # all\ncreated = 2026-01-05T09:00:00Z\n\n[modules.a]\nimage = \"a:1\"\n"
        );
        assert_eq!(
            stamp("created = 2020-01-01T00:00:00Z\r\npriority = 1\r\n", m).unwrap(),
            "created = 2026-01-05T09:00:00Z\r\npriority = 1\r\n"
        );
        assert_eq!(
            stamp("[modules.a]\nimage = \"a:1\"\n", m).unwrap(),
            "created = 2026-01-05T09:00:00Z\n[modules.a]\nimage = \"a:1\"\n"
        );
        assert_eq!(
            stamp("target = '*'", m).unwrap(),
            "target = '*'\ncreated = 2026-01-05T09:00:00Z\n"
        );
        assert!(stamp("target = ", m).is_err());
    }
}

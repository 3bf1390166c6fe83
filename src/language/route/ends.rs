//! What a route's source and sink say.
//!
//! Their texts enter, with where they stand; data of the model leaves. As in the original, paths are read without
//! regard to case and `*` and `/` at their end; unlike there, a path from which no message ever comes, or a module
//! name that no module can have, is a mistake.

use super::syntax::Piece;
use crate::diagnostic::{Span, closest};
use crate::language::error::LanguageError;
use crate::model::{HubEvents, ModuleName, RouteSink, RouteSource};

/// One part of a path, with where it stands.
#[derive(Clone, Copy)]
struct Segment<'t> {
    text: &'t str,
    start: usize,
}

impl Segment<'_> {
    fn span(&self) -> Span {
        Span::new(self.start, self.start + self.text.len())
    }

    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }

    fn error(&self, message: impl Into<String>, help: impl Into<String>) -> LanguageError {
        LanguageError::new(self.span(), message).help(help)
    }
}

/// Reads a source.
pub(super) fn source(piece: &Piece) -> Result<RouteSource, LanguageError> {
    let text = piece.text.as_str();
    let start = piece.span.start as usize;
    no_template(text, start)?;
    if !text.starts_with('/') {
        let help = match closest(text.split('/').next().unwrap_or_default(), FIRST) {
            Some(_) => format!("write `/{text}`"),
            None => "write `/messages/*` for all messages, or `/messages/modules/NAME/outputs/*`"
                .to_owned(),
        };
        return Err(LanguageError::new(piece.span, "a source begins with `/`").help(help));
    }
    if text == "/" {
        return Err(LanguageError::new(piece.span, "this source names nothing")
            .help("write `/*` for everything, `/messages/*` for all messages"));
    }
    let path = text.trim_end_matches(['*', '/']);
    if path.is_empty() {
        return match text {
            "/*" | "/*/" => Ok(RouteSource::Everything),
            _ => Err(LanguageError::new(piece.span, "this source is no path").help("write `/*`")),
        };
    }
    let segments: Vec<Segment<'_>> = split(&path[1..], start + 1);
    for segment in &segments {
        plain(segment)?;
    }
    let [first, rest @ ..] = segments.as_slice() else { return Ok(RouteSource::Everything) };
    if first.is("messages") {
        return messages(first, rest);
    }
    let alone = if first.is("twinChangeNotifications") {
        Some(RouteSource::TwinChanges)
    } else {
        HubEvents::ALL.into_iter().find(|e| first.is(e.as_str())).map(RouteSource::Hub)
    };
    match (alone, rest) {
        (Some(source), []) => Ok(source),
        (Some(_), [more, ..]) => {
            Err(more.error(format!("nothing can follow `/{}`", first.text), "leave it out"))
        }
        (None, _) => Err(unknown_first(text, first)),
    }
}

const FIRST: [&str; 6] = [
    "messages",
    "twinChangeNotifications",
    "deviceLifecycleEvents",
    "deviceJobLifecycleEvents",
    "deviceConnectionStateEvents",
    "digitalTwinChangeEvents",
];

fn unknown_first(text: &str, first: &Segment<'_>) -> LanguageError {
    let tail = &text[1 + first.text.len()..];
    let help = if first.is("modules") || first.is("module") {
        format!("write `/messages/modules{tail}`")
    } else {
        match closest(first.text, FIRST) {
            Some("messages") if tail.is_empty() => "did you mean `/messages/*`?".to_owned(),
            Some(close) => format!("did you mean `/{close}{tail}`?"),
            None => "sources are `/*`, `/messages/*`, `/messages/modules/NAME/*`, \
                     `/messages/modules/NAME/outputs/NAME` and `/twinChangeNotifications`"
                .to_owned(),
        }
    };
    first.error(format!("nothing comes from `/{}`", first.text), help)
}

/// What stands behind `/messages`.
fn messages(first: &Segment<'_>, rest: &[Segment<'_>]) -> Result<RouteSource, LanguageError> {
    let [kind, rest @ ..] = rest else { return Ok(RouteSource::Messages) };
    if kind.is("events") {
        return match rest {
            [] => Ok(RouteSource::DeviceMessages),
            [more, ..] => Err(more.error("nothing can follow `/messages/events`", "leave it out")),
        };
    }
    if !kind.is("modules") {
        let help = match closest(kind.text, ["modules", "events"]) {
            Some(close) => format!("did you mean `/{}/{close}`?", first.text),
            None => format!("write `/messages/modules/{}` for the messages of a module", kind.text),
        };
        let message = format!("nothing comes from `/{}/{}`", first.text, kind.text);
        return Err(kind.error(message, help));
    }
    let [module, rest @ ..] = rest else { return Ok(RouteSource::ModuleMessages) };
    let name = module_name(module)?;
    let [outputs, rest @ ..] = rest else { return Ok(RouteSource::Module(name)) };
    if !outputs.is("outputs") {
        let help = if outputs.is("inputs") {
            "messages come from outputs: write `outputs`".to_owned()
        } else {
            match closest(outputs.text, ["outputs"]) {
                Some(_) => "did you mean `outputs`?".to_owned(),
                None => format!("write `outputs/{}` for an output", outputs.text),
            }
        };
        let message = format!("a module has no `{}` from which messages come", outputs.text);
        return Err(outputs.error(message, help));
    }
    match rest {
        [] => Ok(RouteSource::Outputs(name)),
        [output] => {
            let output = end_name(output, "output")?;
            Ok(RouteSource::Output { module: name, output })
        }
        [_, more, ..] => {
            Err(more.error("nothing can follow an output", "leave it out: an output has no parts"))
        }
    }
}

/// Reads a sink.
pub(super) fn sink(piece: &Piece) -> Result<RouteSink, LanguageError> {
    let text = piece.text.trim_end();
    let start = piece.span.start as usize;
    let head =
        text.find(|c: char| c.is_ascii_whitespace() || "(,;".contains(c)).unwrap_or(text.len());
    let name = Segment { text: &text[..head], start };
    let rest = text[head..].trim_start();
    let rest_start = start + text.len() - rest.len();
    if name.is("$upstream") {
        if rest.is_empty() {
            return Ok(RouteSink::Upstream);
        }
        let more = Segment { text: rest, start: rest_start };
        return Err(more.error("nothing can follow the sink", "leave it out"));
    }
    if !name.is("BrokeredEndpoint") || !rest.starts_with('(') {
        return Err(no_sink(text, start, name, rest));
    }
    let inside = &rest[1..];
    let inside_start = rest_start + 1;
    let Some(close) = inside.rfind(')') else {
        return Err(name.error("this sink is never closed", "add the `)` that belongs to it"));
    };
    let behind = inside[close + 1..].trim_start();
    if !behind.is_empty() {
        let more = Segment { text: behind, start: start + text.len() - behind.len() };
        return Err(more.error("nothing can follow the sink", "leave it out"));
    }
    let argument = inside[..close].trim();
    let lead = inside[..close].len() - inside[..close].trim_start().len();
    let argument = Segment { text: argument, start: inside_start + lead };
    address(&unquoted(argument)?)
}

fn no_sink(text: &str, start: usize, name: Segment<'_>, rest: &str) -> LanguageError {
    let all = Segment { text, start };
    let bare = text.trim_matches(['"', '\'']);
    if bare.starts_with("/modules/") || bare.starts_with("modules/") {
        let bare = bare.trim_start_matches('/');
        return all.error(
            "a module's input stands in BrokeredEndpoint",
            format!("write `BrokeredEndpoint(\"/{bare}\")`"),
        );
    }
    let word = name.text.trim_matches(['"', '\'']);
    if word.trim_start_matches('$').eq_ignore_ascii_case("upstream") {
        return name.error(format!("there is no sink `{}`", name.text), "write `$upstream`");
    }
    if name.is("BrokeredEndpoint") {
        return name.error(
            "BrokeredEndpoint takes a module's input",
            "write `BrokeredEndpoint(\"/modules/NAME/inputs/NAME\")`",
        );
    }
    let help = match closest(word, ["$upstream", "BrokeredEndpoint"]) {
        Some(close) => format!("did you mean `{close}`?"),
        None if rest.is_empty() && ModuleName::parse(word).is_ok() => {
            format!("for a module, write `BrokeredEndpoint(\"/modules/{word}/inputs/NAME\")`")
        }
        None => {
            "sinks are `$upstream` and `BrokeredEndpoint(\"/modules/NAME/inputs/NAME\")`".to_owned()
        }
    };
    name.error(format!("there is no sink `{}`", name.text), help)
}

/// What stands in quotes.
fn unquoted(argument: Segment<'_>) -> Result<Segment<'_>, LanguageError> {
    let text = argument.text;
    for quote in ['"', '\''] {
        let inside = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
        if let Some(inside) = inside.filter(|inside| !inside.contains(quote)) {
            return Ok(Segment { text: inside, start: argument.start + 1 });
        }
    }
    let bare = text.trim_matches(|c: char| c == '\\' || "\"'“”‘’".contains(c));
    let bare = if bare.is_empty() { "/modules/NAME/inputs/NAME" } else { bare };
    Err(argument
        .error("the address of an input is one text in quotes", format!("write `\"{bare}\"`")))
}

/// `/modules/M/inputs/I`; the first and the last `/` may be missing or there.
fn address(text: &Segment<'_>) -> Result<RouteSink, LanguageError> {
    no_template(text.text, text.start)?;
    let lead = text.text.len() - text.text.trim_start().len();
    let trimmed = text.text.trim();
    let path = trimmed.strip_prefix('/').unwrap_or(trimmed);
    let start = text.start + lead + trimmed.len() - path.len();
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments = split(path, start);
    let [modules, module, inputs, input] = segments.as_slice() else {
        return Err(text
            .error("this is no address of a module's input", "write `/modules/NAME/inputs/NAME`"));
    };
    if !modules.is("modules") {
        return Err(
            modules.error("the address of an input begins with `/modules/`", "write `modules`")
        );
    }
    if !inputs.is("inputs") {
        let message = if inputs.is("outputs") {
            "messages go into inputs, not into outputs"
        } else {
            "behind the module stands `inputs`"
        };
        return Err(inputs.error(message, "write `inputs`"));
    }
    Ok(RouteSink::Input { module: module_name(module)?, input: end_name(input, "input")? })
}

fn split(path: &str, start: usize) -> Vec<Segment<'_>> {
    let mut at = start;
    path.split('/')
        .map(|text| {
            let segment = Segment { text, start: at };
            at += text.len() + 1;
            segment
        })
        .collect()
}

/// A part of a source: something, and `*` only at the end of the whole.
fn plain(segment: &Segment<'_>) -> Result<(), LanguageError> {
    if segment.text.is_empty() {
        return Err(
            segment.error("a part of the source is empty", "write one `/` between two parts")
        );
    }
    if let Some(at) = segment.text.find('*') {
        let star = Segment { text: "*", start: segment.start + at };
        return Err(star.error(
            "`*` stands only at the end of a source",
            "write `/messages/modules/*` for all modules, and ask for the rest in a condition",
        ));
    }
    Ok(())
}

fn module_name(segment: &Segment<'_>) -> Result<ModuleName, LanguageError> {
    ModuleName::parse(segment.text).map_err(|error| {
        segment.error(
            format!("`{}` is {error}", segment.text),
            "write the module's name as it stands in `[modules.NAME]`",
        )
    })
}

/// The name of an output or input.
fn end_name(segment: &Segment<'_>, what: &str) -> Result<String, LanguageError> {
    let wrong = |c: char| c.is_control() || c.is_whitespace() || "()<>@,;:\\\"'?={}[]*".contains(c);
    if segment.text.is_empty() {
        return Err(segment.error(format!("the {what} has no name"), format!("name the {what}")));
    }
    match segment.text.char_indices().find(|(_, c)| wrong(*c)) {
        None => Ok(segment.text.to_owned()),
        Some((at, c)) => {
            let end = at + c.len_utf8();
            let place = Segment { text: &segment.text[at..end], start: segment.start + at };
            let shown = if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
            let message = format!("`{shown}` can't stand in an {what}'s name");
            Err(place.error(message, format!("write the {what}'s name as the module has it")))
        }
    }
}

fn no_template(text: &str, start: usize) -> Result<(), LanguageError> {
    let Some(at) = text.find("${").or_else(|| text.find('{')) else { return Ok(()) };
    let end = text[at..].find('}').map_or(text.len(), |end| at + end + 1);
    let template = Segment { text: &text[at..end], start: start + at };
    Err(template.error(
        format!("`{}` is not filled in: routes take no templates", template.text),
        "write the name itself; for other names on other devices, write another layer with its own routes",
    ))
}

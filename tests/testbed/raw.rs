//! HTTP over a unix socket, blocking and simple: for assertions and for interference from outside.

use serde_json::Value as Json;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }
}

/// One request on a connection of its own.
pub(crate) fn exchange(
    socket: &Path,
    method: &str,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> io::Result<Answer> {
    exchange_with(socket, method, path, &[("Content-Type", content_type)], body)
}

/// Likewise, with other headers.
pub(crate) fn exchange_with(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut reader = BufReader::new(stream);
    let head = read_head(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    let mut content = Vec::new();
    copy_body(&mut reader, &mut content, framing(&head, true), false)?;
    Ok(Answer { status, text: String::from_utf8_lossy(&content).into_owned() })
}

/// How the end of a body is known.
#[derive(Clone, Copy)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    ToTheEnd,
}

/// The framing that a head tells; a request without any has no body.
pub(crate) fn framing(head: &str, is_answer: bool) -> Framing {
    let header = |name: &str| {
        head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    if header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        return Framing::Chunked;
    }
    match header("content-length").and_then(|value| value.parse().ok()) {
        Some(length) => Framing::Length(length),
        None if is_answer => Framing::ToTheEnd,
        None => Framing::Length(0),
    }
}

/// A head up to its empty line, which is included; `None` if the other side closed before it.
pub(crate) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if reader.read_line(&mut head)? == 0 {
            return if head.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        if head[before..].trim().is_empty() {
            return Ok(Some(head));
        }
    }
}

/// Copies a body, as it comes; with the marks of its chunks if they are wanted.
pub(crate) fn copy_body(
    from: &mut impl BufRead,
    to: &mut impl Write,
    framing: Framing,
    with_marks: bool,
) -> io::Result<()> {
    match framing {
        Framing::Length(length) => {
            io::copy(&mut from.take(length), to)?;
        }
        Framing::ToTheEnd => {
            io::copy(from, to)?;
        }
        Framing::Chunked => loop {
            let mut mark = String::new();
            from.read_line(&mut mark)?;
            let size = u64::from_str_radix(mark.trim(), 16)
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            let mut chunk = Vec::new();
            from.take(size + 2).read_to_end(&mut chunk)?;
            if with_marks {
                to.write_all(mark.as_bytes())?;
                to.write_all(&chunk)?;
                to.flush()?;
            } else {
                to.write_all(&chunk[..chunk.len().saturating_sub(2)])?;
            }
            if size == 0 {
                break;
            }
        },
    }
    to.flush()
}

/// A text as one value in a query.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

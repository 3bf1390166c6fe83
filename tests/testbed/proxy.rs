//! A proxy before an engine's socket: it writes down every request, and can kill a process or cut the
//! connection before or after one of them.

use super::raw::{Framing, copy_body, framing, read_head};
use std::io::{self, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
}

impl Request {
    /// Whether it is the list of all containers.
    pub(crate) fn is_list(&self) -> bool {
        self.method == "GET" && self.path.contains("/containers/json")
    }

    /// Whether it changes something.
    pub(crate) fn is_change(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

/// When a trap springs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// The engine never sees the request.
    Before,
    /// The engine has done it; the client never sees the answer.
    After,
}

/// What happens at one request.
pub(crate) struct Trap {
    /// The n-th from now on, from 1, of the requests that match.
    pub(crate) nth: usize,
    /// Which requests count.
    pub(crate) matches: fn(&Request) -> bool,
    /// Before or after it.
    pub(crate) when: When,
    /// The process to kill; `None` only cuts the connection.
    pub(crate) kill: Option<u32>,
}

#[derive(Default)]
struct State {
    log: Vec<Request>,
    trap: Option<Trap>,
}

/// A running proxy.
pub(crate) struct Proxy {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
    _dir: tempfile::TempDir,
}

impl Proxy {
    /// A proxy before an engine's socket.
    pub(crate) fn before(engine: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("hoist-proxy-").tempdir().expect("a folder");
        let socket = dir.path().join("proxy.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let state: Arc<Mutex<State>> = Arc::default();
        let (shared, engine) = (Arc::clone(&state), engine.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (state, engine) = (Arc::clone(&shared), engine.clone());
                std::thread::spawn(move || {
                    // A broken connection is what both sides then see.
                    let _ = relay(&client, &engine, &state);
                    let _ = client.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        Self { socket, state, _dir: dir }
    }

    /// Its address as a device file has it.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// All requests so far.
    pub(crate) fn log(&self) -> Vec<Request> {
        self.state.lock().expect("the log").log.clone()
    }

    /// Forgets the requests so far.
    pub(crate) fn forget(&self) {
        self.state.lock().expect("the log").log.clear();
    }

    /// Sets a trap; one that is set already is replaced.
    pub(crate) fn set_trap(&self, trap: Trap) {
        self.state.lock().expect("the trap").trap = Some(trap);
    }
}

fn relay(client: &UnixStream, engine: &Path, state: &Mutex<State>) -> io::Result<()> {
    let mut from_client = BufReader::new(client);
    let upstream = UnixStream::connect(engine)?;
    let mut from_engine = BufReader::new(&upstream);
    while let Some(head) = read_head(&mut from_client)? {
        let mut words = head.split(' ');
        let request = Request {
            method: words.next().unwrap_or_default().to_owned(),
            path: words.next().unwrap_or_default().to_owned(),
        };
        let is_head = request.method == "HEAD";
        let sprung = arrive(state, request);
        if let Some((When::Before, kill)) = sprung {
            return spring(kill);
        }
        let mut to_engine = &upstream;
        to_engine.write_all(head.as_bytes())?;
        copy_body(&mut from_client, &mut to_engine, framing(&head, false), true)?;

        let answer = read_head(&mut from_engine)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        let framing = if is_head || matches!(status, "204" | "304") {
            Framing::Length(0)
        } else {
            framing(&answer, true)
        };
        if let Some((_, kill)) = sprung {
            copy_body(&mut from_engine, &mut io::sink(), framing, true)?;
            return spring(kill);
        }
        let mut to_client = client;
        to_client.write_all(answer.as_bytes())?;
        copy_body(&mut from_engine, &mut to_client, framing, true)?;
    }
    Ok(())
}

fn arrive(state: &Mutex<State>, request: Request) -> Option<(When, Option<u32>)> {
    let mut state = state.lock().expect("the trap");
    let sprung = match &mut state.trap {
        Some(trap) if (trap.matches)(&request) => {
            trap.nth = trap.nth.saturating_sub(1);
            (trap.nth == 0).then_some((trap.when, trap.kill))
        }
        _ => None,
    };
    if sprung.is_some() {
        state.trap = None;
    }
    state.log.push(request);
    sprung
}

fn spring(kill: Option<u32>) -> io::Result<()> {
    if let Some(pid) = kill {
        super::kill(pid);
    }
    Err(io::ErrorKind::ConnectionAborted.into())
}

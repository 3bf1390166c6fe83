//! A relay before a port of loopback: it counts connections, and can cut all of them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A running relay.
pub(crate) struct Relay {
    pub(crate) port: u16,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    pub(crate) fn before(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let streams: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let kept = Arc::clone(&streams);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                for stream in [&client, &server] {
                    stream.set_nodelay(true).expect("an option of loopback");
                }
                kept.lock().expect("the list").push(client.try_clone().expect("a handle"));
                let back = (client.try_clone(), server.try_clone());
                std::thread::spawn(move || copy(client, server));
                if let (Ok(client), Ok(server)) = back {
                    std::thread::spawn(move || copy(server, client));
                }
            }
        });
        Self { port, streams }
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.streams.lock().expect("the list").len()
    }

    /// Cuts all that are open.
    pub(crate) fn cut(&self) {
        for stream in self.streams.lock().expect("the list").iter() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // Either may be closed already.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

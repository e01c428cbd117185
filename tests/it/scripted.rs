//! A server that says exactly what a test tells it to, byte for byte, and remembers what it was asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The number of the request, from 1.
    pub(crate) number: usize,
    /// Request line and headers.
    pub(crate) head: String,
}

impl Asked {
    /// What stands between method and version.
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// A parameter of the query.
    fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target().split_once('?')?;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    pub(crate) fn number_of(&self, name: &str) -> Option<i64> {
        self.query(name)?.parse().ok()
    }
}

/// What the server does with a request.
pub(crate) enum Reply {
    /// These bytes; the connection stays.
    Bytes(Vec<u8>),
    /// These bytes, then the connection is closed.
    Last(Vec<u8>),
    /// Nothing for so long, then the connection is closed.
    Silence(Duration),
    /// A space every so often, without an end.
    Drips(Duration),
}

/// Answers with a status, headers (each with its line end) and a body.
pub(crate) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    Reply::Bytes(bytes)
}

pub(crate) fn ok(body: impl AsRef<[u8]>) -> Reply {
    answer("200 OK", "", body)
}

/// A page of conversations, one at each of `times`, as the window, `per_page` and `cursor` (a number of records to
/// skip) ask for.
pub(crate) fn page(asked: &Asked, times: &[i64]) -> String {
    let (start, end) = (
        asked.number_of("start_time").unwrap(),
        asked.number_of("end_time").unwrap(),
    );
    let skip = usize::try_from(asked.number_of("cursor").unwrap_or(0)).unwrap();
    let per_page = usize::try_from(asked.number_of("per_page").unwrap()).unwrap();
    let within: Vec<i64> = times
        .iter()
        .copied()
        .filter(|time| (start..end).contains(time))
        .collect();
    let data: Vec<_> = within
        .iter()
        .skip(skip)
        .take(per_page)
        .map(|time| json!({"_id": format!("c{time}"), "startTime": time}))
        .collect();
    let cursor = (skip + per_page < within.len()).then(|| (skip + per_page).to_string());
    json!({"data": data, "cursor": cursor}).to_string()
}

/// A server on 127.0.0.1.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

impl Scripted {
    pub(crate) fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script)
    }

    pub(crate) fn start_at(
        address: SocketAddr,
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            connections: Arc::default(),
        };
        let (asked, connections) = (Arc::clone(&server.asked), Arc::clone(&server.connections));
        let script = Arc::new(script);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::Relaxed);
                let (script, asked) = (Arc::clone(&script), Arc::clone(&asked));
                thread::spawn(move || serve(socket, &*script, &asked));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Answers the requests of one connection; whoever hangs up in between is no failure of the test.
fn serve(mut socket: TcpStream, script: &(impl Fn(&Asked) -> Reply + ?Sized), asked: &Mutex<Vec<Asked>>) {
    while let Some(head) = head(&mut socket) {
        let request = {
            let mut asked = asked.lock().unwrap();
            let number = asked.len() + 1;
            asked.push(Asked { number, head });
            asked[number - 1].clone()
        };
        match script(&request) {
            Reply::Bytes(bytes) => {
                if socket.write_all(&bytes).is_err() {
                    return;
                }
            }
            Reply::Last(bytes) => {
                let _ = socket.write_all(&bytes);
                return;
            }
            Reply::Silence(time) => {
                thread::sleep(time);
                return;
            }
            Reply::Drips(every) => {
                let mut bytes: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n";
                while socket.write_all(bytes).is_ok() {
                    thread::sleep(every);
                    bytes = b" ";
                }
                return;
            }
        }
    }
}

/// The head of the next request; its body is empty.
fn head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if socket.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// Passes connections on to another server, unchanged, and counts them.
pub(crate) fn relay(to: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&connections);
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::Relaxed);
            let far = TcpStream::connect(to).unwrap();
            for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (address, connections)
}

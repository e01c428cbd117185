//! A proxy before a server, with the faults of networks and of overloaded servers. One connection carries one request.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How often requests fail, each from 0 to 1; together at most 1.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Answered with 503 without reaching the server.
    pub(crate) refused: f64,
    /// The connection ends before the request reaches the server.
    pub(crate) dropped: f64,
    /// The server does it, and the connection ends without an answer.
    pub(crate) lost: f64,
    /// The server does it, and the answer is 503.
    pub(crate) lost_with_503: f64,
    /// A conditional write is answered with 409 without reaching the server.
    pub(crate) conflict: f64,
    /// The server does it, and the connection ends within the answer.
    pub(crate) cut: f64,
}

pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: u16,
    faults: Faults,
    random: Mutex<StdRng>,
    injected: Mutex<BTreeMap<&'static str, u64>>,
    is_stopped: AtomicBool,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 until it is dropped.
    pub(crate) fn start(server: u16, faults: Faults, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let kinds = ["refused", "dropped", "lost", "lost with 503", "conflict", "cut"];
        let shared = Arc::new(Shared {
            server,
            faults,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            injected: Mutex::new(kinds.map(|kind| (kind, 0)).into()),
            is_stopped: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if own.is_stopped.load(Ordering::Relaxed) {
                    break;
                }
                let own = Arc::clone(&own);
                thread::spawn(move || {
                    // whatever fails, the client sees a connection that ends
                    let _ = own.serve(client);
                });
            }
        });
        Self { port, shared }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many faults of each kind there were.
    pub(crate) fn injected(&self) -> BTreeMap<&'static str, u64> {
        self.shared.injected.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let Some((head, body)) = read_request(&mut client)? else {
            return Ok(());
        };
        let lower = head.to_ascii_lowercase();
        let is_conditional = [
            "\r\nif-none-match:",
            "\r\nif-match:",
            "\r\nx-goog-if-generation-match:",
        ]
        .iter()
        .any(|header| lower.contains(header));
        let kind = self.draw(is_conditional && head.starts_with("PUT"));
        match kind {
            "dropped" => return Ok(()),
            "refused" => return client.write_all(&short("503 Service Unavailable", "SlowDown")),
            "conflict" => return client.write_all(&short("409 Conflict", "ConditionalRequestConflict")),
            _ => {}
        }
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server))?;
        server.write_all(with_close(&head).as_bytes())?;
        server.write_all(&body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        match kind {
            "lost" => Ok(()),
            "lost with 503" => client.write_all(&short("503 Service Unavailable", "InternalError")),
            "cut" => client.write_all(&answer[..answer.len() - answer.len().min(10)]),
            _ => client.write_all(&answer),
        }?;
        client.shutdown(Shutdown::Write)
    }

    /// The kind of fault of a request; empty for none.
    fn draw(&self, is_conditional: bool) -> &'static str {
        let faults = self.faults;
        let mut drawn: f64 = self.random.lock().unwrap().random();
        for (kind, share) in [
            ("refused", faults.refused),
            ("dropped", faults.dropped),
            ("lost", faults.lost),
            ("lost with 503", faults.lost_with_503),
            ("cut", faults.cut),
            ("conflict", if is_conditional { faults.conflict } else { 0.0 }),
        ] {
            if drawn < share {
                *self.injected.lock().unwrap().get_mut(kind).unwrap() += 1;
                return kind;
            }
            drawn -= share;
        }
        ""
    }
}

/// The head of a request, without the empty line, and its body. `None` where the client sends nothing.
pub(crate) fn read_request(client: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut received = Vec::new();
    let mut chunk = [0; 64 * 1_024];
    let end = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        match client.read(&mut chunk)? {
            0 => return Ok(None),
            length => received.extend_from_slice(&chunk[..length]),
        }
    };
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let mut body = received.split_off(end + 4);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().unwrap())
    });
    let length: usize = length.unwrap_or(0);
    while body.len() < length {
        match client.read(&mut chunk)? {
            0 => return Ok(None),
            read => body.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(Some((head, body)))
}

/// The head of a request after which the server closes the connection.
fn with_close(head: &str) -> String {
    let others: Vec<_> = head
        .split("\r\n")
        .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"))
        .collect();
    format!("{}\r\nConnection: close\r\n\r\n", others.join("\r\n"))
}

fn short(status: &str, code: &str) -> Vec<u8> {
    let body = format!("<Error><Code>{code}</Code><Message>A test says so.</Message></Error>");
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

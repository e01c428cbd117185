//! A server that answers every request as a test says, and records what it was asked.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::proxy::read_request;

/// From the head and the body of a request to the whole answer; nothing means that there is none.
type Answer = dyn Fn(&str, &[u8]) -> Option<String> + Send + Sync;

pub(crate) struct Scripted {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    is_stopped: Arc<AtomicBool>,
}

impl Scripted {
    pub(crate) fn start(answer: impl Fn(&str, &[u8]) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let is_stopped = Arc::new(AtomicBool::new(false));
        let answer: Arc<Answer> = Arc::new(answer);
        let (own_requests, own_stop) = (Arc::clone(&requests), Arc::clone(&is_stopped));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if own_stop.load(Ordering::Relaxed) {
                    break;
                }
                let (requests, answer, stop) = (
                    Arc::clone(&own_requests),
                    Arc::clone(&answer),
                    Arc::clone(&own_stop),
                );
                thread::spawn(move || serve(client, &requests, &*answer, &stop));
            }
        });
        Self {
            port,
            requests,
            is_stopped,
        }
    }

    /// A server that always gives the same answer.
    pub(crate) fn always(status: &str, headers: &str, body: &str) -> Self {
        let answer = answer(status, headers, body);
        Self::start(move |_, _| Some(answer.clone()))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The first lines of all requests.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn serve(mut client: TcpStream, requests: &Mutex<Vec<String>>, answer: &Answer, is_stopped: &AtomicBool) {
    let Ok(Some((head, body))) = read_request(&mut client) else {
        return;
    };
    requests
        .lock()
        .unwrap()
        .push(head.lines().next().unwrap_or_default().to_owned());
    match answer(&head, &body) {
        Some(text) => {
            let _ = client.write_all(text.as_bytes());
        }
        // the connection stays open
        None => {
            while !is_stopped.load(Ordering::Relaxed) {
                thread::sleep(std::time::Duration::from_millis(50));
            }
        }
    }
}

/// An answer after which the connection ends.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

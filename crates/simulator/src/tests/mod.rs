//! The simulator as its clients see it: over a socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::*;

mod contents;
mod faults;
mod limits;
mod rules;
mod walks;

const BOT: &str = "r3-218210";

/// An answer: its status, head and body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// One request on a connection of its own. An error where the answer is missing or breaks off.
fn send(simulator: &Simulator, line: &str, headers: &str) -> std::io::Result<Answer> {
    let address = simulator.base_url().trim_start_matches("http://");
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(
        socket,
        "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n"
    )?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes)?;
    let cut = || std::io::Error::from(ErrorKind::UnexpectedEof);
    let end = bytes
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .ok_or_else(cut)?;
    let head = String::from_utf8(bytes[..end].to_vec())
        .unwrap()
        .replace('\r', "");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let answer = Answer {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    };
    let promised: usize = answer.header("content-length").unwrap().parse().unwrap();
    if answer.body.len() < promised {
        Err(cut())
    } else {
        Ok(answer)
    }
}

fn ask(simulator: &Simulator, endpoint: Endpoint, query: &str) -> std::io::Result<Answer> {
    send(
        simulator,
        &format!("GET {}?{query}", endpoint.path()),
        "x-api-key: demo-key\r\n",
    )
}

fn query(per_page: u32) -> String {
    let range = Options::default().range;
    format!(
        "start_time={}&end_time={}&bot_name={BOT}&per_page={per_page}",
        range.start, range.end
    )
}

fn page(simulator: &Simulator, endpoint: Endpoint, per_page: u32, cursor: Option<&str>) -> Value {
    let cursor = cursor
        .map(|cursor| format!("&cursor={}", escaped(cursor)))
        .unwrap_or_default();
    let answer = ask(simulator, endpoint, &format!("{}{cursor}", query(per_page))).unwrap();
    assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

/// As a URL wants it.
fn escaped(cursor: &str) -> String {
    cursor.replace('+', "%2B").replace('=', "%3D")
}

/// The records of a whole chain, page by page.
fn walk(simulator: &Simulator, endpoint: Endpoint, per_page: u32) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut page = page(simulator, endpoint, per_page, cursor.as_deref());
        let Value::Array(records) = page["data"].take() else {
            panic!("data is no array")
        };
        pages.push(records);
        assert!(pages.len() < 1_000, "the chain has no end");
        match page["cursor"].take() {
            Value::Null => return pages,
            next => cursor = Some(next.as_str().unwrap().to_owned()),
        }
    }
}

fn ids(pages: &[Vec<Value>]) -> Vec<String> {
    pages
        .iter()
        .flatten()
        .map(|record| record["_id"].as_str().unwrap().to_owned())
        .collect()
}

fn small() -> Options {
    Options {
        conversations: 150,
        requests_per_second: 0.0,
        ..Options::default()
    }
}

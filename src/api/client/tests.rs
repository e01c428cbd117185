//! The client against servers on this machine.

use std::io::{Read, Write};
use std::net::TcpListener;

use futures_util::future::join_all;

use super::super::ApiKey;
use super::*;
use crate::window::Window;

const MIB: u64 = 1024 * 1024;

/// A server whose every answer is 4 MiB of spaces; its address.
fn large_answers() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            std::thread::spawn(move || {
                // each request comes in one piece
                while socket.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) {
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 4 * MIB);
                    let _ = socket.write_all(head.as_bytes());
                    for _ in 0..64 {
                        let _ = socket.write_all(&[b' '; 64 * 1024]);
                    }
                }
            });
        }
    });
    format!("http://{address}").parse().unwrap()
}

fn api_request(may_shrink: bool) -> ApiRequest {
    ApiRequest {
        endpoint: "/pages",
        bot: "bot".into(),
        window: Window::new(0, 9),
        per_page: 10,
        cursor: None,
        conversation: None,
        may_shrink,
    }
}

/// A server that answers each request with the next of these, and closes the connection; its address.
fn one_after_the_other(answers: Vec<String>) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (answer, socket) in answers.into_iter().zip(listener.incoming()) {
            let mut socket = socket.unwrap();
            std::thread::spawn(move || {
                let _ = socket.read(&mut [0; 4096]);
                if answer.is_empty() {
                    std::thread::sleep(Duration::from_millis(1500));
                }
                let _ = socket.write_all(answer.as_bytes());
            });
        }
    });
    format!("http://{address}").parse().unwrap()
}

fn status(status: u16) -> String {
    format!("HTTP/1.1 {status} Status\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

fn body(length: usize, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// How the request for a page ends, and how many attempts it takes.
async fn ended(api_request: ApiRequest, answers: Vec<String>) -> (Result<(), RequestError>, u64) {
    let mut connection = Connection::new(one_after_the_other(answers), ApiKey::new("key").unwrap());
    connection.read_timeout = Duration::from_millis(700);
    connection.max_page_bytes = 100;
    connection.retry_policy.limit = Duration::from_secs(20);
    connection.retry_policy.longest_wait = Duration::from_millis(20);
    let client = HttpClient::new(connection).unwrap();
    let (rate_limiter, stats) = (RateLimiter::new(0.0), RequestStats::default());
    let sent = rate_limiter.permit().await.unwrap().spend();
    let read = |body: &[u8]| match body.ends_with(b"}") {
        true => Ok(()),
        false => Err("it breaks off".to_owned()),
    };
    let page = client
        .page(&api_request, true, &rate_limiter, sent, &stats, read)
        .await;
    (page.map(|_| ()), stats.requests.load(Ordering::Relaxed))
}

fn page() -> String {
    body(2, "{}")
}

#[tokio::test]
async fn a_page_that_the_server_cannot_make_is_reported_after_three_attempts() {
    let failing = [
        vec![status(500), status(502), status(504)],
        // silence
        vec![String::new(); 3],
        // breaks off; ends regularly, and too early
        vec![body(50, "{\"data\":"), body(9, "{\"data\":["), status(502)],
        // a refusal in between says nothing of the size
        vec![status(502), status(429), status(502), status(502)],
    ];
    for mut answers in failing {
        let attempts = answers.len() as u64;
        answers.push(page());
        let (ended_as, requests) = ended(api_request(true), answers.clone()).await;
        assert!(
            matches!(ended_as, Err(RequestError::PageTooLarge { .. })),
            "{answers:?}: {ended_as:?}"
        );
        assert_eq!(requests, attempts, "{answers:?}");
        // where the caller cannot ask for less, another attempt is made
        let (ended_as, requests) = ended(api_request(false), answers.clone()).await;
        assert!(ended_as.is_ok(), "{answers:?}: {ended_as:?}");
        assert_eq!(requests, attempts + 1, "{answers:?}");
    }
}

#[tokio::test]
async fn a_page_too_large_is_reported_at_once() {
    let large = body(200, &" ".repeat(200));
    for cursor in [None, Some("c2".to_owned())] {
        for answer in [status(413), large.clone()] {
            let api_request = ApiRequest {
                cursor: cursor.clone(),
                ..api_request(true)
            };
            let (ended_as, requests) = ended(api_request, vec![answer, page()]).await;
            assert!(
                matches!(ended_as, Err(RequestError::PageTooLarge { .. })),
                "{ended_as:?}"
            );
            assert_eq!(requests, 1);
        }
    }
    for answer in [status(413), large] {
        let (ended_as, requests) = ended(api_request(false), vec![answer, page()]).await;
        assert!(
            matches!(ended_as, Err(RequestError::Failed { .. })),
            "{ended_as:?}"
        );
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn failures_that_the_size_does_not_explain_are_waited_out() {
    for answers in [
        vec![status(503), status(503), status(503), status(503), page()],
        vec![
            status(502),
            status(502),
            status(503),
            status(502),
            status(502),
            page(),
        ],
    ] {
        let attempts = answers.len() as u64;
        let (ended_as, requests) = ended(api_request(true), answers).await;
        assert!(ended_as.is_ok(), "{ended_as:?}");
        assert_eq!(requests, attempts);
    }
}

#[tokio::test]
async fn invariant_6_bodies_in_flight_are_bounded_by_their_bytes() {
    let connection = Connection {
        max_buffered_bytes: 8 * MIB,
        ..Connection::new(large_answers(), ApiKey::new("key").unwrap())
    };
    let client = HttpClient::new(connection).unwrap();
    let api_request = api_request(false);
    let (rate_limiter, stats) = (RateLimiter::new(0.0), RequestStats::default());
    let fetch = async |_| {
        for _ in 0..3 {
            let sent = rate_limiter.permit().await.unwrap().spend();
            let page = client
                .page(&api_request, true, &rate_limiter, sent, &stats, |_| Ok(()))
                .await;
            let (answer, ()) = page.unwrap();
            assert_eq!(answer.body.len() as u64, 4 * MIB);
            // the spool keeps it
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    join_all((0..16).map(fetch)).await;
    // beside one body, of each other one the piece that was under way
    let most = client.memory.most();
    assert!(most >= 8 * MIB, "{most}");
    assert!(most <= (8 + 4) * MIB + 15 * MIB / 2, "{most}");
}

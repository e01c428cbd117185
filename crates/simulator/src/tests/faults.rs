//! What goes wrong, as a client meets it.

use super::*;

/// The answer to the first request, which meets `fault`, and the one after it.
async fn meet(fault: Fault) -> (std::io::Result<Answer>, Answer, Stats) {
    let script = vec![(Endpoint::Messages, 1, fault)];
    let faults = Faults {
        script,
        ..Faults::default()
    };
    let simulator = Simulator::start(Options { faults, ..small() }).await.unwrap();
    let first = ask(&simulator, Endpoint::Messages, &query(20));
    let second = ask(&simulator, Endpoint::Messages, &query(20)).unwrap();
    (first, second, simulator.stats(Endpoint::Messages))
}

#[tokio::test]
async fn connections_that_are_closed() {
    let held = Fault::Held(Duration::from_millis(20));
    for fault in [Fault::Refused, Fault::AnswerLost, held, Fault::BrokenBody] {
        let status = if fault == Fault::BrokenBody { 200 } else { 0 };
        let (first, second, stats) = meet(fault.clone()).await;
        assert!(first.is_err(), "{fault:?}");
        assert_eq!(second.status, 200);
        assert_eq!((stats.requests, stats.answered, stats.faults), (2, 1, 1));
        assert_eq!(
            (stats.log[0].status, stats.log[0].records),
            (status, 0),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn answers_that_are_no_pages() {
    let status = |code, retry_after| Fault::Status { code, retry_after };
    for (fault, code, wait) in [
        (status(503, Some(7)), 503, Some("7")),
        (status(502, None), 502, None),
        (status(408, None), 408, None),
        (status(429, Some(0)), 429, Some("0")),
    ] {
        let (first, second, _) = meet(fault).await;
        let first = first.unwrap();
        assert_eq!(
            (first.status, first.header("retry-after"), second.status),
            (code, wait, 200)
        );
    }
    let (html, ..) = meet(Fault::Html).await;
    let html = html.unwrap();
    assert_eq!(
        (html.status, html.header("content-type")),
        (200, Some("text/html"))
    );
    let to = "http://127.0.0.1:9/elsewhere".to_owned();
    let (redirect, ..) = meet(Fault::Redirect {
        code: 307,
        to: to.clone(),
    })
    .await;
    let redirect = redirect.unwrap();
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (307, Some(to.as_str()))
    );
}

#[tokio::test]
async fn pages_that_are_not_quite_right() {
    let (half, whole, stats) = meet(Fault::TruncatedJson).await;
    let half = half.unwrap();
    assert_eq!(half.body, whole.body[..whole.body.len() / 2]);
    assert!(serde_json::from_slice::<Value>(&half.body).is_err());
    assert_eq!(stats.answered, 1);
    let (slow, prompt, stats) = meet(Fault::Slow(Duration::from_millis(5))).await;
    assert_eq!((slow.unwrap().json(), stats.answered), (prompt.json(), 2));
}

#[tokio::test]
async fn a_cursor_that_is_repeated() {
    let script = vec![(Endpoint::Messages, 2, Fault::RepeatedCursor)];
    let faults = Faults {
        script,
        ..Faults::default()
    };
    let simulator = Simulator::start(Options { faults, ..small() }).await.unwrap();
    let first = page(&simulator, Endpoint::Messages, 10, None);
    let second = page(&simulator, Endpoint::Messages, 10, first["cursor"].as_str());
    assert_eq!(second["cursor"], first["cursor"]);
    assert_ne!(second["data"], first["data"]);
}

#[tokio::test]
async fn chance_strikes_as_often_as_it_should() {
    let kinds = vec![
        Fault::Refused,
        Fault::Status {
            code: 500,
            retry_after: None,
        },
    ];
    let faults = Faults {
        probability: 0.3,
        kinds,
        ..Faults::default()
    };
    let simulator = Simulator::start(Options { faults, ..small() }).await.unwrap();
    let answered = (0..200)
        .filter(|_| ask(&simulator, Endpoint::Messages, &query(1)).is_ok_and(|answer| answer.status == 200))
        .count();
    let stats = simulator.stats(Endpoint::Messages);
    assert_eq!(
        (stats.answered, stats.faults),
        (answered as u64, 200 - answered as u64)
    );
    assert!((30..90).contains(&stats.faults), "{}", stats.faults);
}

#[tokio::test]
async fn stopping_closes_what_is_held() {
    let faults = Faults {
        script: vec![(Endpoint::Messages, 1, Fault::Held(Duration::from_secs(3600)))],
        ..Faults::default()
    };
    let simulator = Simulator::start(Options { faults, ..small() }).await.unwrap();
    let address = simulator.base_url().trim_start_matches("http://").to_owned();
    let mut socket = TcpStream::connect(&address).unwrap();
    let get = format!("GET {}?{}", Endpoint::Messages.path(), query(1));
    write!(
        socket,
        "{get} HTTP/1.1\r\nhost: {address}\r\nx-api-key: demo-key\r\n\r\n"
    )
    .unwrap();
    while simulator.stats(Endpoint::Messages).requests == 0 {
        tokio::task::yield_now().await;
    }
    simulator.stop().await;
    let mut rest = Vec::new();
    // A clean end or a reset, and no answer.
    drop(socket.read_to_end(&mut rest));
    assert!(rest.is_empty());
    assert!(TcpStream::connect(&address).is_err());
}

#[tokio::test]
async fn serving_lasts_until_it_is_stopped() {
    let mut address = String::new();
    let started = |simulator: &Simulator| {
        assert_eq!(ask(simulator, Endpoint::Messages, &query(1)).unwrap().status, 200);
        simulator
            .base_url()
            .trim_start_matches("http://")
            .clone_into(&mut address);
    };
    serve(small(), started, std::future::ready(())).await.unwrap();
    assert!(TcpStream::connect(&address).is_err());
}

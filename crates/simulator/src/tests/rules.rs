//! Who is let in, and what is refused.

use super::*;

fn code(answer: &Answer) -> (u16, String) {
    let error = answer.json();
    assert!(error["error"]["message"].is_string());
    (answer.status, error["error"]["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let simulator = Simulator::start(small()).await.unwrap();
    let right = query(10);
    let cases = [
        (right.replace("start_time", "x"), 400, "invalid_request"),
        (right.replace("end_time=", "end_time=1.5"), 400, "invalid_request"),
        (
            right.replace("start_time=", "start_time=9"),
            400,
            "invalid_request",
        ),
        (right.replace("per_page=10", "per_page=0"), 400, "invalid_request"),
        (
            right.replace("per_page=10", "per_page=1001"),
            400,
            "invalid_request",
        ),
        (
            right.replace("per_page=10", "per_page=ten"),
            400,
            "invalid_request",
        ),
        (right.replace("bot_name", "x"), 400, "invalid_request"),
        (right.replace("r3-", "r4-"), 404, "unknown_bot"),
        (format!("{right}&conversation_id=7"), 400, "invalid_request"),
        (format!("{right}&cursor=7"), 400, "invalid_cursor"),
        (format!("{right}&cursor="), 400, "invalid_cursor"),
    ];
    for (query, status, expected) in &cases {
        let answer = ask(&simulator, Endpoint::Messages, query).unwrap();
        assert_eq!(code(&answer), (*status, (*expected).to_owned()), "{query}");
    }
    let get = format!("GET {}?{right}", Endpoint::Messages.path());
    let keys = [
        ("", 401),
        ("x-api-key: wrong\r\n", 401),
        ("x-api-key: viewer-key\r\n", 403),
    ];
    for (headers, status) in keys {
        assert_eq!(code(&send(&simulator, &get, headers).unwrap()).0, status);
    }
    let key = "x-api-key: demo-key\r\n";
    assert_eq!(code(&send(&simulator, "GET /elsewhere", key).unwrap()).0, 404);
    assert_eq!(
        code(&send(&simulator, &get.replace("GET", "POST"), key).unwrap()).0,
        405
    );
    let stats = simulator.stats(Endpoint::Messages);
    assert_eq!(
        (stats.requests, stats.answered, stats.faults),
        (cases.len() as u64 + 3, 0, 0)
    );
}

#[tokio::test]
async fn a_page_has_100_records_where_none_are_named() {
    let simulator = Simulator::start(small()).await.unwrap();
    let answer = ask(
        &simulator,
        Endpoint::Messages,
        &query(1).replace("&per_page=1", ""),
    )
    .unwrap();
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 100);
    let log = &simulator.stats(Endpoint::Messages).log[0];
    assert_eq!(
        (log.status, log.records, log.per_page, log.bot.as_str()),
        (200, 100, 0, BOT)
    );
    assert_eq!(log.start_time..log.end_time, Options::default().range);
}

#[tokio::test]
async fn the_limit_refuses_and_says_for_how_long() {
    for counting in [Counting::TokenBucket, Counting::SlidingSecond] {
        let clock = Clock::fixed(1_800_000_000);
        for retry_after in [RetryAfter::Seconds, RetryAfter::HttpDate, RetryAfter::Nothing] {
            // One request in a thousand seconds, so that the test may be as slow as it likes.
            let options = Options {
                requests_per_second: 0.001,
                counting,
                retry_after,
                clock: clock.clone(),
                ..small()
            };
            let simulator = Simulator::start(options).await.unwrap();
            assert_eq!(
                ask(&simulator, Endpoint::Messages, &query(1)).unwrap().status,
                200
            );
            let refused = ask(&simulator, Endpoint::Messages, &query(1)).unwrap();
            assert_eq!(code(&refused), (429, "rate_limited".to_owned()));
            let date = refused.header("date").unwrap();
            assert_eq!(date, clock::http_date(clock.now_us()));
            let wait = refused.header("retry-after");
            match retry_after {
                RetryAfter::Nothing => assert_eq!(wait, None),
                RetryAfter::Seconds => assert!((1..=1000).contains(&wait.unwrap().parse::<u32>().unwrap())),
                RetryAfter::HttpDate => {
                    let until = (1..=1001).map(|wait| clock::http_date(clock.now_us() + wait * 1_000_000));
                    assert!(until.into_iter().any(|date| wait == Some(&date)), "{wait:?}");
                }
            }
            // The other endpoint has a limit of its own.
            assert_eq!(
                ask(&simulator, Endpoint::Conversations, &query(1))
                    .unwrap()
                    .status,
                200
            );
            let stats = simulator.stats(Endpoint::Messages);
            assert_eq!((stats.requests, stats.answered, stats.refused_429), (2, 1, 1));
        }
    }
}

#[tokio::test]
async fn cursors_die_with_the_status_that_was_chosen() {
    for cursor in [CursorKind::Token, CursorKind::Scroll] {
        let cursor_life = Some(CursorLife::Requests(1));
        let options = Options {
            cursor,
            cursor_life,
            dead_cursor: 410,
            ..small()
        };
        let simulator = Simulator::start(options).await.unwrap();
        let first = page(&simulator, Endpoint::Messages, 10, None);
        page(&simulator, Endpoint::Messages, 10, None);
        let late = format!(
            "{}&cursor={}",
            query(10),
            escaped(first["cursor"].as_str().unwrap())
        );
        let answer = ask(&simulator, Endpoint::Messages, &late).unwrap();
        assert_eq!(code(&answer), (410, "expired_cursor".to_owned()));
    }
}

#[tokio::test]
async fn a_token_is_refused_with_another_window_and_an_offset_is_not() {
    for (cursor, status) in [(CursorKind::Token, 400), (CursorKind::Offset, 200)] {
        let simulator = Simulator::start(Options { cursor, ..small() }).await.unwrap();
        let first = page(&simulator, Endpoint::Messages, 10, None);
        let other = format!(
            "{}&cursor={}",
            query(11),
            escaped(first["cursor"].as_str().unwrap())
        );
        assert_eq!(
            ask(&simulator, Endpoint::Messages, &other).unwrap().status,
            status
        );
    }
}

#[tokio::test]
async fn the_clock_shows_records_as_time_goes_on() {
    let range = Options::default().range;
    let clock = Clock::fixed(range.start);
    let options = Options {
        clock: clock.clone(),
        order: Order::Unordered,
        ..small()
    };
    let simulator = Simulator::start(options).await.unwrap();
    let seen = || walk(&simulator, Endpoint::Conversations, 100).concat().len();
    let before = seen();
    clock.set(range.start + 2 * 86_400);
    let between = seen();
    clock.set(range.end + 86_400);
    assert!(
        before <= 1 && before < between && between < 150,
        "{before} {between}"
    );
    assert_eq!(seen(), 150);
}

#[tokio::test]
async fn settings_that_contradict_themselves_are_told() {
    let wrong = [
        Options {
            range: 5..5,
            ..small()
        },
        Options {
            bots: vec![],
            ..small()
        },
        Options {
            requests_per_second: f64::NAN,
            ..small()
        },
        Options {
            per_page_default: 2000,
            ..small()
        },
        Options {
            dead_cursor: 300,
            ..small()
        },
        Options {
            extra: vec![Injected {
                endpoint: Endpoint::Messages,
                time_seconds: i64::MAX,
                raw_json: String::new(),
            }],
            ..small()
        },
    ];
    for options in wrong {
        let told = Simulator::start(options.clone()).await.map(|_| ()).unwrap_err();
        assert_eq!(told.kind(), ErrorKind::InvalidInput, "{options:?}");
    }
}

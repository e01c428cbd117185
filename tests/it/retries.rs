//! What may heal is asked for again, whatever it was; what cannot heal is told at once.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::run::Export;
use crate::scripted::{Reply, Scripted, answer, ok, page};
use crate::world::{World, small};

/// A conversation every hour of the world's first days.
fn times(world: &World, many: i64) -> Vec<i64> {
    (0..many).map(|hour| world.range.start + hour * 3600).collect()
}

/// One request after the other, of ten conversations each.
fn one_by_one<'a>(world: &'a World, server: &Scripted) -> Export<'a> {
    let export = world.export().of(&server.url()).only("conversations");
    export.args(&["--concurrency", "1", "--per-page", "10"])
}

/// An attempt's way to fail.
type Failing = fn(&str) -> Reply;

fn broken(headers: &str, body: &str) -> Reply {
    Reply::Last(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{body}").into_bytes())
}

#[test]
fn every_attempt_that_fails_is_made_again() {
    let failing: [(&str, Failing); 18] = [
        ("closed before headers", |_| Reply::Last(Vec::new())),
        ("closed within headers", |_| {
            Reply::Last(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec())
        }),
        ("closed in the body", |page| {
            broken(
                &format!("content-length: {}", page.len()),
                &page[..page.len() / 2],
            )
        }),
        ("closed in a chunk", |page| {
            broken(
                "transfer-encoding: chunked",
                &format!("{:x}\r\n{}", page.len(), &page[..page.len() / 2]),
            )
        }),
        ("content-length too large", |page| {
            broken(&format!("content-length: {}", page.len() + 10), page)
        }),
        ("content-length too small", |page| {
            broken(&format!("content-length: {}", page.len() - 10), page)
        }),
        ("no HTTP", |_| Reply::Last(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())),
        ("truncated JSON", |page| ok(&page[..page.len() / 2])),
        ("broken gzip", |page| {
            answer("200 OK", "content-encoding: gzip\r\n", page)
        }),
        ("HTML", |_| {
            answer(
                "200 OK",
                "content-type: text/html\r\n",
                "<html><title>Sign in</title></html>",
            )
        }),
        ("nothing", |_| ok("")),
        ("an error with 200", |_| ok(r#"{"error": {"message": "busy"}}"#)),
        ("408", |_| answer("408 Request Timeout", "", "")),
        ("425", |_| answer("425 Too Early", "", "")),
        ("429", |_| {
            answer("429 Too Many Requests", "retry-after: 0\r\n", "")
        }),
        ("503", |_| {
            answer("503 Service Unavailable", "retry-after: 1\r\n", "<html>")
        }),
        ("silence", |_| Reply::Silence(Duration::from_secs(4))),
        ("a body without an end", |_| {
            Reply::Drips(Duration::from_millis(100))
        }),
    ];
    let world = World::new(small());
    let (times, many) = (times(&world, 300), failing.len());
    let expected = times.len();
    // after some good ones every other request fails, each in its own way
    let server = Scripted::start(move |asked| {
        let page = page(asked, &times);
        match asked.number.checked_sub(5) {
            Some(odd) if odd % 2 == 0 && odd / 2 < many => failing[odd / 2].1(&page),
            _ => ok(page),
        }
    });
    let export = one_by_one(&world, &server).range(world.range.start..world.range.start + 300 * 3600);
    let run = export.args(&["--timeout", "2s", "-v"]).run().ok();
    assert_eq!(
        run.count("conversations", "retries"),
        many as u64,
        "{}",
        run.stderr
    );
    assert_eq!(run.count("conversations", "rate_limited"), 1);
    assert_eq!(world.lake().ids("conversations").len(), expected);
    assert_eq!(run.count("conversations", "rows"), expected as u64);
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let world = World::new(small());
    let times = times(&world, 30);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let export = world
        .export()
        .of(&format!("http://{address}"))
        .only("conversations");
    let running = export.start();
    thread::sleep(Duration::from_millis(800));
    let _server = Scripted::start_at(address, move |asked| ok(page(asked, &times)));
    let run = running.end().ok();
    assert!(run.count("conversations", "retries") > 0);
    assert_eq!(world.lake().ids("conversations").len(), 30);
}

#[test]
fn what_cannot_heal_is_asked_once_and_says_what_to_do() {
    for (status, words) in [
        ("400 Bad Request", "try a shorter range"),
        ("401 Unauthorized", "check the API key: a site admin"),
        ("403 Forbidden", "ask a site admin"),
        ("404 Not Found", "check --bot"),
        ("402 Payment Required", "whether the plan includes the Export API"),
        (
            "407 Proxy Authentication Required",
            "the proxy requires credentials",
        ),
        ("409 Conflict", "read the server's message"),
        ("410 Gone", "read the server's message"),
        ("418 I'm a teapot", "read the server's message"),
        ("501 Not Implemented", "read the server's message"),
    ] {
        let world = World::new(small());
        let server = Scripted::start(move |_| answer(status, "", r#"{"message": "that is why"}"#));
        let run = one_by_one(&world, &server).run().ended(1);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(run.stderr.contains("that is why"), "{}", run.stderr);
        assert!(!run.stderr.contains("again later"), "{}", run.stderr);
        // a range may be too long: shorter ones are requested, down to an hour
        let ranges = if status.starts_with("400") { 3 } else { 1 };
        assert_eq!(server.asked().len(), ranges, "{status}");
    }
}

#[test]
fn a_wait_beyond_all_patience_ends_the_run_at_once() {
    let world = World::new(small());
    let server = Scripted::start(|_| answer("429 Too Many Requests", "retry-after: 4000\r\n", ""));
    let begin = Instant::now();
    let export = world.export().of(&server.url());
    // two bots share the budget, and neither waits
    let run = export.args(&["--bot", "one", "--bot", "two"]).run().ended(3);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert!(
        run.stderr.contains("the server demands a wait of 1h 6m 40s"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_body_that_never_ends_is_given_up() {
    let world = World::new(small());
    let server = Scripted::start(|_| Reply::Drips(Duration::from_millis(100)));
    let export = one_by_one(&world, &server);
    let run = export
        .args(&["--timeout", "1s", "--retry-for", "2s"])
        .run()
        .ended(3);
    assert!(run.stderr.contains("did not respond in time"), "{}", run.stderr);
}

#[test]
fn no_wait_that_a_server_asks_for_is_too_long_to_be_reckoned_with() {
    for seconds in ["18000000000000000000", "9223372036854775807", "1e300"] {
        let world = World::new(small());
        let headers = format!("retry-after: {seconds}\r\n");
        let server = Scripted::start(move |_| answer("429 Too Many Requests", &headers, ""));
        let export = one_by_one(&world, &server).args(&["--retry-for", "1s"]);
        let run = export.run().ended(3);
        assert!(run.stderr.contains("because of its rate limit"), "{}", run.stderr);
    }
}

#[test]
fn a_bot_that_is_refused_for_long_stops_all_that_share_the_rate_limit() {
    let world = World::new(small());
    let times = times(&world, 30);
    let server = Scripted::start(move |asked| match asked.target().contains("bot_name=one") {
        true => answer("429 Too Many Requests", "retry-after: 60\r\n", ""),
        false => ok(page(asked, &times)),
    });
    let begin = Instant::now();
    let export = one_by_one(&world, &server).args(&["--bot", "one", "--bot", "two"]);
    let run = export.args(&["--retry-for", "3s"]).run().ended(3);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert!(
        run.stderr.contains("the server demands a wait of 1m"),
        "{}",
        run.stderr
    );
    let refused = server.asked();
    let refused = refused
        .iter()
        .filter(|asked| asked.target().contains("bot_name=one"));
    assert_eq!(refused.count(), 1);
}

#[test]
fn invariant_9_who_waits_behind_the_refusals_of_others_waits_no_longer_than_patience() {
    let world = World::new(small());
    let server = Scripted::start(|_| answer("429 Too Many Requests", "retry-after: 2\r\n", ""));
    let begin = Instant::now();
    let export = world.export().of(&server.url()).only("conversations");
    let bots = (0..8).flat_map(|bot| ["--bot".to_owned(), format!("b{bot}")]);
    let bots: Vec<String> = bots.collect();
    let bots: Vec<&str> = bots.iter().map(String::as_str).collect();
    export.args(&bots).args(&["--retry-for", "3s"]).run().ended(3);
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
}

#[test]
fn a_kept_cursor_that_is_refused_is_doubted_before_the_key_is() {
    let error = r#"{"data": null, "cursor": null, "message": "that is why"}"#;
    let nothing = r#"{"message": "that is why"}"#;
    for (status, body) in [
        ("401 Unauthorized", nothing),
        ("403 Forbidden", nothing),
        ("409 Conflict", nothing),
        ("418 I'm a teapot", nothing),
        ("200 OK", error),
    ] {
        let world = World::new(small());
        // so many within an hour that no window is thought to hold them
        let times: Vec<i64> = (0..300).map(|at| world.range.start + at * 10).collect();
        let restarted = Arc::new(AtomicBool::new(false));
        let revoked = Arc::new(AtomicBool::new(false));
        let (after, no_more) = (Arc::clone(&restarted), Arc::clone(&revoked));
        let first_anew = AtomicBool::new(false);
        let server = Scripted::start(move |asked| {
            let goes_on = asked.target().contains("cursor=");
            if no_more.load(Relaxed) {
                return answer(status, "", body);
            }
            first_anew.fetch_or(after.load(Relaxed) && !goes_on, Relaxed);
            match (after.load(Relaxed), goes_on) {
                // stopped in the middle of the chain
                (false, true) => answer("429 Too Many Requests", "", ""),
                // knows only the cursors that it gave since
                (true, true) if !first_anew.load(Relaxed) => answer(status, "", body),
                _ => ok(page(asked, &times)),
            }
        });
        let export = one_by_one(&world, &server);
        export.clone().args(&["--retry-for", "0s"]).run().ended(3);
        restarted.store(true, Relaxed);
        // where the key is really refused the first page says so
        revoked.store(true, Relaxed);
        let before = server.asked().len();
        let run = export.run().ended(1);
        assert!(run.stderr.contains("that is why"), "{}", run.stderr);
        assert!(server.asked().len() - before <= 6, "{status}");
        revoked.store(false, Relaxed);
        export.run().ok();
        assert_eq!(world.lake().ids("conversations").len(), 300, "{status}");
    }
}

#[test]
fn a_server_that_breaks_over_a_kept_cursor_is_asked_for_the_window_anew() {
    let world = World::new(small());
    let times: Vec<i64> = (0..300).map(|at| world.range.start + at * 10).collect();
    let restarted = Arc::new(AtomicBool::new(false));
    let after = Arc::clone(&restarted);
    let first_anew = AtomicBool::new(false);
    let server = Scripted::start(move |asked| {
        let goes_on = asked.target().contains("cursor=");
        first_anew.fetch_or(after.load(Relaxed) && !goes_on, Relaxed);
        match (after.load(Relaxed), goes_on) {
            // stopped in the middle of the chain
            (false, true) => answer("429 Too Many Requests", "", ""),
            // knows only the cursors that it gave since
            (true, true) if !first_anew.load(Relaxed) => answer("500 Internal Server Error", "", ""),
            _ => ok(page(asked, &times)),
        }
    });
    let export = one_by_one(&world, &server);
    export.clone().args(&["--retry-for", "0s"]).run().ended(3);
    restarted.store(true, Relaxed);
    export.args(&["--retry-for", "1s"]).run().ok();
    assert_eq!(world.lake().ids("conversations").len(), 300);
}

#[test]
fn a_server_that_forgets_every_cursor_is_told_with_its_own_words() {
    for (status, body) in [
        ("409 Conflict", r#"{"message": "that is why"}"#),
        (
            "200 OK",
            r#"{"data": [], "cursor": null, "error": "that is why"}"#,
        ),
    ] {
        let world = World::new(small());
        // more in one second than a page holds, so that no cut helps
        let times = vec![world.range.start; 50];
        let server = Scripted::start(move |asked| match asked.target().contains("cursor=") {
            true => answer(status, "", body),
            false => ok(page(asked, &times)),
        });
        let export = one_by_one(&world, &server);
        let run = export.args(&["--retry-for", "0s"]).run().ended(1);
        assert!(run.stderr.contains("that is why"), "{}", run.stderr);
    }
}

#[test]
fn a_listing_that_rested_for_long_begins_again() {
    let world = World::in_memory(small());
    let times = times(&world, 30);
    let expected = times.len() as u64;
    // a cursor is a number of records to skip; the first record is deleted while the export rests for a day
    let server = Scripted::start(move |asked| {
        let (day, left) = match asked.number {
            1 => (1, &times[..]),
            _ => (2, &times[1..]),
        };
        let date = format!("date: 0{day} Dec 2023 10:00:00 GMT\r\n");
        answer("200 OK", &date, page(asked, left))
    });
    let run = one_by_one(&world, &server).run().ok();
    assert_eq!(run.count("conversations", "rows"), expected);
}

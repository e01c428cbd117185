//! Answers that are not what they seem: successes that are none, clocks that are wrong, long waits, text that must not be
//! printed as it came.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use converse_export_simulator::{Clock, Growth, Options};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::run::{Export, Run, on};
use crate::scripted::{Asked, Reply, Scripted, answer, ok, page};
use crate::world::{World, small};

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

/// Conversations, one request after the other, of ten each.
fn one_by_one<'a>(world: &'a World, server: &Scripted) -> Export<'a> {
    let export = world.export().of(&server.url()).only("conversations");
    export.args(&["--concurrency", "1", "--per-page", "10"])
}

#[test]
fn invariant_11_a_server_clock_that_runs_ahead_does_not_make_young_time_complete() {
    let now = now();
    let world = World::new(Options {
        range: now - 600..now - 30,
        conversations: 60,
        clock: Clock::ahead(2 * 3600),
        growth: Growth {
            late_records: 10,
            after_requests: u64::MAX,
            ..Growth::default()
        },
        ..small()
    });
    let export = world.export().only("conversations").range(now - 600..now);
    export.run().ok();
    assert_eq!(world.lake().ids("conversations").len(), 50);
    world.simulator.archive().show_everything();
    export.run().ok();
    let truth = world.truth("conversations").into_keys().collect();
    assert_eq!(world.lake().ids("conversations"), truth);
}

#[test]
fn invariant_11_a_server_clock_that_runs_behind_decides() {
    let world = World::new(small());
    let at = now() - 3600;
    let date = DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&Timestamp::from_second(now() - 2 * 3600).unwrap())
        .unwrap();
    let server =
        Scripted::start(move |asked| answer("200 OK", &format!("date: {date}\r\n"), page(asked, &[at])));
    let export = one_by_one(&world, &server).range(at - 60..at + 60);
    export.run().ok();
    let before = server.asked().len();
    // an hour ago was not over yet by the server's clock
    export.run().ok();
    assert!(server.asked().len() > before);
}

/// Answers that a client may take for a page without records.
fn no_successes() -> Vec<Reply> {
    let empty = r#"{"data":[],"cursor":null}"#;
    let mut replies: Vec<Reply> = [
        "202 Accepted",
        "203 Non-Authoritative",
        "206 Partial Content",
        "207 Multi-Status",
    ]
    .into_iter()
    .map(|status| answer(status, "", empty))
    .collect();
    replies.push(Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()));
    replies.push(Reply::Bytes(
        b"HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ));
    let bodies = [
        r#"{"status":"error","data":[]}"#,
        r#"{"status":"error","data":[],"cursor":null}"#,
        r#"{"timed_out":true,"data":[],"cursor":null}"#,
        r#"{"error":"archive away","data":[],"cursor":null}"#,
        r#"{"success":false,"data":[],"cursor":null}"#,
        r#"{"partial":true,"data":[],"cursor":null}"#,
        r#"{"_shards":{"total":5,"failed":1},"data":[],"cursor":null}"#,
        r#"{"code":500,"data":[],"cursor":null}"#,
        r#"{"message":"Internal server error","data":[],"cursor":null}"#,
        r#"{"message":"Internal server error","data":null,"cursor":null}"#,
        r#"{"hasMore":true,"data":[],"cursor":null}"#,
        r#"{"data":null}"#,
        r#"{"cursor":null}"#,
    ];
    replies.extend(bodies.map(ok));
    replies
}

fn no_success(index: usize) -> Reply {
    no_successes().swap_remove(index)
}

/// More in an hour than a page has, so that a chain is long.
fn times(world: &World) -> Vec<i64> {
    (0..300).map(|at| world.range.start + at * 10).collect()
}

#[test]
fn invariant_5_a_success_that_is_none_is_a_failed_attempt() {
    let world = World::new(small());
    let (times, many) = (times(&world), no_successes().len());
    let server = Scripted::start(move |asked| match asked.number.checked_sub(5) {
        Some(odd) if odd % 2 == 0 && odd / 2 < many => no_success(odd / 2),
        _ => ok(page(asked, &times)),
    });
    let run = one_by_one(&world, &server).run().ok();
    assert_eq!(
        run.count("conversations", "retries"),
        many as u64,
        "{}",
        run.stderr
    );
    assert_eq!(world.lake().ids("conversations").len(), 300);
}

#[test]
fn invariant_5_a_success_that_stays_none_ends_the_run_and_no_listing() {
    for index in [0, 2, 4, 6, 8, 12, 14, 17] {
        let world = World::new(small());
        let records = times(&world);
        let stays = Arc::new(AtomicBool::new(true));
        let is_bad = Arc::clone(&stays);
        let server = Scripted::start(move |asked| match asked.number > 6 && is_bad.load(Relaxed) {
            true => no_success(index),
            false => ok(page(asked, &records)),
        });
        let export = one_by_one(&world, &server);
        export.clone().args(&["--retry-for", "1s"]).run().ended(1);
        stays.store(false, Relaxed);
        export.run().ok();
        assert_eq!(world.lake().ids("conversations").len(), 300);
    }
}

#[test]
fn a_list_that_is_null_beside_a_null_cursor_is_empty() {
    let world = World::new(small());
    let records = times(&world);
    // as a Go server writes an empty list
    let server =
        Scripted::start(move |asked| ok(page(asked, &records).replace(r#""data":[]"#, r#""data":null"#)));
    let export = one_by_one(&world, &server).range(world.range.start..world.range.start + 30 * 86_400);
    export.run().ok();
    assert!(server.asked().len() > 1);
    assert_eq!(world.lake().ids("conversations").len(), 300);
    // nothing at all
    let server = Scripted::start(|_| ok(r#"{"data":null,"cursor":null}"#));
    one_by_one(&world, &server).to("empty").run().ok();
    assert!(world.lake_named("empty").ids("conversations").is_empty());
}

#[test]
fn an_answer_without_a_body_or_a_list_says_what_is_missing() {
    for (reply, words) in [
        (
            4,
            "status 204: it has no body, which does not prove that there are no records",
        ),
        (17, "the response has no `data`"),
        (0, "status 202: the server has not completed the response"),
    ] {
        let world = World::new(small());
        let server = Scripted::start(move |_| no_success(reply));
        let run = one_by_one(&world, &server).run().ended(1);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(server.asked().len() <= 3);
    }
}

#[test]
fn invariant_9_a_wait_beyond_the_retry_limit_stops_all_that_share_the_rate_limit() {
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let world = World::new(small());
        let records = times(&world);
        let refused = move |asked: &Asked| asked.number > 12;
        let server = Scripted::start(move |asked| match refused(asked) {
            true => answer(status, "retry-after: 3600\r\n", ""),
            false => ok(page(asked, &records)),
        });
        let begin = Instant::now();
        let export = world.export().of(&server.url()).only("conversations").rate("20");
        let export = export.args(&[
            "--per-page",
            "10",
            "--bot",
            "one",
            "--bot",
            "two",
            "--bot",
            "three",
        ]);
        let run = export.run().ended(3);
        assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
        let words = "the server demands a wait of 1h before the next request";
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(
            run.stderr.contains("run the same command again after that time"),
            "{}",
            run.stderr
        );
        let after = server.asked().iter().filter(|asked| refused(asked)).count();
        assert!(after <= 3, "{after} requests were refused with {status}");
    }
}

#[test]
fn a_403_can_be_a_wrong_key() {
    for (body, words) in [
        (r#"{"message":"Forbidden"}"#, "check the API key"),
        (
            r#"{"message":"Missing Authentication Token"}"#,
            "check the base URL",
        ),
    ] {
        let world = World::new(small());
        let header = "x-amzn-errortype: ForbiddenException\r\n";
        let server = Scripted::start(move |_| answer("403 Forbidden", header, body));
        let run = one_by_one(&world, &server).run().ended(1);
        assert!(
            run.stderr
                .contains("the key is wrong, or has no permission for this export"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(!run.stderr.contains("is known"), "{}", run.stderr);
    }
}

/// A key with characters that are escaped in URLs, JSON and HTML.
const ODD_KEY: &str = "k3y+Ab/C=d\"9~Zq";

#[test]
fn invariant_7_no_form_of_the_key_that_the_server_repeats_is_shown() {
    let world = World::new(small());
    for form in [
        ODD_KEY,
        "K3Y+AB/C=D\"9~ZQ",
        "Bearer k3y+Ab/C=d\"9~Zq",
        "k3y%2BAb%2FC%3Dd%229%7EZq",
        "k3y%2bAb%2fC%3dd%229~Zq",
        "k3y%252BAb%252FC%253Dd%25229~Zq",
        r#"k3y+Ab\/C=d\"9~Zq"#,
        r"k3y\u002bAb/C=d\u00229~Zq",
        "k3y+Ab/C=d&quot;9~Zq",
        "k3y+Ab/C=d9~Zq",
        // base64: alone, without padding, behind `user:`
        "azN5K0FiL0M9ZCI5flpx",
        "dXNlcjprM3krQWIvQz1kIjl+WnE=",
        "6b33792b41622f433d6422397e5a71",
    ] {
        let json = serde_json::json!({ "message": format!("no such key: {form}, sorry") }).to_string();
        let in_error = serde_json::json!({ "data": [], "error": format!("no: {form}") }).to_string();
        let raw = format!("no such key: {form}");
        let location = format!("location: https://sign.in/?key={form}\r\n");
        let replies = [
            ("401 Unauthorized", String::new(), json),
            ("500 Oops", String::new(), raw.clone()),
            ("200 OK", String::new(), raw),
            ("200 OK", String::new(), in_error),
            ("302 Found", location, String::new()),
        ];
        for (status, headers, body) in replies {
            let server = Scripted::start(move |_| answer(status, &headers, &body));
            let export = one_by_one(&world, &server).env("CONVERSE_EXPORT_API_KEY", ODD_KEY);
            let run = export.args(&["--retry-for", "0s", "-vv"]).run();
            assert!(
                run.code != Some(0) && run.stderr.contains("***"),
                "{form}: {}",
                run.stderr
            );
            let lower = run.stderr.to_lowercase();
            for part in ["k3y", "d9~zq", "azn5", "rm3kr", "6b3379", &form.to_lowercase()] {
                assert!(!lower.contains(part), "{form}, {part}: {}", run.stderr);
            }
        }
    }
}

#[test]
fn what_surrounds_the_key_in_its_file_is_removed_and_what_is_no_key_is_refused() {
    let world = World::new(small());
    let with = |content: &[u8]| {
        std::fs::write(world.path("key"), content).unwrap();
        let export = world.export().only("conversations").without_key();
        export
            .args(&["--api-key-file", world.path("key").to_str().unwrap()])
            .run()
    };
    for content in [
        "\u{feff}demo-key\r\n",
        "\"demo-key\"\n",
        "'demo-key'",
        "\u{feff}\"demo-key\"\r\n\r\n",
    ] {
        with(content.as_bytes()).ok();
    }
    let requests = world.requests();
    let utf16: Vec<u8> = "\u{feff}demo-key"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (content, words) in [
        (
            "CONVERSE_EXPORT_API_KEY=demo-key\n".as_bytes(),
            "contains its name",
        ),
        (b"x-api-key: demo-key\n", "contains its name"),
        ("\u{201c}demo-key\u{201d}".as_bytes(), "not ASCII"),
        ("demo\u{a0}key".as_bytes(), "not ASCII"),
        (&utf16, "not ASCII"),
        (b"\"demo-key", "quotation mark"),
        (b"demo\nkey", "cannot be sent in a header"),
        ("\u{feff}\n".as_bytes(), "is empty"),
    ] {
        let run = with(content).ended(2);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(!run.stderr.contains("demo"), "{}", run.stderr);
        assert_eq!(run.stderr.matches("hint: ").count(), 1, "{}", run.stderr);
    }
    assert_eq!(world.requests(), requests);
}

/// Whether a character controls a terminal, turns text round, or can't be seen.
fn is_unsafe(character: char) -> bool {
    let is_control = character.is_control() && character != '\n';
    is_control
        || "\u{61c}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{2060}\u{feff}".contains(character)
        || ('\u{202a}'..='\u{202e}').contains(&character)
        || ('\u{2066}'..='\u{2069}').contains(&character)
}

#[track_caller]
fn is_safe(run: &Run) {
    for text in [&run.stdout, &run.stderr] {
        assert!(!text.contains(is_unsafe), "{text:?}");
    }
}

/// Every kind of unsafe character.
const UNSAFE: &str =
    "a\u{1b}[31mb\u{7}c\u{9b}d\u{61c}e\u{200b}f\u{200d}g\u{200f}h\u{202e}i\u{2066}j\u{feff}k";

#[test]
fn text_of_a_server_has_no_power_over_the_terminal_and_the_log() {
    let world = World::new(small());
    let message = serde_json::json!({ "message": UNSAFE }).to_string();
    let in_page = serde_json::json!({ "data": [], "error": UNSAFE }).to_string();
    for (status, body) in [
        ("401 Unauthorized", message.clone()),
        ("500 Oops", message),
        ("500 Oops", UNSAFE.to_owned()),
        ("200 OK", UNSAFE.to_owned()),
        ("200 OK", in_page),
    ] {
        let server = Scripted::start(move |_| answer(status, "", &body));
        for format in ["text", "json"] {
            let export =
                one_by_one(&world, &server).args(&["--retry-for", "2s", "-vv", "--log-format", format]);
            let run = export.run();
            assert!(
                run.code != Some(0) && run.stderr.contains("202e"),
                "{}",
                run.stderr
            );
            is_safe(&run);
        }
    }
}

#[test]
fn the_name_of_a_bot_has_no_power_over_the_terminal_and_the_log() {
    let world = World::new(small());
    let records = times(&world);
    let bot = UNSAFE.replace('\u{7}', "\n");
    let server = Scripted::start(move |asked| ok(page(asked, &records)));
    for format in ["text", "json"] {
        let export = one_by_one(&world, &server)
            .to(format)
            .args(&["--bot", &bot, "--log-format", format]);
        is_safe(&export.clone().args(&["-vv", "--progress", "log"]).run().ok());
        let lake = world.lake_named(format);
        for command in ["status", "verify", "schema", "keys"] {
            for args in [&["--log-format", format][..], &["--log-format", format, "--json"]] {
                is_safe(&on(&lake.0, command, args).ok());
            }
        }
        let run = on(&lake.0, "status", &["--max-age", "1s", "--log-format", format]).ended(1);
        assert!(run.stderr.contains("202e"), "{}", run.stderr);
        is_safe(&run);
    }
    let refusing = Scripted::start(|_| answer("404 Not Found", "", r#"{"message":"no such bot"}"#));
    let run = one_by_one(&world, &refusing)
        .to("no")
        .args(&["--bot", &bot])
        .run()
        .ended(1);
    assert!(run.stderr.contains(r"\u{202e}"), "{}", run.stderr);
    is_safe(&run);
}

//! Bad input: a sentence, a hint, an exit code, and nothing left behind.

use converse_export_simulator::{Endpoint, Fault, Faults, Options};

use crate::lake::files_below;
use crate::run::Run;
use crate::scripted::{Scripted, ok};
use crate::world::{KEY, World, small};

/// It failed as it should, in words, and wrote no data.
#[track_caller]
fn told(world: &World, run: Run, code: i32, words: &str) {
    let run = run.ended(code);
    assert!(run.stderr.contains(words), "{words:?} is not in: {}", run.stderr);
    assert_eq!(run.stderr.matches("error: ").count(), 1, "{}", run.stderr);
    assert!(!run.stderr.contains(KEY) && !run.stdout.contains(KEY));
    assert!(world.lake().files().is_empty());
}

#[test]
fn keys_and_bots_that_are_refused() {
    let world = World::new(small());
    let key = |key| world.export().env("CONVERSE_EXPORT_API_KEY", key).run();
    told(
        &world,
        world.export().without_key().run(),
        2,
        "there is no API key",
    );
    told(&world, key("  "), 2, "the API key is empty");
    told(&world, key("wrong"), 1, "the API refused the key (status 401");
    told(
        &world,
        key("viewer-key"),
        1,
        "the API refused access: the key is wrong, or has no permission for this export (status 403",
    );
    told(
        &world,
        world.export().args(&["--bot", "nobody"]).run(),
        1,
        "the API does not know this bot",
    );
    assert!(
        world.requests() <= 2 * 3 * 9,
        "what cannot heal is not asked again and again"
    );
}

#[test]
fn flags_that_make_no_sense() {
    let world = World::new(small());
    let with = |args: &[&str]| world.export().args(args).run();
    told(
        &world,
        with(&["--start", "2023-10-06", "--end", "2023-10-01"]),
        2,
        "--end is not after --start",
    );
    told(
        &world,
        with(&["--start", "2023-10-01", "--end", "2023-10-01"]),
        2,
        "the range holds no time",
    );
    // as a folder's name each of these letters takes six bytes
    let long = "ж".repeat(42);
    told(&world, with(&["--bot", "r3", "--bot", &long]), 2, "is too long");
    told(&world, with(&["--per-page", "0"]), 2, "--per-page 0");
    told(&world, with(&["--per-page", "1001"]), 2, "--per-page 1001");
    told(&world, with(&["--timezone", "Mars/Olympus"]), 2, "Mars/Olympus");
    told(&world, with(&["--settle", "28"]), 2, "number with its unit");
    told(&world, with(&["--start", "tomorrow"]), 2, "YYYY-MM-DD");
    told(&world, world.export().of("nowhere").run(), 2, "--base-url");
    told(
        &world,
        world.export().of("http://api.example.com").run(),
        2,
        "unprotected",
    );
    told(
        &world,
        world.export().of("ftp://api.example.com").run(),
        2,
        "--base-url",
    );
    assert_eq!(world.requests(), 0);
}

#[test]
fn folders_that_cannot_hold_a_table() {
    let world = World::new(small());
    std::fs::write(world.path("file"), "").unwrap();
    told(&world, world.export().to("file").run(), 2, "is not a folder");
    told(
        &world,
        world.export().to("file/below").run(),
        2,
        "cannot be written",
    );
    assert_eq!(world.requests(), 0);
}

#[test]
fn a_bot_with_the_longest_name_is_exported() {
    let world = World::new(small());
    let at = world.range.start;
    let body = format!(r#"{{"data":[{{"_id":"1","startTime":{at}}},{{"_id":"no date"}}],"cursor":null}}"#);
    let server = Scripted::start(move |_| ok(&body));
    let long = "b".repeat(204);
    let export = world.export().of(&server.url()).only("conversations");
    export.args(&["--bot", &long]).run().ok();
    assert_eq!(world.lake().files().len(), 2);
}

#[test]
fn an_api_that_answers_html() {
    let faults = Faults {
        probability: 1.0,
        kinds: vec![Fault::Html],
        ..Faults::default()
    };
    let world = World::new(Options { faults, ..small() });
    let run = world.export().only("messages").run();
    told(&world, run, 1, "the response is not a page of the Export API");
}

#[test]
fn invariant_5_an_error_with_success_does_not_end_a_window() {
    for body in [
        r#"{"data":null,"cursor":null,"message":"archive away"}"#,
        r#"{"data":[],"cursor":null,"error":{"message":"archive away"}}"#,
        r#"{"data":[],"errors":["archive away"],"cursor":null}"#,
        r#"{"success":false,"data":[],"cursor":null,"message":"archive away"}"#,
    ] {
        let world = World::new(small());
        let server = Scripted::start(move |_| ok(body));
        let export = world.export().of(&server.url()).only("conversations");
        let run = export.clone().args(&["--retry-for", "3s"]).run();
        told(&world, run, 1, "archive away)");
        // it stayed bad, and nothing of the range is called complete
        let run = export.args(&["--retry-for", "0s"]).run();
        told(&world, run, 1, "archive away)");
    }
}

#[test]
fn invariant_7_no_part_of_a_key_that_the_server_repeats_is_shown() {
    let world = World::new(small());
    for before in 0..=KEY.len() {
        // wherever an excerpt might be cut
        for length in [80, 200] {
            let text = format!("{}{KEY}", "x".repeat(length - before));
            let html = text.clone();
            let html = Scripted::start(move |_| ok(&html));
            let error = Scripted::start(move |_| ok(format!(r#"{{"error":"{text}"}}"#)));
            for server in [html, error] {
                let export = world.export().of(&server.url()).only("conversations");
                let run = export.args(&["--retry-for", "0s"]).run().ended(1);
                let part = &KEY[..3];
                assert!(!run.stderr.contains(part), "{}", run.stderr);
                assert!(run.stderr.contains("xxx"), "{}", run.stderr);
            }
        }
    }
}

#[test]
fn a_table_keeps_its_settings() {
    let world = World::new(small());
    world.export().only("conversations").run().ok();
    let files = world.lake().files();
    let run = world
        .export()
        .args(&["--timezone", "Europe/Berlin"])
        .run()
        .ended(2);
    assert!(
        run.stderr.contains("time zone UTC, not Europe/Berlin"),
        "{}",
        run.stderr
    );
    let other = World::new(small());
    let run = world.export().of(other.simulator.base_url()).run().ended(2);
    assert!(
        run.stderr.contains("settings differ: base URL http"),
        "{}",
        run.stderr
    );
    assert_eq!(world.lake().files(), files);
}

#[test]
fn invariant_7_the_key_stays_where_it_belongs() {
    let other = World::new(small());
    let to = format!(
        "{}/conversations/export/v1/conversations",
        other.simulator.base_url()
    );
    let script = vec![(Endpoint::Conversations, 1, Fault::Redirect { code: 302, to })];
    let faults = Faults {
        script,
        ..Faults::default()
    };
    let world = World::new(Options { faults, ..small() });
    let run = world.export().only("conversations").args(&["-vv"]).run().ended(1);
    assert!(
        run.stderr.contains("which must not receive the key"),
        "{}",
        run.stderr
    );
    assert_eq!(other.requests(), 0);
    let run = world.export().args(&["-vv"]).run().ok();
    assert!(!run.stderr.contains(KEY) && !run.stdout.contains(KEY));
    for file in files_below(&world.lake().0) {
        let content = std::fs::read(&file).unwrap();
        assert!(
            !content.windows(KEY.len()).any(|bytes| bytes == KEY.as_bytes()),
            "{}",
            file.display()
        );
    }
}

//! What a person sees: progress in a terminal and in a pipe, the end of a run, a preview.

use std::path::Path;
use std::process::{Command, Stdio};

use converse_export_simulator::Options;
use serde_json::Value;

use crate::recorded::Recording;
use crate::run::{Run, converse};
use crate::scripted::{Scripted, answer, ok, page};
use crate::world::{BOT, KEY, World, small};

/// What an export draws in a terminal of so many columns, with such an environment.
fn drawn(world: &World, columns: u16, envs: &[(&str, &str)], args: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join(".venv/bin/python"));
    command
        .arg(root.join("tests/it/in_terminal.py"))
        .arg(columns.to_string());
    command.arg(env!("CARGO_BIN_EXE_converse-export"));
    command.args(["export", "--bot", BOT, "--base-url", world.simulator.base_url()]);
    command.args([
        "--start",
        &world.range.start.to_string(),
        "--end",
        &world.range.end.to_string(),
    ]);
    command.arg("--out").arg(world.lake().0).args(args);
    command
        .env_clear()
        .env("CONVERSE_EXPORT_API_KEY", KEY)
        .env("TERM", "xterm");
    let output = command
        .envs(envs.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// A run of about two seconds.
const SLOWLY: [&str; 4] = ["--per-page", "100", "--requests-per-second", "50"];

/// What was drawn without the sequences that move the cursor and choose colours; each drawing is a line.
fn without_sequences(drawn: &str) -> String {
    let mut text = String::new();
    let mut parts = drawn.split("\x1b[");
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part
            .find(|letter: char| letter.is_ascii_alphabetic())
            .unwrap_or(0);
        if !part[..=end].ends_with('m') {
            text.push('\n');
        }
        text.push_str(&part[end + 1..]);
    }
    text.replace('\r', "\n")
}

#[test]
fn a_bar_is_drawn_and_fits_the_terminal() {
    for columns in [80, 120, 50] {
        let world = World::new(small());
        let drawn = drawn(&world, columns, &[], &[&SLOWLY[..], &["-v"]].concat());
        assert!(drawn.contains("\x1b[36m━"), "a bar with colours: {drawn}");
        let text = without_sequences(&drawn);
        let of_bar = |line: &&str| line.contains('─') && line.contains('%');
        // the windows stand in a line below, which is filled up to there
        let bars = text
            .lines()
            .filter(of_bar)
            .map(|line| line.split("  in flight:").next().unwrap().trim_end());
        let bars: Vec<&str> = bars.collect();
        assert!(
            bars.iter().any(|line| line.starts_with("conversations ")),
            "{text}"
        );
        assert!(bars.iter().any(|line| line.contains(" records")), "{text}");
        assert!(text.contains("  in flight: "), "{text}");
        for line in bars {
            assert!(line.chars().count() < usize::from(columns), "{line}");
        }
    }
}

#[test]
fn a_refusal_is_told_in_place_and_tears_no_line() {
    let world = World::new(Options {
        requests_per_second: 3.0,
        ..small()
    });
    let args = ["--per-page", "1000", "--requests-per-second", "50", "-v"];
    let text = without_sequences(&drawn(&world, 200, &[], &args));
    assert!(text.contains("rate limited, waiting 1 s"), "{text}");
    let log: Vec<&str> = text.lines().filter(|line| line.contains("info: ")).collect();
    assert!(!log.is_empty());
    for line in log {
        assert!(
            line.starts_with("info: the API refused") && line.contains(" window="),
            "{line:?}"
        );
    }
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let world = World::new(small());
    let text = drawn(&world, 80, &[("NO_COLOR", "1")], &SLOWLY);
    assert!(
        text.contains('━') && !text.contains("\x1b[36m") && !text.contains("\x1b[1;"),
        "{text}"
    );
    let wanted = World::new(small());
    let text = drawn(&wanted, 80, &[("NO_COLOR", "")], &SLOWLY);
    assert!(text.contains("\x1b[36m"), "{text}");
    let dumb = World::new(small());
    let text = drawn(&dumb, 80, &[("TERM", "dumb")], &SLOWLY);
    assert!(!text.contains('\x1b') && !text.contains('━'), "{text}");
}

/// Runs an export without `--json` into a pipe.
fn piped(world: &World, args: &[&str]) -> Run {
    let (start, end) = (world.range.start.to_string(), world.range.end.to_string());
    let lake = world.lake().0;
    let mut line = vec!["export", "--bot", BOT, "--base-url", world.simulator.base_url()];
    line.extend(["--start", &start, "--end", &end, "--out", lake.to_str().unwrap()]);
    line.extend(args);
    converse(&line)
}

#[test]
fn in_a_pipe_a_line_comes_every_few_seconds() {
    for format in ["text", "json"] {
        let world = World::new(small());
        let args = [
            "--dataset",
            "conversations",
            "--per-page",
            "100",
            "--requests-per-second",
            "3",
        ];
        let run = piped(&world, &[&args[..], &["--log-format", format]].concat()).ok();
        assert!(!run.stderr.contains(['\x1b', '\r', '━']), "{}", run.stderr);
        if format == "text" {
            let lines = run.stderr.lines();
            let lines: Vec<&str> = lines
                .filter(|line| line.starts_with("conversations of r3-218210: "))
                .collect();
            assert!(!lines.is_empty() && lines.len() < 8, "{}", run.stderr);
            assert!(
                lines[0].contains("% , ").eq(&false) && lines[0].contains(" records, "),
                "{}",
                lines[0]
            );
        } else {
            let lines: Vec<Value> = run
                .stderr
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            let progress = lines
                .iter()
                .find(|line| line["dataset"] == "conversations")
                .unwrap();
            assert!(progress["percent"].as_f64().unwrap() > 5.0, "{progress}");
            assert!(progress["records"].as_u64().unwrap() > 100, "{progress}");
            assert_eq!(progress["bot"], BOT);
        }
    }
}

/// The same without what differs from run to run.
fn timeless(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix("done in ") {
        Some(rest) => format!("done in <time> {}", rest.split_once(' ').unwrap().1),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_end_of_a_run_is_a_table_and_a_line_for_duckdb() {
    let world = World::new(small());
    let all = ["--requests-per-second", "0", "--concurrency", "1"];
    let mut recording = Recording::new("summary").replacing(world.path("").to_str().unwrap(), "<folder>/");
    let first = piped(&world, &all).ok();
    recording.add_text("export", &timeless(&first.stderr));
    let table: Vec<&str> = first
        .stderr
        .lines()
        .take_while(|line| !line.starts_with("done"))
        .collect();
    assert!(table.iter().all(|line| line.chars().count() <= 80), "{table:?}");
    // the line can be pasted
    let query = first
        .stderr
        .split("in DuckDB:\n")
        .nth(1)
        .unwrap()
        .trim()
        .trim_end_matches(';')
        .to_owned();
    let rows = world.lake().rows(&query);
    let total: u64 = rows.iter().map(|row| row[1].as_u64().unwrap()).sum();
    assert_eq!(total, world.truth("conversations").len() as u64);
    recording.add_text("export, once more", &timeless(&piped(&world, &all).ok().stderr));
    let again = [&all[..], &["--refetch"]].concat();
    recording.add_text("export --refetch", &timeless(&piped(&world, &again).ok().stderr));
    recording.check();
    // machines are told the same
    let json = world.export().args(&["--refetch"]).run().ok().json();
    assert_eq!(json["duckdb"].as_str().unwrap().trim_end_matches(';'), query);
    let of = &json["datasets"]["conversations"];
    assert_eq!(of["fewest_requests"], 4);
    assert!(
        of["days"] == 0 && of["bytes_written"] == 0 && of["budget_used"].is_null(),
        "{of}"
    );
    let limited = world.export().args(&["--refetch"]).rate("9").run().ok().json();
    let used = limited["datasets"]["messages"]["budget_used"].as_f64().unwrap();
    assert!(used > 0.0 && used <= 1.0, "{used}");
}

#[test]
fn a_range_without_records_makes_one_wonder() {
    let world = World::new(small());
    let run = converse(&[
        "export",
        "--bot",
        BOT,
        "--base-url",
        world.simulator.base_url(),
        "--start",
        "2001-01-01",
        "--end",
        "2001-02-01",
        "--out",
        world.lake().0.to_str().unwrap(),
        "--dataset",
        "messages",
    ]);
    assert!(
        run.ok()
            .stderr
            .contains("messages: no records: if there should be some, check --bot")
    );
}

#[test]
fn a_preview_is_one_request_and_leaves_nothing_behind() {
    let world = World::new(small());
    let (start, end) = (world.range.start.to_string(), world.range.end.to_string());
    let preview = |args: &[&str]| {
        let line = ["preview", "--bot", BOT, "--base-url", world.simulator.base_url()];
        converse(&[&line[..], &["--start", &start, "--end", &end], args].concat())
    };
    let mut recording = Recording::new("preview");
    let run = preview(&[]).ok();
    recording.add_text("preview", &run.stdout);
    assert_eq!(
        (
            world.stats("conversations").requests,
            world.stats("messages").requests
        ),
        (1, 0)
    );
    let records = run.stdout.lines().count();
    assert_eq!(records, 10 + 4, "{}", run.stdout);
    let messages = preview(&["--dataset", "messages", "--records", "3"]).ok();
    recording.add_text("preview --dataset messages --records 3", &messages.stdout);
    assert_eq!(
        (
            world.stats("conversations").requests,
            world.stats("messages").requests
        ),
        (1, 1)
    );
    for line in run.stdout.lines().chain(messages.stdout.lines()) {
        assert!(line.chars().count() <= 120, "{line}");
    }
    let json = preview(&["--json", "--records", "2"]).ok().json();
    assert!(
        json[0]["_id"].is_string() && json[1]["metadata"].is_object() && json[2].is_null(),
        "{json}"
    );
    let none = preview(&["--bot", BOT]);
    assert!(none.ended(2).stderr.contains("given twice"));
    assert!(!world.lake().0.exists(), "nothing is written");
    recording.check();
}

#[test]
fn a_run_that_fails_tells_what_it_brought() {
    let world = World::new(small());
    let begin = world.range.start;
    let times: Vec<i64> = (0..9).map(|number| begin + 1000 * number).collect();
    let server = Scripted::start(move |asked| match asked.number {
        1 | 2 => ok(page(asked, &times)),
        _ => answer("404 Not Found", "", ""),
    });
    let (start, end, lake) = (begin.to_string(), (begin + 9000).to_string(), world.lake().0);
    let range = ["--start", &start, "--end", &end, "--out", lake.to_str().unwrap()];
    let line = [
        "export",
        "--bot",
        BOT,
        "--dataset",
        "conversations",
        "--base-url",
        &server.url(),
    ];
    let few = [
        "--per-page",
        "2",
        "--concurrency",
        "1",
        "--requests-per-second",
        "0",
    ];
    let run = converse(&[&line[..], &range, &few].concat()).ended(1);
    let table = run.stderr.split("error: ").next().unwrap();
    assert!(
        table.contains("new rows") && table.contains("conversations "),
        "{}",
        run.stderr
    );
}

#[test]
fn every_line_is_an_object_where_the_log_is_json() {
    let world = World::new(Options {
        requests_per_second: 3.0,
        ..small()
    });
    let run = piped(
        &world,
        &["--requests-per-second", "30", "--log-format", "json", "-v"],
    )
    .ok();
    let lines: Vec<Value> = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for line in &lines {
        assert!(
            line["time"].is_string() && line["level"].is_string() && line["message"].is_string(),
            "{line}"
        );
    }
    let refused = lines
        .iter()
        .find(|line| line["message"].as_str().unwrap().contains("status 429"))
        .unwrap();
    assert!(
        refused["window"].is_string() && refused["attempt"].is_u64(),
        "{refused}"
    );
    let done = lines.last().unwrap();
    assert_eq!(
        done["summary"]["datasets"]["conversations"]["rows"], 2000,
        "{done}"
    );
}

//! `report` tells the numbers of a table on one page; DuckDB finds the same numbers.

use std::fs;
use std::path::Path;
use std::process::Command;

use converse_export_simulator::{Endpoint, Injected, Options};
use serde_json::{Value, json};

use crate::lake::Lake;
use crate::run::on;
use crate::world::{BOT, DAY, World, small};

const HANDED: &str = "(list_contains(tags, 'liveChat') or list_contains(tags, 'agentHandover'))";
const AGENT: &str =
    "json_extract_string(try_cast(metadata['__sys_userAgentParsed'] as json), '$.FAMILY.family')";

/// A table with a day in between that was not exported, and records that want to be more than text.
fn world(timezone: &str) -> World {
    let base = small();
    let at = |id: &str, rest: &str| Injected {
        endpoint: Endpoint::Conversations,
        time_seconds: base.range.start + 7_200,
        raw_json: format!(r#"{{"_id":"{id}",{rest}}}"#)
            .replace("TIME", &(base.range.start + 7_200).to_string()),
    };
    let world = World::new(Options {
        extra: vec![
            at(
                "x1",
                r#""startTime":TIME,"locale":"<script>alert(1)</script>","tags":["resolved","resolved","liveChat","<img src=x>"],"metadata":{"<b>key</b>":1}"#,
            ),
            at(
                "x2",
                r#""startTime":"soon","tags":"informed","metadata":{"__sys_userAgentParsed":"no object","__sys_channel":null}"#,
            ),
            at("x3", r#""startTime":TIME,"tags":null,"metadata":null"#),
            Injected {
                endpoint: Endpoint::Conversations,
                time_seconds: base.range.start + 60,
                raw_json: r#"{"nothing":"of an id"}"#.into(),
            },
        ],
        ..base
    });
    let start = world.range.start;
    for range in [start..start + 2 * DAY, start + 3 * DAY..world.range.end] {
        let run = world.export().range(range).args(&["--timezone", timezone]).run();
        assert!(matches!(run.code, Some(0 | 4)), "{}", run.stderr);
    }
    world
}

/// The numbers of a report, whose page is written beside.
fn numbers(world: &World, args: &[&str]) -> Value {
    let page = world.path("report.html");
    let to = ["--json", "--to", page.to_str().unwrap()];
    on(&world.lake().0, "report", &[&to, args].concat()).ok().json()
}

fn ranked(ranking: &Value) -> Value {
    ranking["values"].clone()
}

/// Values by how often they come, as a ranking has them.
fn ranking(lake: &Lake, value: &str, from: &str, top: usize) -> Value {
    json!(lake.rows(&format!(
        "select v, count(*) from (select {value} as v from {from}) where v is not null
         group by v order by count(*) desc, v limit {top}"
    )))
}

#[test]
fn the_numbers_are_those_that_duckdb_finds() {
    let world = world("America/New_York");
    let lake = world.lake();
    let report = numbers(&world, &[]);

    let total = &lake.rows(&format!(
        "select count(*), count(*) filter ({HANDED}), count(*) filter (list_contains(tags, 'resolved')),
         count(*) filter (list_contains(tags, 'informed')), (select count(*) from messages) from conversations"
    ))[0];
    for (name, expected) in ["sessions", "handovers", "resolved", "informed", "messages"]
        .iter()
        .zip(total)
    {
        assert_eq!(report["total"][name], *expected, "{name}");
    }
    let rate = 1.0 - total[1].as_f64().unwrap() / total[0].as_f64().unwrap();
    assert!((report["self_service_rate"].as_f64().unwrap() - rate).abs() < 1e-12);
    assert_eq!(report["undated"]["sessions"], 1);

    let days = lake.rows(&format!(
        "select d::varchar, sum(s)::bigint, sum(h)::bigint, sum(r)::bigint, sum(i)::bigint, sum(m)::bigint from (
         select date as d, 1 as s, coalesce({HANDED}, false)::int as h, coalesce(list_contains(tags, 'resolved'), false)::int as r,
         coalesce(list_contains(tags, 'informed'), false)::int as i, 0 as m from conversations
         union all select date, 0, 0, 0, 0, 1 from messages) where d is not null group by d order by d"
    ));
    let bins = report["over_time"]["bins"].as_array().unwrap();
    assert_eq!(report["over_time"]["unit"], "day");
    let found: Vec<Value> = bins
        .iter()
        .filter(|bin| bin["sessions"] != 0 || bin["messages"] != 0)
        .map(|bin| {
            json!([
                bin["first"],
                bin["sessions"],
                bin["handovers"],
                bin["resolved"],
                bin["informed"],
                bin["messages"]
            ])
        })
        .collect();
    assert!(found.len() > 3);
    assert_eq!(json!(found), json!(days));

    let hours = lake.rows(
        "select isodow(t) - 1, hour(t), count(*) from (select timezone('America/New_York', start_time) as t
         from conversations where start_time is not null) group by all",
    );
    let count = |row: &Vec<Value>, nth: usize| usize::try_from(row[nth].as_u64().unwrap()).unwrap();
    let mut expected = vec![vec![0; 24]; 7];
    for row in &hours {
        expected[count(row, 0)][count(row, 1)] = count(row, 2);
    }
    assert_eq!(report["hours"], json!(expected));

    let agent = |family: &str| AGENT.replace("FAMILY", family);
    for (dimension, value) in [
        ("locale", "locale".to_owned()),
        ("channel", "metadata['__sys_channel']".to_owned()),
        ("device", agent("device")),
        ("browser", agent("user_agent")),
    ] {
        let told = &report["by"][dimension];
        assert_eq!(
            ranked(told),
            ranking(&lake, &value, "conversations", 8),
            "{dimension}"
        );
        let missing = &lake.rows(&format!(
            "select count(*) from conversations where {value} is null"
        ))[0][0];
        assert_eq!(told["missing"], *missing, "{dimension}");
    }
    let tags = "(select distinct id, unnest(tags) as tag from conversations)";
    assert_eq!(ranked(&report["tags"]), ranking(&lake, "tag", tags, 12));
    assert_eq!(
        ranked(&report["message_types"]),
        ranking(&lake, "type", "messages", 8)
    );
    let keys: Vec<Value> = report["keys"]["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| json!([key["key"], key["rows"]]))
        .collect();
    let entries = "(select unnest(map_keys(metadata)) as key from conversations)";
    assert_eq!(json!(keys), ranking(&lake, "key", entries, 25));
}

#[test]
fn the_page_tells_gaps_and_rejected_records_and_runs_nothing() {
    let world = world("UTC");
    let report = numbers(&world, &[]);
    let held = &report["completeness"]["conversations"][BOT];
    assert_eq!(
        (&held["rejected"], held["holes"].as_array().unwrap().len()),
        (&json!(1), 1)
    );
    let page = fs::read_to_string(world.path("report.html")).unwrap();
    for told in [
        "Gap: 3 Oct 2023 until 4 Oct 2023",
        "Rejected: 1 no usable _id",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&lt;img src=x&gt;",
        "<code>liveChat</code> or <code>agentHandover</code>",
    ] {
        assert!(page.contains(told), "{told}");
    }
    assert!(!page.contains("<script") && !page.contains("<img"));
    assert!(page.len() < 2_000_000);
    // nothing unfinished stays, and the page is replaced
    fs::write(world.path("report.html"), "old").unwrap();
    on(
        &world.lake().0,
        "report",
        &["--to", world.path("report.html").to_str().unwrap()],
    )
    .ok();
    assert!(
        fs::read_to_string(world.path("report.html"))
            .unwrap()
            .starts_with("<!DOCTYPE html>")
    );
    assert!(!world.path(".report.html.tmp").exists());
}

#[test]
fn a_range_and_other_tags_are_counted_alone() {
    let world = world("UTC");
    let lake = world.lake();
    let args = [
        "--start",
        "2023-10-02",
        "--end",
        "2023-10-02T18:00:00Z",
        "--bot",
        BOT,
        "--handover-tag",
        "confirmedResolution",
    ];
    let report = numbers(&world, &args);
    let within = "start_time >= '2023-10-02' and start_time < '2023-10-02 18:00'";
    let rows = &lake.rows(&format!(
        "select count(*), count(*) filter (list_contains(tags, 'confirmedResolution')) from conversations where {within}"
    ))[0];
    assert!(rows[1].as_u64() > Some(0));
    assert_eq!(
        (&report["total"]["sessions"], &report["total"]["handovers"]),
        (&rows[0], &rows[1])
    );
    assert_eq!(report["undated"]["sessions"], 0);
    let stdout = on(&lake.0, "report", &["--to", "-"]).ok().stdout;
    assert!(stdout.starts_with("<!DOCTYPE html>"));
    on(&lake.0, "report", &["--to", "-", "--json"]).ended(2);
    on(
        &lake.0,
        "report",
        &["--bot", "r4", "--to", world.path("r4.html").to_str().unwrap()],
    )
    .ended(2);
    assert!(!world.path("r4.html").exists());
}

/// `make browser`: Chromium draws the page, in light and dark, and finds nothing to complain of.
#[test]
#[ignore = "needs Chromium: make browser"]
fn a_browser_draws_the_page_without_a_complaint() {
    let world = world("UTC");
    numbers(&world, &[]);
    let chromium = std::env::var("CONVERSE_EXPORT_TEST_CHROMIUM").unwrap_or_else(|_| "chromium".into());
    let page = format!("file://{}", world.path("report.html").display());
    let mut drawn = Vec::new();
    for (name, scheme) in [("light", "1"), ("dark", "0")] {
        let picture = world.path(&format!("{name}.png"));
        let output = Command::new(&chromium)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--enable-logging=stderr",
                "--window-size=1180,5200",
            ])
            .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
            .arg(format!("--user-data-dir={}", world.path("chromium").display()))
            .arg(format!("--screenshot={}", picture.display()))
            .arg(&page)
            .output()
            .unwrap_or_else(|error| {
                panic!(
                    "{chromium} cannot be started, install it or set CONVERSE_EXPORT_TEST_CHROMIUM: {error}"
                )
            });
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        assert!(!told.contains("CONSOLE"), "{told}");
        drawn.push(fs::read(&picture).unwrap());
        if let Some(keep) = std::env::var_os("CONVERSE_EXPORT_TEST_PICTURES") {
            fs::copy(&picture, Path::new(&keep).join(format!("{name}.png"))).unwrap();
        }
    }
    // an empty page would be some kB of one colour
    assert!(drawn.iter().all(|picture| picture.len() > 50_000));
    assert_ne!(drawn[0], drawn[1], "dark is another picture than light");
}

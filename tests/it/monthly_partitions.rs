//! Tables with a file a month: `--partition-by month`.

use std::collections::BTreeSet;
use std::fs;

use converse_export_simulator::{Clock, Endpoint, Growth, Injected, Options, Traffic};
use serde_json::{Value, json};

use crate::damage::{assert_sound, assert_told};
use crate::duck::Reader;
use crate::lake::{Lake, files_below};
use crate::run::{Export, Run, on};
use crate::sync::changes;
use crate::world::{BOT, DAY, World, small};

const MONTH: [&str; 2] = ["--partition-by", "month"];
/// 2023-09-21, so that the archive lies in three months.
const START: i64 = 1_695_254_400;

fn quarter() -> Options {
    let odd = |endpoint, raw: &str| Injected {
        endpoint,
        time_seconds: START + DAY,
        raw_json: raw.into(),
    };
    Options {
        range: START..START + 50 * DAY,
        extra: vec![
            odd(Endpoint::Conversations, r#"{"_id":"odd","startTime":"soon"}"#),
            odd(Endpoint::Messages, r#"{"_id":"odd"}"#),
        ],
        ..small()
    }
}

fn by_month(world: &World) -> Export<'_> {
    world.export().args(&MONTH)
}

fn rebuild(lake: &Lake, args: &[&str]) -> Run {
    on(&lake.0, "rebuild", &[&["--json"], args].concat())
}

/// The values of the key `month` that a dataset has folders of.
fn months(lake: &Lake, dataset: &str) -> BTreeSet<String> {
    let files = files_below(&lake.0.join(dataset).join(format!("bot={BOT}")));
    let folder = |file: &std::path::PathBuf| {
        let folder = file.parent().unwrap().file_name().unwrap().to_str().unwrap();
        folder.strip_prefix("month=").expect(folder).to_owned()
    };
    let months: BTreeSet<String> = files.iter().map(folder).collect();
    assert_eq!(months.len(), files.len(), "one file a month");
    months
}

#[test]
fn a_month_is_a_file_that_readers_find_by_its_key() {
    let world = World::new(quarter());
    world.export().to("days").run().ok();
    let run = by_month(&world).run().ok();
    let (lake, days) = (world.lake(), world.lake_named("days"));
    let expected = ["2023-09", "2023-10", "2023-11", "__HIVE_DEFAULT_PARTITION__"];
    for (dataset, time) in [("conversations", "start_time"), ("messages", "time")] {
        assert_eq!(months(&lake, dataset), expected.map(str::to_owned).into());
        let told = lake.rows(&format!(
            "select month, count(*)::int, min({time}) >= strptime(month, '%Y-%m') from {dataset} \
             where month is not null group by month order by month"
        ));
        let truth = days.rows(&format!(
            "select strftime({time}, '%Y-%m'), count(*)::int, true from {dataset} where date is not null \
             group by 1 order by 1"
        ));
        assert_eq!((told.len(), &told), (3, &truth));
        assert_eq!(lake.ids(dataset), days.ids(dataset));
        let task = json!({"task": "by_key", "lake": lake.0, "dataset": dataset, "key": "month"});
        let mut by_pyarrow = told.iter().map(|row| json!([row[0], row[1]])).collect::<Vec<_>>();
        by_pyarrow.push(json!([null, 1]));
        assert_eq!(Reader::begin(&task).answer(), json!(by_pyarrow));
    }

    let told = run.of_dataset("conversations");
    assert_eq!((&told["months"], &told["days"]), (&json!(4), &Value::Null));
    let line = run.json()["duckdb"].as_str().unwrap().to_owned();
    assert_eq!(lake.rows(line.trim_end_matches(';')).len(), 4, "{line}");
    let files = changes(&lake);
    let partitions = files[0]["partitions"].as_array().unwrap();
    let named: BTreeSet<&str> = partitions
        .iter()
        .map(|one| one["month"].as_str().unwrap())
        .collect();
    assert_eq!(named, expected.into());
    assert!(partitions.iter().all(|one| one["date"].is_null()));
    let status = on(&lake.0, "status", &["--json"]).ok().json();
    assert_eq!(status["datasets"]["messages"][BOT]["months"], 3);
    assert_eq!(status["settings"]["partition_by"], "month");
    let text = on(&lake.0, "status", &[]).ok().stdout;
    assert!(
        text.contains("months of UTC") && text.contains(" in 3 months, "),
        "{text}"
    );
    let words = on(&lake.0, "schema", &["--for", "athena"]).ok().stdout;
    assert!(
        words.contains("PARTITIONED BY (`bot` string, `month` string)"),
        "{words}"
    );
    let keys = on(&lake.0, "keys", &["--json"]).ok().json();
    assert!(
        keys.to_string().contains("\"first\":\"2023-09-2"),
        "days are told of keys: {keys}"
    );
    let page = world.path("report.html");
    on(&lake.0, "report", &["--to", page.to_str().unwrap()]).ok();
    assert!(fs::read_to_string(page).unwrap().contains("months with rows"));
}

#[test]
fn what_a_table_is_need_not_be_said_twice_and_is_not_changed_by_an_export() {
    let world = World::new(quarter());
    by_month(&world).range(START..START + 20 * DAY).run().ok();
    let lake = world.lake();
    let told = world.export().args(&["--partition-by", "day"]).run().ended(2);
    let words = ["partitions month, not day", "rebuild"];
    assert!(
        words.iter().all(|word| told.stderr.contains(word)),
        "{}",
        told.stderr
    );
    let told = on(&lake.0, "schema", &["--json"]).ok().json();
    assert_eq!(told["datasets"]["messages"]["folders"][1]["name"], "month");
    // three months are touched by what is missing, one of them twice
    let hole = START + 25 * DAY..START + 26 * DAY;
    world.export().range(hole).run().ok();
    let plan = world.export().args(&["--dry-run"]).run().ok().json();
    assert_eq!(plan["jobs"][0]["files"], 2, "{plan}");
    world.export().run().ok();
    by_month(&world).to("fresh").run().ok();
    assert_eq!(lake.files(), world.lake_named("fresh").files());
    assert_eq!(by_month(&world).run().ok().total("requests"), 0);
    // a table of the time before there was a choice
    world.export().to("old").range(START..START + DAY).run().ok();
    let settings = world.path("old/_export/table.json");
    let mut said: Value = serde_json::from_slice(&fs::read(&settings).unwrap()).unwrap();
    said.as_object_mut().unwrap().remove("partition_by").unwrap();
    fs::write(&settings, said.to_string()).unwrap();
    world.export().to("old").run().ok();
    by_month(&world).to("old").run().ended(2);
    assert_sound(&world.lake_named("old"));
}

#[test]
fn invariant_8_rebuilt_by_month_it_is_what_an_export_by_month_is_and_back() {
    let world = World::new(quarter());
    world.export().run().ok();
    by_month(&world).to("months").run().ok();
    let (lake, by_day) = (world.lake(), world.lake().files());
    let by_month = world.lake_named("months").files();
    let requests = world.requests();
    let told = rebuild(&lake, &MONTH).ok().json();
    assert_eq!(
        (&told["partition_by"], &told["partitions"]),
        (&json!("month"), &json!(8))
    );
    assert_eq!(lake.files(), by_month);
    assert_sound(&lake);
    lake.assert_ledger_adds_up();
    let files = changes(&lake);
    let told = files.last().unwrap();
    let of = |kind: &str, key: &str| {
        let told = told[kind].as_array().unwrap().iter();
        told.filter(|one| one[key].is_string()).count()
    };
    assert_eq!(of("partitions", "month"), 8, "{told}");
    assert_eq!(of("removed", "date"), by_day.len(), "{told}");
    // both settings at a time
    rebuild(&lake, &["--partition-by", "day", "--timezone", "Asia/Tokyo"]).ok();
    assert_sound(&lake);
    rebuild(
        &lake,
        &["--partition-by", "month", "--timezone", "America/New_York"],
    )
    .ok();
    let args = ["--partition-by", "month", "--timezone", "America/New_York"];
    world.export().to("york").args(&args).run().ok();
    assert_eq!(lake.files(), world.lake_named("york").files());
    rebuild(&lake, &["--partition-by", "day", "--timezone", "UTC"]).ok();
    assert_eq!(lake.files(), by_day);
    lake.assert_ledger_adds_up();
    assert_eq!(
        world.requests() - requests,
        world_requests(&world, "york"),
        "a rebuild asks nothing"
    );
}

/// What a lake has cost.
fn world_requests(world: &World, lake: &str) -> u64 {
    let ledger = world.lake_named(lake).ledger();
    let accounts = ledger["datasets"].as_object().unwrap().values();
    accounts.map(|bots| bots[BOT]["requests"].as_u64().unwrap()).sum()
}

#[test]
fn invariant_6_a_month_that_is_too_large_for_memory_is_built_in_slices() {
    let world = World::in_memory(Options {
        range: START + 10 * DAY..START + 40 * DAY,
        conversations: 36_000,
        traffic: Traffic::Even,
        ..small()
    });
    by_month(&world).run().ok();
    world.export().to("days").run().ok();
    let (lake, days) = (world.lake(), world.lake_named("days"));
    let large = lake.rows("select max(rows) from (select count(*) as rows from messages group by month)");
    assert!(large[0][0].as_u64() > Some(150_000), "{large:?}");
    let (by_month, by_day) = (lake.files(), days.files());
    assert_sound(&lake);
    rebuild(&days, &MONTH).ok();
    assert_eq!(days.files(), by_month);
    rebuild(&lake, &["--partition-by", "day"]).ok();
    assert_eq!(lake.files(), by_day);
}

#[test]
fn a_table_by_month_is_kept_up_proven_mended_and_erased_from() {
    let world = World::new(Options {
        clock: Clock::fixed(START + 28 * DAY),
        growth: Growth {
            late_records: 40,
            late_seconds: 5 * 3_600,
            ..Growth::default()
        },
        ..quarter()
    });
    let lake = world.lake();
    let mut last = START;
    for _ in 0..4 {
        last = world.clock.now_us() / 1_000_000;
        let sync = world
            .export()
            .range(START..last - 16 * 60)
            .sync()
            .args(&["--lookback", "1d"]);
        sync.args(&MONTH).run().ok();
        assert_sound(&lake);
        world.clock.advance(5 * DAY + 3_600);
    }
    world.clock.set(last);
    by_month(&world)
        .to("once")
        .range(START..last - 16 * 60)
        .run()
        .ok();
    assert_eq!(lake.files(), world.lake_named("once").files());
    let live = ["--live", "6", "--seed", "7", "--requests-per-second", "0"];
    on(&lake.0, "verify", &live).ok();

    // a lost month comes again; a folder of a day does not belong there
    let whole = lake.files();
    let export = by_month(&world).range(START..last - 16 * 60);
    let folder = lake.0.join(format!("messages/bot={BOT}/month=2023-10"));
    fs::remove_dir_all(&folder).unwrap();
    export.run().ok();
    assert_eq!(lake.files(), whole);
    let stray = lake.0.join(format!("messages/bot={BOT}/date=2023-10-01"));
    fs::create_dir(&stray).unwrap();
    assert_told(
        &lake,
        &format!("messages/bot={BOT}/date=2023-10-01"),
        "not a folder of a month",
    );
    fs::remove_dir(&stray).unwrap();

    let ids = lake.ids("conversations");
    let gone = ids.iter().nth(ids.len() / 2).unwrap();
    on(&lake.0, "erase", &["--conversation", gone]).ok();
    assert_sound(&lake);
    assert_eq!(lake.ids("conversations").len(), ids.len() - 1);
    export.args(&["--refetch"]).run().ok();
    assert!(!lake.ids("conversations").contains(gone));
    lake.assert_ledger_adds_up();
}

#[test]
fn invariant_3_killed_at_a_step_a_month_is_built_and_rebuilt_by_the_next_run() {
    let world = World::in_memory(Options {
        conversations: 200,
        ..quarter()
    });
    by_month(&world).to("whole").run().ok();
    let whole = world.lake_named("whole").files();
    for (number, step) in [
        "commit-appended:1",
        "partition-exchanged:2",
        "partitions-published:2",
        "pages-removed:1",
    ]
    .into_iter()
    .enumerate()
    {
        let lake = world.lake_named(step);
        let export = by_month(&world).to(step);
        let killed = export.clone().env("CONVERSE_EXPORT_TEST_KILL_AT", step).run();
        assert_eq!(killed.code, None, "{step}");
        // the second run need not say it again
        world.export().to(step).run().ok();
        assert_eq!(lake.files(), whole, "{step}");
        assert_sound(&lake);

        // a rebuild that is killed is ended by whoever comes next: an export, too
        rebuild(&lake, &["--partition-by", "day"]).ok();
        let killed = std::process::Command::new(env!("CARGO_BIN_EXE_converse-export"))
            .env_clear()
            .env(
                "CONVERSE_EXPORT_TEST_KILL_AT",
                format!("file-renamed:{}", 3 + 3 * number),
            )
            .args(["rebuild", "--partition-by", "month", "--out"])
            .arg(&lake.0)
            .output()
            .unwrap();
        assert_eq!(killed.status.code(), None, "{killed:?}");
        let run = world.export().to(step).run().ok();
        assert_eq!(run.total("requests"), 0);
        rebuild(&lake, &MONTH).ok();
        assert_eq!(lake.files(), whole, "{step}");
        lake.assert_ledger_adds_up();
    }
}

//! All of an archive, once each, in its place: the table as readers see it.

use std::collections::BTreeMap;

use converse_export_simulator::{Options, Order, TimeFormat, Truth};
use jiff::Timestamp;
use serde_json::Value;

use crate::lake::Lake;
use crate::world::{DAY, World, small};

const START: i64 = 1_696_118_400;

fn month() -> Options {
    Options {
        conversations: 100_000,
        range: START..START + 30 * DAY,
        ..small()
    }
}

fn date_of(truth: &Truth) -> String {
    let at = Timestamp::from_microsecond(truth.time_us).unwrap();
    at.strftime("%Y-%m-%d").to_string()
}

/// Each row of a dataset is one record of the truth, with its times to the microsecond and in its date.
#[track_caller]
fn assert_true(lake: &Lake, dataset: &str, time: &str, truth: &BTreeMap<String, Truth>) {
    let last_action = if dataset == "conversations" {
        "epoch_us(last_action_at)"
    } else {
        "null"
    };
    let rows = lake.rows(&format!(
        "select id, epoch_us({time}), {last_action}, date::varchar, bot from {dataset}"
    ));
    assert_eq!(rows.len(), truth.len(), "rows");
    let mut seen = BTreeMap::new();
    for row in rows {
        let id = row[0].as_str().unwrap().to_owned();
        let expected = truth
            .get(&id)
            .unwrap_or_else(|| panic!("{id} is not in the archive"));
        let found = (row[1].as_i64(), row[2].as_i64(), row[3].as_str(), row[4].as_str());
        let date = date_of(expected);
        let wanted = (
            Some(expected.time_us),
            expected.last_action_us,
            Some(date.as_str()),
            Some("r3-218210"),
        );
        assert_eq!(found, wanted, "{id}");
        assert!(seen.insert(id, ()).is_none(), "an id came twice");
    }
}

/// One file in each partition, none of them empty, rows sorted by time, then id.
#[track_caller]
fn assert_well_laid(lake: &Lake, dataset: &str, time: &str) {
    let files = lake.files();
    let mut folders: Vec<&str> = files
        .keys()
        .filter(|path| path.starts_with(dataset))
        .map(|path| path.rsplit_once('/').unwrap().0)
        .collect();
    let count = folders.len();
    folders.dedup();
    assert_eq!(folders.len(), count, "a partition has two files");
    let held = lake.rows(&format!("select count(distinct file) from {dataset}"));
    assert_eq!(held[0][0].as_u64(), Some(count as u64), "a file is empty");
    let unsorted = lake.rows(&format!(
        "select count(*) from (select ({time}, id) as key, lag(({time}, id)) over (partition by file order by \
         file_row_number) as before from (select * from read_parquet('{}/{dataset}/**/*.parquet', \
         file_row_number = true, filename = 'file'))) where key < before",
        lake.0.display()
    ));
    assert_eq!(unsorted[0][0], 0, "rows out of order");
}

fn conversations_are_whole(order: Order, times: TimeFormat) {
    let world = World::new(Options {
        order,
        times,
        ..month()
    });
    let run = world.export().only("conversations").run().ok();
    assert_eq!(run.count("conversations", "rows"), 100_000);
    let lake = world.lake();
    assert_true(
        &lake,
        "conversations",
        "start_time",
        &world.truth("conversations"),
    );
    assert_well_laid(&lake, "conversations", "start_time");
    // the empty day has no partition
    assert_eq!(lake.files().len(), 29);
}

#[test]
fn conversations_by_start() {
    conversations_are_whole(Order::StartAscending, TimeFormat::Seconds);
}

#[test]
fn conversations_by_start_latest_first() {
    conversations_are_whole(Order::StartDescending, TimeFormat::Milliseconds);
}

#[test]
fn conversations_by_last_action() {
    conversations_are_whole(Order::LastActionAscending, TimeFormat::Microseconds);
}

#[test]
fn conversations_by_last_action_latest_first() {
    conversations_are_whole(Order::LastActionDescending, TimeFormat::FloatSeconds);
}

#[test]
fn conversations_in_no_order() {
    conversations_are_whole(Order::Unordered, TimeFormat::Iso);
}

#[test]
fn conversations_by_id() {
    conversations_are_whole(Order::Id, TimeFormat::IsoOffset);
}

#[test]
fn conversations_with_seconds_as_text() {
    conversations_are_whole(Order::StartDescending, TimeFormat::SecondsText);
}

#[test]
fn conversations_in_no_order_with_fractions() {
    conversations_are_whole(Order::Unordered, TimeFormat::FloatSeconds);
}

fn messages_are_whole(order: Order, times: TimeFormat) {
    let world = World::new(Options {
        conversations: 8_000,
        order,
        times,
        ..month()
    });
    let run = world.export().run().ok();
    let truth = world.truth("messages");
    assert_eq!(run.count("messages", "rows"), truth.len() as u64);
    let lake = world.lake();
    assert_true(&lake, "messages", "time", &truth);
    assert_well_laid(&lake, "messages", "time");
    let orphans = lake.rows(
        "select count(*) from messages where conversation_id is null \
         or conversation_id not in (select id from conversations)",
    );
    assert_eq!(orphans[0][0], 0, "messages of no conversation");
}

#[test]
fn messages_by_time() {
    messages_are_whole(Order::StartAscending, TimeFormat::IsoOffset);
}

#[test]
fn messages_latest_first() {
    messages_are_whole(Order::StartDescending, TimeFormat::Seconds);
}

#[test]
fn messages_in_no_order() {
    messages_are_whole(Order::Unordered, TimeFormat::Milliseconds);
}

#[test]
fn a_second_that_holds_everything_is_whole() {
    let world = World::new(Options {
        traffic: converse_export_simulator::Traffic::OneSecond,
        // 5,000 would look like the limit of a server, and a second cannot be split
        conversations: 5_003,
        ..small()
    });
    world.export().run().ok();
    let lake = world.lake();
    assert_true(
        &lake,
        "conversations",
        "start_time",
        &world.truth("conversations"),
    );
    assert_true(&lake, "messages", "time", &world.truth("messages"));
}

#[test]
fn a_second_with_as_many_records_as_a_limit_is_never_called_complete() {
    let world = World::new(Options {
        traffic: converse_export_simulator::Traffic::OneSecond,
        conversations: 6_000,
        listing_cap: 5_000,
        ..small()
    });
    let run = world.export().only("conversations").run().ended(1);
    assert!(run.stderr.contains("2023-10-03T12:00:0"), "{}", run.stderr);
    assert!(run.stderr.contains("it cannot be split"), "{}", run.stderr);
}

#[test]
fn dates_are_those_of_the_zone() {
    let world = World::new(small());
    world
        .export()
        .args(&["--timezone", "America/New_York"])
        .run()
        .ok();
    for (dataset, time) in [("conversations", "start_time"), ("messages", "time")] {
        let rows = world.lake().rows(&format!(
            "select count(*), count_if(date = ({time} at time zone 'America/New_York')::date), \
             count_if(date != ({time} at time zone 'UTC')::date) from {dataset}"
        ));
        let count = world.truth(dataset).len();
        assert_eq!(
            (&rows[0][0], &rows[0][1]),
            (&Value::from(count), &Value::from(count))
        );
        assert!(rows[0][2].as_u64() > Some(0), "the zones differ for some rows");
    }
}

#[test]
fn duckdb_sees_the_columns_of_the_contract() {
    let world = World::new(small());
    world.export().run().ok();
    let described = |dataset: &str| -> Vec<String> {
        let rows = world
            .lake()
            .rows(&format!("describe select * exclude (file) from {dataset}"));
        let text = |row: &[Value]| format!("{} {}", row[0].as_str().unwrap(), row[1].as_str().unwrap());
        rows.iter().map(|row| text(row)).collect()
    };
    assert_eq!(
        described("conversations"),
        [
            "id VARCHAR",
            "start_time TIMESTAMP WITH TIME ZONE",
            "last_action_at TIMESTAMP WITH TIME ZONE",
            "locale VARCHAR",
            "tags VARCHAR[]",
            "metadata MAP(VARCHAR, VARCHAR)",
            "extra MAP(VARCHAR, VARCHAR)",
            "bot VARCHAR",
            "date DATE",
        ]
    );
    assert_eq!(
        described("messages"),
        [
            "id VARCHAR",
            "time TIMESTAMP WITH TIME ZONE",
            "conversation_id VARCHAR",
            "type VARCHAR",
            "out_msg VARCHAR",
            "user_action_type VARCHAR",
            "user_input VARCHAR",
            "extra MAP(VARCHAR, VARCHAR)",
            "bot VARCHAR",
            "date DATE",
        ]
    );
}

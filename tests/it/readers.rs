//! Readers at work while partitions are replaced.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use converse_export::{ApiKey, CancellationToken, Connection, Dataset, Export, Silent, Window};
use converse_export_simulator::{Options, Traffic};
use serde_json::{Value, json};

use crate::chance::number_from;
use crate::duck::Reader;
use crate::lake::files_below;
use crate::world::{DAY, KEY, World, small};

/// Where this is set, so many replacements instead of the gate's.
const REPLACEMENTS: &str = "CONVERSE_EXPORT_TEST_REPLACEMENTS";
/// Each has a partition of either dataset, which every export replaces.
const BOTS: usize = 10;

/// What a reader sees of one partition, or what is true of one of its versions: dataset, bot, rows, distinct ids,
/// sum of the times.
type Seen = BTreeSet<String>;

fn distinct(rows: &Value) -> Seen {
    rows.as_array().unwrap().iter().map(Value::to_string).collect()
}

/// Where it is not installed there is nothing to see.
#[test]
fn fastparquet_reads_every_column() {
    let world = World::in_memory(Options {
        conversations: 300,
        ..small()
    });
    for (lake, args) in [
        ("map", &[][..]),
        ("json", &["--metadata", "json", "--promote", "system"]),
    ] {
        world.export().to(lake).args(args).run().ok();
        for dataset in Dataset::ALL.map(Dataset::name) {
            let task =
                json!({"task": "by_fastparquet", "lake": world.lake_named(lake).0, "dataset": dataset});
            let Value::Object(columns) = Reader::begin(&task).answer() else {
                println!("fastparquet is missing");
                return;
            };
            for (name, same) in columns {
                // of lists and maps it makes others, where they are empty
                if !["tags", "metadata", "extra"].contains(&name.as_str())
                    || (lake, &*name) == ("json", "metadata")
                {
                    assert_eq!(same[0], same[1], "{name} of {dataset}, {lake}");
                }
            }
        }
    }
}

#[test]
fn invariant_2_duckdb_and_pyarrow_see_whole_versions_while_partitions_are_replaced() {
    let replacements: usize = number_from(REPLACEMENTS, 400);
    let exports = replacements.div_ceil(2 * BOTS) + 1;
    let world = World::in_memory(Options {
        bots: (0..BOTS).map(|bot| format!("bot-{bot}")).collect(),
        range: 1_696_118_400..1_696_118_400 + DAY,
        conversations: 2_000,
        traffic: Traffic::Even,
        ..small()
    });
    let begin = world.range.start;
    // one day, whose length the exports share
    let step = DAY / i64::try_from(exports).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let replace = |number: usize| {
        let number = i64::try_from(number).unwrap();
        let key = ApiKey::new(KEY).unwrap();
        let connection = Connection::new(world.simulator.base_url().parse().unwrap(), key);
        let range = Window::new(begin + number * step, begin + (number + 1) * step);
        let export = Export::new(connection, "bot-0", range, world.lake().0).requests_per_second(0.0);
        let export = (1..BOTS).fold(export, |export, bot| export.bot(format!("bot-{bot}")));
        let stop = CancellationToken::new();
        let outcome = runtime.block_on(export.run(Arc::new(Silent), stop)).unwrap();
        assert!(outcome.failures.is_empty());
        // every version is kept under a name of its own, to be looked at in the end
        let mut replaced = 0;
        for dataset in outcome.summary.datasets.values() {
            for changed in &dataset.partitions {
                let version = world.path("versions").join(&changed.path);
                fs::create_dir_all(version.parent().unwrap()).unwrap();
                fs::hard_link(world.lake().0.join(&changed.path), version).unwrap();
                replaced += 1;
            }
        }
        replaced
    };

    replace(0);
    let watch = |task: &str| {
        let ready = world.path(&format!("{task}-ready"));
        let reader = Reader::begin(&json!({
            "task": task,
            "lake": world.lake().0,
            "ready": ready,
            "stop": world.path("stop"),
        }));
        while !ready.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        reader
    };
    let readers = ["watch_duckdb", "watch_pyarrow"].map(|task| (task, watch(task)));
    let replaced: usize = (1..exports).map(replace).sum();
    fs::write(world.path("stop"), "").unwrap();

    let versions = Reader::begin(&json!({"task": "versions", "lake": world.path("versions")})).answer();
    let versions = distinct(&versions);
    assert!(versions.len() > replaced / 2, "versions can be told apart");
    for (task, reader) in readers {
        let answer = reader.answer();
        let seen = distinct(&answer["seen"]);
        let mixed: Vec<_> = seen.difference(&versions).collect();
        assert!(mixed.is_empty(), "{task} saw what never was: {mixed:?}");
        println!(
            "{task}: {replaced} replacements, {} reads, {} of {} versions seen, {} times a file was gone",
            answer["reads"],
            seen.len(),
            versions.len(),
            answer["gone"],
        );
        assert!(seen.len() > 4 * BOTS, "{task} hardly saw a replacement");
    }
    // what stands in the end is the last version of each, in one file
    assert_eq!(world.lake().files().len(), 2 * BOTS);
    assert!(files_below(&world.lake().0.join("_export/staging")).is_empty());
}

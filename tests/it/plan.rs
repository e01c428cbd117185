//! What an export would do is told without doing it.

use converse_export_simulator::{Latency, Options, Order, Traffic};
use serde_json::Value;

use crate::world::{DAY, World, small};

fn forecast(world: &World, args: &[&str]) -> Value {
    let run = world
        .export()
        .rate("30")
        .args(&["--dry-run"])
        .args(args)
        .run()
        .ok();
    serde_json::from_str(&run.stdout).expect("a forecast on standard output")
}

fn job<'a>(forecast: &'a Value, dataset: &str) -> &'a Value {
    let jobs = forecast["jobs"].as_array().unwrap();
    jobs.iter().find(|job| job["dataset"] == dataset).unwrap()
}

fn number(job: &Value, what: &str) -> u64 {
    job[what].as_u64().unwrap_or_else(|| panic!("no {what} in {job}"))
}

#[test]
fn a_few_probes_tell_about_how_much_there_is() {
    for order in [Order::StartAscending, Order::StartDescending, Order::Unordered] {
        let world = World::new(Options {
            conversations: 30_000,
            traffic: Traffic::Even,
            latency: Latency::Fixed(std::time::Duration::from_millis(20)),
            order,
            ..small()
        });
        let forecast = forecast(&world, &["--end", &(world.range.end - DAY).to_string()]);
        for dataset in ["conversations", "messages"] {
            let job = job(&forecast, dataset);
            let (told, really) = (number(job, "records"), world.truth(dataset).len() as u64);
            assert!(
                told * 2 > really && told < really * 2,
                "{order:?}: {told} of {really} {dataset}"
            );
            assert!(number(job, "requests") >= told / 1000);
            assert_eq!((number(job, "files"), &job["basis"]), (5, &"probes".into()));
            assert!(number(job, "bytes") > 0);
            assert!(world.stats(dataset).requests <= 9, "few probes");
            assert_eq!(number(job, "probes"), world.stats(dataset).requests);
        }
        assert!(forecast["seconds"].as_f64() > Some(1.0), "{forecast}");
        assert!(!world.lake().0.exists(), "nothing is written");
    }
}

#[test]
fn what_is_complete_is_told_and_nothing_is_asked() {
    let world = World::new(small());
    world.export().run().ok();
    let before = world.requests();
    let files = crate::lake::files_below(&world.lake().0);
    let told = forecast(&world, &[]);
    assert_eq!(job(&told, "messages")["missing"], serde_json::json!([]));
    assert_eq!(number(job(&told, "messages"), "requests"), 0);
    // of a longer range the table itself tells how much is to be expected
    let longer = forecast(&world, &["--end", &(world.range.end + 2 * DAY).to_string()]);
    let job = job(&longer, "messages");
    assert_eq!(job["basis"], "table");
    let daily = world.truth("messages").len() as u64 / 6;
    assert!(number(job, "records").abs_diff(2 * daily) < daily, "{job}");
    assert_eq!(world.requests(), before, "nothing was asked");
    assert_eq!(crate::lake::files_below(&world.lake().0), files);
}

#[test]
fn a_key_that_is_refused_is_told_by_a_dry_run_too() {
    let world = World::new(small());
    let run = world
        .export()
        .args(&["--dry-run"])
        .env("CONVERSE_EXPORT_API_KEY", "wrong")
        .run()
        .ended(1);
    assert!(run.stderr.contains("the API refused the key"), "{}", run.stderr);
}

//! A large day is built while its rest is fetched, and is the same as if it were not.

use std::ops::Range;

use serde_json::json;

use crate::scripted::{Asked, Scripted, ok, page};
use crate::world::{DAY, World, small};

/// One conversation a second, in order; those of a page behind the given moment come with one that is early.
fn server(day: Range<i64>, late_from: Option<i64>) -> Scripted {
    let times: Vec<i64> = day.clone().collect();
    Scripted::start(move |asked: &Asked| {
        let body = page(asked, &times);
        let Some(moment) = late_from.filter(|moment| body.contains(&format!("\"c{moment}\""))) else {
            return ok(body);
        };
        let early = json!({"_id": format!("late{moment}"), "startTime": day.start + 7});
        ok(body.replacen("\"data\":[", &format!("\"data\":[{early},"), 1))
    })
}

#[test]
fn invariant_4_a_record_that_comes_late_into_a_day_that_is_begun_is_there_once() {
    let world = World::new(small());
    let day = world.range.start..world.range.start + DAY;
    let moment = day.start + 80_000;
    let run = |late: Option<i64>, lake: &str, args: &[&str]| {
        let server = server(day.clone(), late);
        let export = world.export().of(&server.url()).range(day.clone()).to(lake);
        export.only("conversations").args(args).run().ok()
    };
    let one = ["--concurrency", "1", "-vv"];
    let begun = "building a day while its rest is fetched";

    let well = run(None, "well", &one);
    assert!(well.stderr.contains(begun), "{}", well.stderr);
    assert_eq!(well.count("conversations", "rows"), 86_400);

    let late = run(Some(moment), "late", &one);
    assert!(late.stderr.contains(begun), "{}", late.stderr);
    assert!(late.stderr.contains("the day is begun anew"), "{}", late.stderr);
    assert_eq!(late.count("conversations", "rows"), 86_401);
    assert_eq!(late.count("conversations", "duplicates"), 0);

    // side by side, nothing is known of the order at first: the same table
    run(Some(moment), "wide", &["--concurrency", "8"]);
    let (late, wide) = (world.lake_named("late"), world.lake_named("wide"));
    assert_eq!(late.files(), wide.files());
    let ids = late.ids("conversations");
    assert!(ids.contains(&format!("late{moment}")) && ids.len() == 86_401);
}

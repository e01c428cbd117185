//! A large day is the same table, whatever order its records come in and however it is built.

use std::ops::Range;

use converse_export_simulator::Options;
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
fn invariant_4_an_early_record_that_comes_late_in_a_large_day_is_there_once() {
    let world = World::new(small());
    let day = world.range.start..world.range.start + DAY;
    let moment = day.start + 80_000;
    let run = |late: Option<i64>, lake: &str, args: &[&str]| {
        let server = server(day.clone(), late);
        let export = world.export().of(&server.url()).range(day.clone()).to(lake);
        export.only("conversations").args(args).run().ok()
    };
    let one = ["--concurrency", "1", "-vv"];
    let well = run(None, "well", &one);
    assert_eq!(well.count("conversations", "rows"), 86_400);

    let late = run(Some(moment), "late", &one);
    assert_eq!(late.count("conversations", "rows"), 86_401);

    // side by side, nothing is known of the order at first: the same table
    run(Some(moment), "wide", &["--concurrency", "8"]);
    let (late, wide) = (world.lake_named("late"), world.lake_named("wide"));
    assert_eq!(late.files(), wide.files());
    let ids = late.ids("conversations");
    assert!(ids.contains(&format!("late{moment}")) && ids.len() == 86_401);
}

#[test]
fn invariant_8_neither_threads_nor_pieces_change_a_byte() {
    let world = World::new(Options {
        conversations: 30_000,
        busy_day: Some(1),
        ..small()
    });
    let (start, end) = (world.range.start, world.range.end);
    let export = |lake| world.export().to(lake);
    export("one").env("RAYON_NUM_THREADS", "1").run().ok();
    export("two").env("RAYON_NUM_THREADS", "2").run().ok();
    let whole = world.lake_named("one").files();
    assert!(whole.len() > 4);
    assert_eq!(whole, world.lake_named("two").files());
    // in five runs, the later days first, cut where no day begins
    let cuts: Vec<i64> = (0..=5).map(|piece| start + (end - start) * piece / 5).collect();
    for (number, piece) in cuts.windows(2).rev().enumerate() {
        let threads = (number % 2 + 1).to_string();
        let run = export("five").range(piece[0]..piece[1]);
        run.env("RAYON_NUM_THREADS", &threads).run().ok();
    }
    assert_eq!(whole, world.lake_named("five").files());
}

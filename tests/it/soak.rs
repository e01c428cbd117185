//! Memory over a long range: not part of the gate, `make soak` runs it.

use converse_export_simulator::Options;

use crate::chance::number_from;
use crate::world::{DAY, World};

/// Conversations of the shorter range, where it is not the usual 100,000.
const CONVERSATIONS: &str = "CONVERSE_EXPORT_TEST_SOAK";

/// The most memory that the binary held while it exported so many days of so many conversations.
fn peak(days: u32, conversations: u32, busy_day: Option<u32>) -> u64 {
    let start = Options::default().range.start;
    let world = World::new(Options {
        range: start..start + i64::from(days) * DAY,
        conversations,
        busy_day,
        requests_per_second: 0.0,
        ..Options::default()
    });
    let (run, peak) = world.export().start().end_and_peak();
    let run = run.ok();
    assert_eq!(run.count("conversations", "rows"), u64::from(conversations));
    println!(
        "{days} days, {conversations} conversations, {} messages, busiest day {busy_day:?}: {} MiB",
        run.count("messages", "rows"),
        peak / 1024
    );
    peak
}

#[test]
#[ignore = "takes minutes, and means something only in a release build: `make soak`"]
fn invariant_6_ten_times_the_range_takes_no_more_memory() {
    let conversations: u32 = number_from(CONVERSATIONS, 100_000);
    // days as busy as each other
    let (short, long) = (peak(10, conversations, None), peak(100, 10 * conversations, None));
    let ratio = long as f64 / short as f64;
    println!("{ratio:.2} x the memory for 10 x the range");
    // a day with the traffic of twenty, which is nearly three times as large where the range is longer
    let (short, long) = (
        peak(10, conversations, Some(2)),
        peak(100, 10 * conversations, Some(2)),
    );
    println!(
        "{:.2} x with a busy day that grows with the range",
        long as f64 / short as f64
    );
    assert!(ratio <= 1.25, "{ratio}");
}

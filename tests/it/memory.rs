//! Memory is bounded by bytes, whatever records are like: not part of the gate, `make memory` runs it.

use serde_json::json;

use crate::run::Export;
use crate::scripted::{Asked, Scripted, ok};
use crate::world::{DAY, World, small};

const MIB: u64 = 1024 * 1024;
/// The most memory that any of these runs may take.
const MOST: u64 = 400 * MIB;

/// A day of messages.
#[derive(Clone, Copy)]
struct Day {
    start: i64,
    messages: i64,
    /// Bytes of each message's text.
    text: usize,
    has_times: bool,
}

impl Day {
    /// The second from which on the message with this number is listed.
    fn second(&self, number: i64) -> i64 {
        self.start + number * DAY / self.messages
    }

    /// The number of the first message that is not before a second.
    fn first_at(&self, second: i64) -> i64 {
        let number = (second - self.start) * self.messages;
        (number + DAY - 1).div_euclid(DAY).clamp(0, self.messages)
    }

    fn page(&self, asked: &Asked) -> String {
        let bound = |name| self.first_at(asked.number_of(name).unwrap());
        let (start, end) = (bound("start_time"), bound("end_time"));
        let first = asked.number_of("cursor").unwrap_or(start);
        let next = end.min(first + asked.number_of("per_page").unwrap());
        let messages: Vec<String> = (first..next).map(|number| self.message(number)).collect();
        let cursor = (next < end).then(|| next.to_string());
        format!(
            r#"{{"data":[{}],"cursor":{}}}"#,
            messages.join(","),
            json!(cursor)
        )
    }

    fn message(&self, number: i64) -> String {
        // texts that are hardly compressed, and differ
        let mut state = number.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut text = String::with_capacity(self.text + 16);
        while text.len() < self.text {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(&format!("{state:016x}"));
        }
        let time = json!(self.has_times.then(|| self.second(number)));
        format!(r#"{{"_id":"m{number}","type":"Bot","time":{time},"userInput":"{text}"}}"#)
    }
}

/// Exports a day, and then exports it again on top of what the table has.
fn stays_within_bounds(messages: i64, text: usize, has_times: bool) {
    let world = World::new(small());
    let start = world.range.start;
    let day = Day {
        start,
        messages,
        text,
        has_times,
    };
    let server = Scripted::start(move |asked| ok(day.page(asked)));
    let export = || {
        let export: Export<'_> = world.export().of(&server.url()).only("messages");
        export.range(start..start + DAY)
    };
    let count = messages.unsigned_abs();
    let mut peaks = Vec::new();
    for (args, rows, duplicates) in [(&[][..], count, 0), (&["--refetch"][..], 0, count)] {
        let (run, peak) = export().args(args).start().end_and_peak();
        let run = run.ok();
        println!(
            "{messages} messages of {text} bytes {args:?}: {} MiB",
            peak / 1024
        );
        assert_eq!(run.count("messages", "rows"), rows);
        // a record that is listed in two windows is received twice
        assert!(run.count("messages", "duplicates") >= duplicates);
        peaks.push(peak * 1024);
    }
    assert!(peaks.iter().all(|peak| *peak < MOST), "{peaks:?}");
    let rows = world
        .lake()
        .rows("select count(*), count(distinct id) from messages");
    assert_eq!(rows, [vec![json!(count), json!(count)]]);
}

#[test]
#[ignore = "takes minutes: `make memory`"]
fn invariant_6_a_day_of_large_messages_takes_bounded_memory() {
    stays_within_bounds(20_000, 100_000, true);
}

#[test]
#[ignore = "takes minutes: `make memory`"]
fn invariant_6_a_day_of_huge_messages_takes_bounded_memory() {
    stays_within_bounds(600, 4_000_000, true);
}

#[test]
#[ignore = "takes minutes: `make memory`"]
fn invariant_6_two_million_rows_without_a_time_take_bounded_memory() {
    stays_within_bounds(2_000_000, 16, false);
}

//! Requests within the budget, whatever counts them, and whatever fails.

use std::time::Duration;

use converse_export_simulator::{Counting, Fault, Faults, Latency, Options, RetryAfter};

use crate::run::alone;
use crate::world::{World, small};

fn invariant_9(counting: Counting) {
    let world = World::new(Options {
        requests_per_second: 3.0,
        counting,
        conversations: 3_000,
        ..small()
    });
    let _machine = alone();
    let run = world.export().rate("3").run_alone().ok();
    assert_eq!(run.total("rate_limited"), 0);
    for dataset in ["conversations", "messages"] {
        let stats = world.stats(dataset);
        assert_eq!(stats.refused_429, 0);
        assert!(stats.most_in_one_second <= 3);
        assert_eq!(stats.requests, run.count(dataset, "requests"));
    }
}

#[test]
fn invariant_9_a_token_bucket_refuses_none() {
    invariant_9(Counting::TokenBucket);
}

#[test]
fn invariant_9_calendar_seconds_refuse_none() {
    invariant_9(Counting::CalendarSecond);
}

#[test]
fn invariant_9_the_last_second_refuses_none() {
    invariant_9(Counting::SlidingSecond);
}

#[test]
fn a_server_that_bears_20_requests_a_second_where_30_are_asked_is_kept_busy() {
    let world = World::new(Options {
        requests_per_second: 20.0,
        counting: Counting::SlidingSecond,
        retry_after: RetryAfter::HttpDate,
        conversations: 8_000,
        latency: Latency::Fixed(Duration::from_millis(300)),
        ..small()
    });
    let export = world.export().only("conversations").rate("30");
    let export = export.args(&["--per-page", "40"]);
    let _machine = alone();
    let run = export.run_alone().ok();
    let refused = run.count("conversations", "rate_limited");
    let requests = run.count("conversations", "requests");
    assert!(
        requests > 200 && refused > 0 && refused * 20 < requests,
        "{refused} of {requests} refused"
    );
    let taken = run.of_dataset("conversations")["elapsed_seconds"]
        .as_f64()
        .unwrap();
    let least = f64::from(u32::try_from(requests - refused).unwrap()) / 20.0 + 0.3;
    // a second for starting and for the last partitions
    assert!(taken < least * 1.25 + 1.0, "{taken} s instead of {least} s");
}

#[test]
fn faults_of_every_kind_change_no_byte() {
    let world = World::new(small());
    world.export().run().ok();
    let kinds = vec![
        Fault::Refused,
        Fault::AnswerLost,
        Fault::Slow(Duration::from_millis(300)),
        Fault::BrokenBody,
        Fault::TruncatedJson,
        Fault::Html,
        Fault::Status {
            code: 500,
            retry_after: None,
        },
        Fault::Status {
            code: 503,
            retry_after: Some(1),
        },
    ];
    let faulty = World::new(Options {
        faults: Faults {
            probability: 0.4,
            kinds,
            ..Faults::default()
        },
        ..small()
    });
    let run = faulty.export().run().ok();
    assert!(run.total("retries") > 0);
    assert_eq!(faulty.lake().files(), world.lake().files());
}

use super::*;

fn example(begin: Instant) -> ProgressLine {
    let mut progress = ProgressLine::new(Dataset::Conversations, "r3-218210", 5 * 86_400, begin);
    progress.reached(
        &ProgressSnapshot {
            covered_seconds: 3 * 86_400,
            records: 12_340,
            pages: 30,
            pages_left: Some(30.0),
            requests: 33,
            retries: 3,
            allowed_per_second: 2.9,
            awaited: vec![Window::new(1_696_140_000, 1_696_172_400); 5],
        },
        begin + Duration::from_secs(10),
    );
    progress.committed(3);
    progress
}

#[test]
fn a_line_fits_and_drops_the_least_important_facts() {
    let begin = Instant::now();
    let (progress, now) = (example(begin), begin + Duration::from_secs(11));
    let line = |width: usize| progress.line("conversations", width, now).text(false);
    assert_eq!(
        line(120),
        "conversations ━━━━━━━━━━━━━━━───────────────  50%  12,340 records  3.0 of 2.9/s  33 of ~63 requests  3 files  0:10 left"
    );
    assert_eq!(
        line(80),
        "conversations ━━━━━━━━━━──────────  50%  12,340 records  3.0 of 2.9/s  0:10 left"
    );
    for width in 40..200 {
        assert!(line(width).chars().count() <= width, "{width}: {}", line(width));
    }
}

#[test]
fn a_wait_is_shown_until_it_ends() {
    let begin = Instant::now();
    let mut progress = example(begin);
    let refused = Failure::Status {
        status: 429,
        retry_after: None,
        excerpt: String::new(),
    };
    progress.waits(&refused, Duration::from_secs(2), begin);
    progress.waits(&Failure::Timeout, Duration::from_secs(1), begin);
    let line = |after: f64| {
        let now = begin + Duration::from_secs_f64(after);
        progress.line("conversations", 80, now).text(false)
    };
    assert!(
        line(0.1).ends_with("50%  rate limited, waiting 2 s"),
        "{}",
        line(0.1)
    );
    assert!(!line(2.1).contains("waiting"));
}

#[test]
fn the_share_is_the_smaller_of_pages_and_time() {
    let begin = Instant::now();
    let mut progress = example(begin);
    let mut share = |covered_days: i64, pages_left: Option<f64>| {
        let snapshot = ProgressSnapshot {
            covered_seconds: covered_days * 86_400,
            pages: 25,
            pages_left,
            ..ProgressSnapshot::default()
        };
        progress.reached(&snapshot, begin);
        progress.share
    };
    assert!((share(1, None) - 0.2).abs() < 1e-9);
    // the estimate of pages may be too high or too low
    assert!((share(4, Some(75.0)) - 0.25).abs() < 1e-9);
    assert!((share(1, Some(0.1)) - 0.2).abs() < 1e-9);
    assert!((share(5, Some(0.0)) - 1.0).abs() < 1e-9);
}

#[test]
fn windows_in_flight_fit() {
    let begin = Instant::now();
    let progress = example(begin);
    assert_eq!(
        progress.windows(60),
        "  in flight: 10-01 06:00+9h 10-01 06:00+9h and 3 more"
    );
    assert_eq!(progress.windows(200).matches("+9h").count(), 5);
}

#[test]
fn durations_are_formatted_as_clock_times() {
    assert_eq!([0.2, 62.0, 3723.0].map(clock), ["0:01", "1:02", "1:02:03"]);
}

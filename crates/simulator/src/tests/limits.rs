//! Listings that end too early, ranges and pages that are too large, and orders that change.

use std::collections::HashSet;

use super::*;

const DAY: i64 = 86_400;

/// A simulator of 150 conversations, and the ids of all of them.
async fn with(options: Options) -> (Simulator, HashSet<String>) {
    let simulator = Simulator::start(options).await.unwrap();
    let archive = simulator.archive();
    let all = archive.conversations(BOT).map(|truth| truth.id).collect();
    (simulator, all)
}

fn walked(simulator: &Simulator, per_page: u32) -> Vec<String> {
    ids(&walk(simulator, Endpoint::Conversations, per_page))
}

/// The status of a request for a range, and the number of records in its answer.
fn of_range(simulator: &Simulator, from: i64, to: i64, per_page: u32) -> (u16, usize) {
    let start = Options::default().range.start;
    let query = format!(
        "start_time={}&end_time={}&bot_name={BOT}&per_page={per_page}",
        start + from,
        start + to
    );
    let answer = ask(simulator, Endpoint::Conversations, &query).unwrap();
    let records = answer.json()["data"].as_array().map_or(0, Vec::len);
    (answer.status, records)
}

#[tokio::test]
async fn a_listing_ends_at_the_cap_whatever_the_cursor() {
    for cursor in [CursorKind::Token, CursorKind::Offset, CursorKind::Scroll] {
        for (cap, expected) in [(40, 40), (50, 50), (150, 150), (151, 150)] {
            let (simulator, all) = with(Options {
                listing_cap: cap,
                cursor,
                exact_end: false,
                ..small()
            })
            .await;
            let seen = walked(&simulator, 20);
            assert_eq!(seen.len(), expected, "{cursor:?} {cap}");
            assert!(all.len() == 150 && seen.iter().all(|id| all.contains(id)));
        }
    }
}

#[tokio::test]
async fn long_ranges_are_shortened_or_refused() {
    let total = |simulator: &Simulator, from, to| of_range(simulator, from, to, 1000).1;
    let (plain, all) = with(small()).await;
    let (first, last) = (total(&plain, 0, 2 * DAY), total(&plain, 3 * DAY, 5 * DAY));
    assert!(first > 0 && last > 0 && first != last);
    let two_days = 2 * 86_400;
    for (cap, expected) in [
        (RangeCap::First(two_days), first),
        (RangeCap::Last(two_days), last),
    ] {
        let (simulator, truth) = with(Options {
            range_cap: Some(cap),
            ..small()
        })
        .await;
        assert_eq!(total(&simulator, 0, 5 * DAY), expected, "{cap:?}");
        assert_eq!(total(&simulator, 0, 2 * DAY), first);
        assert_eq!(truth, all);
    }
    let (simulator, _) = with(Options {
        range_refused_above: two_days,
        ..small()
    })
    .await;
    assert_eq!(of_range(&simulator, 0, 2 * DAY, 1000), (200, first));
    assert_eq!(of_range(&simulator, 0, 2 * DAY + 1, 1000), (400, 0));
}

#[tokio::test]
async fn bounds_are_rounded() {
    let (plain, _) = with(small()).await;
    let (inward, _) = with(Options {
        rounding: Some(Rounding::Inward(86_400)),
        ..small()
    })
    .await;
    let (outward, _) = with(Options {
        rounding: Some(Rounding::Outward(86_400)),
        ..small()
    })
    .await;
    let (from, to) = (DAY / 2, 2 * DAY + DAY / 2);
    assert_eq!(
        of_range(&inward, from, to, 1000),
        of_range(&plain, DAY, 2 * DAY, 1000)
    );
    assert_eq!(
        of_range(&outward, from, to, 1000),
        of_range(&plain, 0, 3 * DAY, 1000)
    );
    assert_eq!(of_range(&inward, 10, 20, 1000), (200, 0));
}

#[tokio::test]
async fn large_pages_are_refused_by_a_status_or_by_silence() {
    let refusing = |measure, answer| Options {
        page_refused_above: Some(PageRefusal {
            records: 20,
            measure,
            answer,
        }),
        ..small()
    };
    for status in [413, 502, 504] {
        let answer = PageAnswer::Status(status);
        let (simulator, _) = with(refusing(PageMeasure::Requested, answer)).await;
        assert_eq!(of_range(&simulator, 0, 1, 21), (status, 0));
        assert_eq!(walked(&simulator, 20).len(), 150);
        let (simulator, _) = with(refusing(PageMeasure::Served, answer)).await;
        assert_eq!(of_range(&simulator, 0, 1, 21).0, 200);
        assert_eq!(of_range(&simulator, 0, 5 * DAY, 21), (status, 0));
    }
    let silence = PageAnswer::Silence(Duration::from_millis(20));
    let (simulator, _) = with(refusing(PageMeasure::Requested, silence)).await;
    assert!(ask(&simulator, Endpoint::Conversations, &query(21)).is_err());
    assert_eq!(walked(&simulator, 20).len(), 150);
}

#[tokio::test]
async fn full_pages_can_carry_null() {
    let (always, _) = with(Options {
        null_behind_full_page: 1,
        ..small()
    })
    .await;
    assert_eq!(walked(&always, 20).len(), 20);
    assert_eq!(walked(&always, 151).len(), 150);
    let (sometimes, _) = with(Options {
        null_behind_full_page: 4,
        ..small()
    })
    .await;
    let lengths: HashSet<usize> = (0..20).map(|_| walked(&sometimes, 20).len()).collect();
    assert!(lengths.len() > 2 && lengths.iter().all(|length| length % 20 == 0 || *length == 150));
}

#[tokio::test]
async fn dead_cursors_can_answer_an_empty_page() {
    let (simulator, _) = with(Options {
        cursor_life: Some(CursorLife::Requests(1)),
        dead_cursor: 200,
        ..small()
    })
    .await;
    let first = page(&simulator, Endpoint::Conversations, 10, None);
    page(&simulator, Endpoint::Conversations, 10, None);
    let late = page(&simulator, Endpoint::Conversations, 10, first["cursor"].as_str());
    assert_eq!(late, serde_json::json!({"data": [], "cursor": null}));
}

#[tokio::test]
async fn short_pages_lose_nothing() {
    for cursor in [CursorKind::Token, CursorKind::Offset, CursorKind::Scroll] {
        let (simulator, all) = with(Options {
            short_pages: 2,
            cursor,
            ..small()
        })
        .await;
        let pages = walk(&simulator, Endpoint::Conversations, 20);
        let short = pages[..pages.len() - 1]
            .iter()
            .filter(|page| page.len() < 20)
            .count();
        assert!(short > 0 && short < pages.len() - 1, "{cursor:?}");
        let seen = ids(&pages);
        assert_eq!((seen.len(), seen.into_iter().collect::<HashSet<_>>()), (150, all));
    }
}

#[tokio::test]
async fn insertion_lists_late_records_last_and_shows_them_when_they_are_inserted() {
    let range = Options::default().range;
    let clock = Clock::fixed(range.end + DAY);
    let growth = Growth {
        late_records: 10,
        late_seconds: 10 * 86_400,
        late_day: Some(2),
        ..Growth::default()
    };
    let (simulator, before) = with(Options {
        order: Order::Insertion,
        clock: clock.clone(),
        growth,
        ..small()
    })
    .await;
    assert_eq!((before.len(), walked(&simulator, 20).len()), (140, 140));
    clock.set(range.end + 20 * DAY);
    let seen = walked(&simulator, 20);
    let late: HashSet<String> = simulator
        .archive()
        .conversations(BOT)
        .filter(|truth| truth.late)
        .map(|truth| truth.id)
        .collect();
    assert_eq!((seen.len(), late.len()), (150, 10));
    assert!(seen[..140].iter().all(|id| before.contains(id)));
    assert!(seen[140..].iter().all(|id| late.contains(id)));
}

#[tokio::test]
async fn records_that_appear_by_requests_are_inserted_last() {
    let growth = Growth {
        late_records: 10,
        after_requests: 1,
        ..Growth::default()
    };
    let (simulator, before) = with(Options {
        order: Order::Insertion,
        growth,
        ..small()
    })
    .await;
    let seen = walked(&simulator, 20);
    assert_eq!((before.len(), seen.len()), (140, 150));
    assert!(seen[..140].iter().all(|id| before.contains(id)));
}

#[tokio::test]
async fn unstable_orders_lose_and_repeat_records() {
    for (order, traffic) in [
        (Order::Unstable, Traffic::Uneven),
        (Order::UnstableTies, Traffic::OneSecond),
    ] {
        let (simulator, all) = with(Options {
            order,
            traffic,
            cursor: CursorKind::Offset,
            ..small()
        })
        .await;
        let seen = walked(&simulator, 20);
        let distinct: HashSet<String> = seen.iter().cloned().collect();
        assert!(seen.len() == 150 && distinct.len() < 150, "{order:?}");
        assert_eq!(walked(&simulator, 150).into_iter().collect::<HashSet<_>>(), all);
    }
    // without ties nothing is lost
    let (simulator, all) = with(Options {
        conversations: 20,
        order: Order::UnstableTies,
        cursor: CursorKind::Offset,
        ..small()
    })
    .await;
    assert_eq!(walked(&simulator, 3).into_iter().collect::<HashSet<_>>(), all);
}

#[tokio::test]
async fn every_record_has_the_same_gap() {
    let (simulator, _) = with(Options {
        equal_gap: Some(90),
        ..small()
    })
    .await;
    for truth in simulator.archive().conversations(BOT) {
        assert_eq!(truth.last_action_us, Some(truth.time_us + 90_000_000));
    }
}

#[tokio::test]
async fn an_import_is_selected_by_its_insertion() {
    let range = Options::default().range;
    let import = Import {
        records: 30,
        seconds_back: 365 * 86_400,
        begins: range.start + DAY,
        lasts: 600,
    };
    let (simulator, _) = with(Options {
        import: Some(import),
        filter: Filter::Inserted,
        message_filter: MessageFilter::Inserted,
        arrival_seconds: 60,
        ..small()
    })
    .await;
    let records = walk(&simulator, Endpoint::Conversations, 1000).concat();
    let old = records
        .iter()
        .filter(|record| record["startTime"].as_i64() < Some(range.start));
    assert_eq!((records.len(), old.count()), (150, 30));
    let truths: Vec<Truth> = simulator.archive().conversations(BOT).collect();
    let inside = |truth: &Truth| range.contains(&(truth.filter_us / 1_000_000));
    assert!(truths.len() == 150 && truths.iter().all(inside));
    let messages = walk(&simulator, Endpoint::Messages, 1000).concat();
    let old = messages
        .iter()
        .filter(|message| message["time"].as_i64() < Some(range.start));
    assert!(old.count() > 30);
}

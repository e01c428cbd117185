//! Chains of pages, from the first to the null cursor.

use std::collections::HashSet;

use super::*;

#[tokio::test]
async fn every_order_and_cursor_serves_every_record_once() {
    use Order::{
        Id, Insertion, LastActionAscending, LastActionDescending, StartAscending, StartDescending, Unordered,
    };
    for order in [
        StartAscending,
        StartDescending,
        LastActionAscending,
        LastActionDescending,
        Unordered,
        Id,
        Insertion,
    ] {
        for cursor in [CursorKind::Token, CursorKind::Offset, CursorKind::Scroll] {
            for (exact_end, empty_every) in [(true, 0), (false, 3), (true, 1)] {
                let options = Options {
                    order,
                    cursor,
                    exact_end,
                    empty_every,
                    ..small()
                };
                let simulator = Simulator::start(options).await.unwrap();
                for endpoint in [Endpoint::Conversations, Endpoint::Messages] {
                    let pages = walk(&simulator, endpoint, 25);
                    let range = Options::default().range;
                    let expected = simulator
                        .archive()
                        .selected(BOT, endpoint, range.start, range.end);
                    let case = format!("{order:?} {cursor:?} {exact_end} {empty_every} {endpoint:?}");
                    assert_eq!(ids(&pages), expected, "{case}");
                    assert_eq!(
                        expected.iter().collect::<HashSet<_>>().len(),
                        expected.len(),
                        "{case}"
                    );
                    let empty = pages.iter().filter(|page| page.is_empty()).count();
                    assert_eq!(
                        empty > 0,
                        empty_every > 0 || (!exact_end && expected.len().is_multiple_of(25)),
                        "{case}"
                    );
                    let stats = simulator.stats(endpoint);
                    assert_eq!(stats.answered, pages.len() as u64);
                    assert_eq!(stats.records_served, expected.len() as u64);
                }
                simulator.stop().await;
            }
        }
    }
}

#[tokio::test]
async fn windows_that_meet_share_out_all_records() {
    use Filter::{LastAction, Start};
    for (filter, message_filter) in [
        (Start, MessageFilter::Time),
        (LastAction, MessageFilter::ConversationStart),
    ] {
        for (start_inclusive, end_inclusive) in [(true, false), (false, true), (true, true)] {
            let times = TimeFormat::Microseconds;
            let options = Options {
                filter,
                message_filter,
                start_inclusive,
                end_inclusive,
                times,
                ..small()
            };
            let simulator = Simulator::start(options).await.unwrap();
            let archive = simulator.archive();
            for endpoint in [Endpoint::Conversations, Endpoint::Messages] {
                let truths: Vec<Truth> = match endpoint {
                    Endpoint::Conversations => archive.conversations(BOT).collect(),
                    Endpoint::Messages => archive.messages(BOT).collect(),
                };
                // A bound at which a record lies, since some lie on whole seconds.
                let on = |truth: &&Truth| truth.filter_us % 1_000_000 == 0;
                let middle = truths.iter().find(on).unwrap().filter_us / 1_000_000;
                let first = archive.selected(BOT, endpoint, 0, middle);
                let second = archive.selected(BOT, endpoint, middle, 1 << 40);
                let at_bound = truths
                    .iter()
                    .filter(|truth| truth.filter_us == middle * 1_000_000)
                    .count();
                let twice = if start_inclusive && end_inclusive {
                    at_bound
                } else {
                    0
                };
                assert_eq!(first.len() + second.len(), truths.len() + twice);
                let all: HashSet<String> = first.into_iter().chain(second).collect();
                assert_eq!(all, truths.into_iter().map(|truth| truth.id).collect());
            }
        }
    }
}

#[tokio::test]
async fn growth_costs_a_token_chain_none_of_the_old_records() {
    let growth = Growth {
        late_records: 40,
        updates: 30,
        after_requests: 1,
        per_request: 5,
        ..Growth::default()
    };
    let simulator = Simulator::start(Options { growth, ..small() }).await.unwrap();
    let old: Vec<Truth> = simulator.archive().conversations(BOT).collect();
    assert_eq!(old.len(), 110);
    let walked: HashSet<String> = ids(&walk(&simulator, Endpoint::Conversations, 10))
        .into_iter()
        .collect();
    assert!(old.iter().all(|truth| walked.contains(&truth.id)));
    simulator.archive().show_everything();
    let all: Vec<Truth> = simulator.archive().conversations(BOT).collect();
    assert_eq!(
        (all.len(), all.iter().filter(|truth| truth.late).count()),
        (150, 40)
    );
    let changed = |now: &&Truth| old.iter().any(|old| old.id == now.id && old != *now);
    assert!((15..=30).contains(&all.iter().filter(changed).count()));
    assert_eq!(ids(&walk(&simulator, Endpoint::Conversations, 40)).len(), 150);
}

#[tokio::test]
async fn growth_shifts_the_pages_of_offsets() {
    let growth = Growth {
        late_records: 40,
        after_requests: 1,
        ..Growth::default()
    };
    let options = Options {
        growth,
        cursor: CursorKind::Offset,
        ..small()
    };
    let simulator = Simulator::start(options).await.unwrap();
    let walked = ids(&walk(&simulator, Endpoint::Conversations, 75));
    // Late records that appeared on the first page push some of it on to the second.
    assert!(walked.len() > walked.iter().collect::<HashSet<_>>().len());
}

#[tokio::test]
async fn the_messages_of_one_conversation() {
    let simulator = Simulator::start(small()).await.unwrap();
    let first = page(&simulator, Endpoint::Messages, 1, None);
    let wanted = first["data"][0]["conversationId"].as_str().unwrap();
    let one = format!("{}&conversation_id={wanted}", query(1000));
    let answer = ask(&simulator, Endpoint::Messages, &one).unwrap().json();
    let expected = walk(&simulator, Endpoint::Messages, 1000).concat();
    let expected: Vec<Value> = expected
        .into_iter()
        .filter(|message| message["conversationId"] == wanted)
        .collect();
    assert!(!expected.is_empty());
    assert_eq!(answer["data"].as_array(), Some(&expected));
    let truths: Vec<Truth> = simulator.archive().messages(BOT).collect();
    let of_it = truths
        .iter()
        .filter(|truth| truth.conversation.as_deref() == Some(wanted));
    assert_eq!(of_it.count(), expected.len());
}

#[tokio::test]
async fn a_lost_answer_costs_a_scroll_a_page_and_a_token_none() {
    for (cursor, expected) in [(CursorKind::Scroll, 140), (CursorKind::Token, 150)] {
        let script = vec![(Endpoint::Conversations, 2, Fault::AnswerLost)];
        let faults = Faults {
            script,
            ..Faults::default()
        };
        let simulator = Simulator::start(Options {
            cursor,
            faults,
            ..small()
        })
        .await
        .unwrap();
        let first = page(&simulator, Endpoint::Conversations, 10, None);
        let mut cursor = first["cursor"].as_str().map(str::to_owned);
        let again = format!("{}&cursor={}", query(10), escaped(cursor.as_deref().unwrap()));
        assert!(ask(&simulator, Endpoint::Conversations, &again).is_err());
        let mut records = 10;
        while let Some(at) = cursor {
            let page = page(&simulator, Endpoint::Conversations, 10, Some(&at));
            records += page["data"].as_array().unwrap().len();
            cursor = page["cursor"].as_str().map(str::to_owned);
        }
        assert_eq!(records, expected);
    }
}

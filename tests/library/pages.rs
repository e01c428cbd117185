//! The stream of pages: complete, distinct, in bounded memory.

use std::collections::BTreeSet;
use std::time::Duration;

use arrow::array::AsArray;
use converse_export::{Client, Dataset, Error, MetadataMode, PageStream, TableOptions, Window};
use converse_export_simulator::{self as simulator, Endpoint, Fault, Faults, Injected, Order, Simulator};
use futures_util::StreamExt;

use crate::connection;

/// The ids of all rows, and the number of rejected records.
async fn ids(mut pages: PageStream, dataset: Dataset, options: &TableOptions) -> (Vec<String>, usize) {
    let (mut ids, mut rejected) = (Vec::new(), 0);
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        let decoded = page.decode(options).unwrap();
        assert_eq!(decoded.batch.schema(), options.schema(dataset));
        assert_eq!(decoded.batch.num_rows() + decoded.rejected.len(), page.records());
        let column = decoded
            .batch
            .column(dataset.id_column())
            .as_string::<i32>()
            .clone();
        ids.extend(column.iter().flatten().map(str::to_owned));
        rejected += decoded.rejected.len();
    }
    (ids, rejected)
}

/// Two conversations that cannot become rows.
fn without_id(time_seconds: i64) -> impl Iterator<Item = Injected> {
    [1, 2].into_iter().map(move |number| Injected {
        endpoint: Endpoint::Conversations,
        time_seconds,
        raw_json: format!(
            r#"{{"startTime":{time_seconds},"lastActionAt":{time_seconds},"number":{number}}}"#
        ),
    })
}

#[tokio::test]
async fn a_stream_has_each_record_of_the_range_once() {
    for (number, order) in [
        Order::StartAscending,
        Order::Insertion,
        Order::StartDescending,
        Order::Unordered,
    ]
    .into_iter()
    .enumerate()
    {
        let whole = simulator::Options::default().range;
        // records at both ends lie outside
        let range = Window::new(whole.start + 43_200, whole.end - 43_200);
        let archive = simulator::Options {
            conversations: 20_000,
            order,
            // neighbouring windows then have records in common
            end_inclusive: true,
            requests_per_second: 0.0,
            faults: Faults {
                probability: 0.1,
                kinds: vec![
                    Fault::Status {
                        code: 503,
                        retry_after: None,
                    },
                    Fault::AnswerLost,
                    Fault::BrokenBody,
                ],
                ..Faults::default()
            },
            extra: without_id(range.start + 5).collect(),
            ..simulator::Options::default()
        };
        let simulator = Simulator::start(archive.clone()).await.unwrap();
        let client = Client::new(connection(&simulator, &archive)).unwrap();
        let client = client.requests_per_second(0.0).unwrap();
        let options = TableOptions {
            metadata: [MetadataMode::Map, MetadataMode::Both][number % 2],
            ..TableOptions::default()
        };
        let bot = &archive.bots[0];
        let dataset = Dataset::Conversations;
        let (found, rejected) = ids(client.pages(dataset, bot, range), dataset, &options).await;
        let expected: BTreeSet<String> = simulator
            .archive()
            .conversations(bot)
            .filter(|conversation| {
                range.contains(conversation.filter_us / 1_000_000) && !conversation.id.is_empty()
            })
            .map(|conversation| conversation.id)
            .collect();
        assert_eq!(found.len(), expected.len(), "{order:?}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "{order:?}");
        assert_eq!(rejected, 2, "{order:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn invariant_6_a_slow_consumer_holds_requests_back_and_dropping_the_stream_ends_them() {
    let archive = simulator::Options {
        conversations: 100_000,
        requests_per_second: 0.0,
        ..simulator::Options::default()
    };
    let simulator = Simulator::start(archive.clone()).await.unwrap();
    let client = Client::new(connection(&simulator, &archive)).unwrap();
    let client = client.requests_per_second(0.0).unwrap().concurrency(4).unwrap();
    let range = Window::new(archive.range.start, archive.range.end);
    let mut pages = client.pages(Dataset::Conversations, &archive.bots[0], range);
    let requests = || simulator.stats(Endpoint::Conversations).requests;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(requests(), 0, "requests before the stream was polled");
    pages.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let waiting = requests();
    // 1 taken, 2 waiting, 1 being passed on, 4 in flight, and some that brought nothing new
    assert!(
        waiting < 20,
        "{waiting} of more than 100 requests without a consumer"
    );
    for _ in 0..20 {
        pages.next().await.unwrap().unwrap();
    }
    assert!(requests() >= 20);
    drop(pages);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let dropped = requests();
    assert!(dropped < 60, "{dropped}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(requests(), dropped, "requests after the stream was dropped");
}

#[tokio::test]
async fn a_stream_ends_with_the_error_that_keeps_it_from_being_complete() {
    let archive = simulator::Options {
        conversations: 3_000,
        requests_per_second: 0.0,
        ..simulator::Options::default()
    };
    let simulator = Simulator::start(archive.clone()).await.unwrap();
    let client = Client::new(connection(&simulator, &archive)).unwrap();
    let range = Window::new(archive.range.start, archive.range.end);
    let mut pages = client.pages(Dataset::Messages, "unknown", range);
    let error = pages.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Fetch { .. }), "{error}");
    assert!(pages.next().await.is_none());

    for (bot, range) in [
        (" ", range),
        ("r3", Window::new(range.end, range.start)),
        ("r3", Window::new(-1, range.end)),
    ] {
        let mut pages = client.pages(Dataset::Messages, bot, range);
        let error = pages.next().await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Usage { .. }), "{error}");
        assert!(pages.next().await.is_none());
    }
    let wrong = client.clone().per_page(1_001);
    assert!(matches!(wrong, Err(Error::Usage { .. })));
    let wrong = client.clone().concurrency(0);
    assert!(matches!(wrong, Err(Error::Usage { .. })));
    let wrong = client.requests_per_second(f64::NAN);
    assert!(matches!(wrong, Err(Error::Usage { .. })));
}

use jiff::Timestamp;
use jiff::civil::date;

use super::*;
use crate::keys::{ColumnKeys, Key, ValueType};
use crate::report::{Ranking, Tags, bins};
use crate::status::{DatasetStatus, TimeRange};
use crate::table::PartitionBy;

const HOSTILE: &str = "</title></style><script>alert(1)</script><img src=x onerror=\"alert(1)\">'\"&\u{202e}";

/// A report of a table that is as large as tables get, every text of which wants to be more than text.
fn hostile() -> Report {
    let count = Count {
        sessions: 3,
        handovers: 1,
        resolved: 1,
        informed: 2,
        messages: 7,
    };
    let days = (0..120).map(|day| {
        (
            date(2023, 10, 1)
                .checked_add(jiff::Span::new().days(day))
                .unwrap(),
            count,
        )
    });
    let ranking = || Ranking {
        values: (0..12)
            .map(|value| (format!("{HOSTILE}{value}"), 12 - value))
            .collect(),
        others: 2,
        missing: 3,
    };
    let key = |number: u64| Key {
        key: format!("{HOSTILE}{number}"),
        rows: 5,
        share: 0.5,
        types: [(ValueType::String, 5)].into(),
        first: Some(date(2023, 10, 1)),
        last: None,
        examples: vec![HOSTILE.into()],
    };
    let at = |hour: i64| Timestamp::from_second(1_696_118_400 + hour * 3_600).unwrap();
    let range = |start, end| TimeRange {
        start: at(start),
        end: at(end),
    };
    let holding = DatasetStatus {
        complete: (0..5_000).map(|hour| range(2 * hour, 2 * hour + 1)).collect(),
        holes: (0..5_000).map(|hour| range(2 * hour + 1, 2 * hour + 2)).collect(),
        rejected: 1,
        rejected_reasons: [(HOSTILE.into(), 1)].into(),
        pages_waiting: 1,
        ..DatasetStatus::default()
    };
    let bots: Vec<String> = (0..300).map(|bot| format!("{HOSTILE}{bot}")).collect();
    let holdings: std::collections::BTreeMap<_, _> =
        bots.iter().map(|bot| (bot.clone(), holding.clone())).collect();
    Report {
        table: HOSTILE.into(),
        base_url: HOSTILE.into(),
        made: at(0),
        timezone: "UTC".into(),
        partition_by: PartitionBy::Day,
        start: Some(at(0)),
        end: None,
        bots: bots.into_iter().collect(),
        tags_meaning: Tags {
            handover: vec![HOSTILE.into()],
            ..Tags::default()
        },
        total: count,
        self_service_rate: count.self_service_rate(),
        undated: count,
        over_time: bins(&days.collect()),
        hours: vec![vec![1_000_000; 24]; 7],
        by: [
            Dimension::Locale,
            Dimension::Channel,
            Dimension::Device,
            Dimension::Browser,
        ]
        .map(|dimension| (dimension, ranking()))
        .into(),
        tags: ranking(),
        message_types: ranking(),
        keys: ColumnKeys {
            keys: (0..25).map(key).collect(),
            others: 9,
        },
        completeness: ["conversations", "messages"]
            .map(|name| (name.to_owned(), holdings.clone()))
            .into(),
    }
}

#[test]
fn text_from_elsewhere_stays_text_and_the_page_stays_small() {
    let page = html(&hostile()).unwrap();
    for forbidden in ["<script", "<img", "onerror=\"", "\u{202e}", "</title></style>"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = html(&hostile()).unwrap();
    assert!(page.contains("default-src 'none'; style-src 'unsafe-inline'"));
    for loading in [
        "src=\"",
        "href=",
        "url(",
        "@import",
        "http-equiv=\"refresh\"",
        "javascript:",
        "<link",
        "<iframe",
    ] {
        assert!(!page.contains(loading), "{loading}");
    }
    // every element that is opened is closed, so that no text can be swallowed by one
    for element in [
        "svg", "g", "table", "tr", "td", "section", "div", "dl", "dd", "p", "title",
    ] {
        let opened =
            page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
        assert_eq!(
            opened,
            page.matches(&format!("</{element}>")).count(),
            "{element}"
        );
    }
    assert!(!page.contains("NaN") && !page.contains("=\"inf"));
}

#[test]
fn a_table_without_rows_has_a_page() {
    let mut report = hostile();
    report.total = Count::default();
    report.over_time = None;
    report.hours = Vec::new();
    report.by.clear();
    report.keys = ColumnKeys::default();
    report.completeness.clear();
    report.bots.clear();
    let page = html(&report).unwrap();
    assert!(page.contains("No conversation and no message has a time in this range."));
    assert!(!page.contains("NaN"));
}

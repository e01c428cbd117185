//! What records and bodies look like.

use std::collections::BTreeSet;

use super::*;

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

#[tokio::test]
async fn conversations_have_what_is_documented_and_every_type() {
    let options = Options {
        conversations: 1000,
        requests_per_second: 0.0,
        ..Options::default()
    };
    let simulator = Simulator::start(options).await.unwrap();
    let answer = ask(&simulator, Endpoint::Conversations, &query(1000)).unwrap();
    let mean = answer.body.len() / 1000;
    assert!((850..1050).contains(&mean), "{mean} bytes a conversation");
    let (mut keys, mut kinds, mut tags) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let page = answer.json();
    for record in page["data"].as_array().unwrap() {
        assert!(record["startTime"].as_i64() <= record["lastActionAt"].as_i64());
        assert_eq!(record["metadata"]["__sys_conversationId"], record["_id"]);
        assert_eq!(
            kind(&record["metadata"]["__sys_userAgentParsed"]["device"]["family"]),
            "string"
        );
        tags.insert(record["tags"].as_array().unwrap().len());
        for (key, value) in record["metadata"].as_object().unwrap() {
            keys.insert(key.clone());
            kinds.insert(kind(value));
        }
    }
    assert_eq!(
        kinds,
        BTreeSet::from(["null", "bool", "number", "string", "list", "object"])
    );
    assert!(tags.contains(&0) && tags.contains(&2));
    let system = [
        "userIp",
        "userAgent",
        "userAgentParsed",
        "userCountry",
        "conversationId",
        "userAction",
    ];
    let system = system
        .iter()
        .chain(&["channel", "activeIntent"])
        .map(|key| format!("__sys_{key}"));
    let browser = ["path", "hostname", "referrer", "isMobile"].map(|key| format!("browser_{key}"));
    let odd = ["", "utm.source", "客户等级", "loyaltyNumber", "line\nbreak"].map(str::to_owned);
    for key in system.chain(browser).chain(odd) {
        assert!(keys.contains(&key), "{key}");
    }
}

#[tokio::test]
async fn messages_have_what_is_documented() {
    let simulator = Simulator::start(small()).await.unwrap();
    let messages = walk(&simulator, Endpoint::Messages, 1000).concat();
    let mut inputs = BTreeSet::new();
    for message in &messages {
        let by_user = message["type"] == "UserInput";
        assert_eq!(kind(&message["outMsg"]), if by_user { "null" } else { "object" });
        assert_eq!(message.get("userActionType").is_some(), by_user);
        if by_user {
            inputs.insert((
                message["userActionType"].as_str().unwrap(),
                kind(&message["userInput"]),
            ));
        }
    }
    let expected = [("form", "object"), ("quickReply", "object"), ("text", "string")];
    assert_eq!(inputs, BTreeSet::from(expected));
    let ids: BTreeSet<String> = simulator
        .archive()
        .conversations(BOT)
        .map(|conversation| conversation.id)
        .collect();
    let owners = messages
        .iter()
        .map(|message| message["conversationId"].as_str().unwrap());
    assert!(owners.into_iter().all(|owner| ids.contains(owner)));
}

#[tokio::test]
async fn the_truth_knows_what_each_format_tells() {
    let us = |value: &Value| match value {
        Value::String(text) => match text.parse::<jiff::Timestamp>() {
            Ok(at) => at.as_microsecond(),
            Err(_) => text.parse::<i64>().unwrap() * 1_000_000,
        },
        number => {
            let text = number.to_string();
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            let scale = [1_000_000, 1_000, 1][(whole.len() - 10) / 3];
            let fraction: i64 = if fraction.is_empty() {
                0
            } else {
                format!("{fraction:0<6}").parse().unwrap()
            };
            whole.parse::<i64>().unwrap() * scale + fraction
        }
    };
    use TimeFormat::{FloatSeconds, Iso, IsoOffset, Microseconds, Milliseconds, Seconds, SecondsText};
    for times in [
        Seconds,
        Milliseconds,
        Microseconds,
        FloatSeconds,
        Iso,
        IsoOffset,
        SecondsText,
    ] {
        let simulator = Simulator::start(Options { times, ..small() }).await.unwrap();
        let records = walk(&simulator, Endpoint::Conversations, 1000).concat();
        let truths: Vec<Truth> = simulator.archive().conversations(BOT).collect();
        assert_eq!(records.len(), truths.len());
        for (record, truth) in records.iter().zip(truths) {
            assert_eq!(record["_id"], truth.id.as_str());
            assert_eq!(us(&record["startTime"]), truth.time_us, "{times:?}");
            assert_eq!(
                Some(us(&record["lastActionAt"])),
                truth.last_action_us,
                "{times:?}"
            );
        }
    }
}

#[tokio::test]
async fn injected_records_stand_at_their_place_as_they_are() {
    let odd = r#"{"_id":7,"startTime":"\ud800","x":1e400}"#;
    let range = Options::default().range;
    let at = |endpoint, time_seconds| Injected {
        endpoint,
        time_seconds,
        raw_json: odd.to_owned(),
    };
    let extra = vec![
        at(Endpoint::Conversations, range.start),
        at(Endpoint::Messages, range.start),
    ];
    let simulator = Simulator::start(Options { extra, ..small() }).await.unwrap();
    for endpoint in [Endpoint::Conversations, Endpoint::Messages] {
        let answer = ask(&simulator, endpoint, &query(5)).unwrap();
        assert!(String::from_utf8(answer.body).unwrap().contains(odd));
    }
    let without_id = simulator
        .archive()
        .conversations(BOT)
        .filter(|truth| truth.id.is_empty())
        .count();
    // Its text is no JSON that can be read, so neither can its id.
    assert_eq!(
        (without_id, simulator.archive().conversations(BOT).count()),
        (1, 151)
    );
}

#[tokio::test]
async fn an_update_changes_last_action_tags_and_metadata() {
    let growth = Growth {
        updates: 150,
        after_requests: 1,
        ..Growth::default()
    };
    let simulator = Simulator::start(Options { growth, ..small() }).await.unwrap();
    let before = page(&simulator, Endpoint::Conversations, 1000, None);
    let after = page(&simulator, Endpoint::Conversations, 1000, None);
    let (before, after) = (
        before["data"].as_array().unwrap(),
        after["data"].as_array().unwrap(),
    );
    assert_eq!((before.len(), after.len()), (150, 150));
    for (before, after) in before.iter().zip(after) {
        assert_eq!(
            (&before["_id"], &before["startTime"]),
            (&after["_id"], &after["startTime"])
        );
        assert_eq!(before["lastActionAt"], before["startTime"]);
        assert!(after["lastActionAt"].as_i64() > after["startTime"].as_i64());
        assert_eq!(before["tags"], Value::Array(vec![]));
        assert!(before["metadata"].get("orderId").is_none() && after["metadata"]["orderId"].is_string());
    }
    assert!(after.iter().any(|record| record["tags"] != Value::Array(vec![])));
}

#[tokio::test]
async fn the_same_settings_give_the_same_bytes() {
    let one = Simulator::start(small()).await.unwrap();
    let two = Simulator::start(small()).await.unwrap();
    let other = Simulator::start(Options { seed: 2, ..small() }).await.unwrap();
    let body = |simulator| ask(simulator, Endpoint::Messages, &query(100)).unwrap().body;
    assert_eq!(body(&one), body(&two));
    assert_ne!(body(&one), body(&other));
}

#[tokio::test]
async fn bodies_can_be_indented_or_packed() {
    let plain = Simulator::start(small()).await.unwrap();
    let expected = page(&plain, Endpoint::Conversations, 50, None);
    let pretty = Simulator::start(Options {
        pretty: true,
        ..small()
    })
    .await
    .unwrap();
    let answer = ask(&pretty, Endpoint::Conversations, &query(50)).unwrap();
    assert!(answer.body.starts_with(b"{\n  \"data\": [\n"));
    assert_eq!(answer.json(), expected);
    for (compression, name) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
        let packed = Simulator::start(Options {
            compression,
            ..small()
        })
        .await
        .unwrap();
        let line = format!("GET {}?{}", Endpoint::Conversations.path(), query(50));
        let headers = "x-api-key: demo-key\r\naccept-encoding: br, gzip, zstd;q=0.5\r\n";
        let answer = send(&packed, &line, headers).unwrap();
        assert_eq!(answer.header("content-encoding"), Some(name));
        let mut body = Vec::new();
        match compression {
            Compression::Gzip => drop(flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut body)),
            _ => body = zstd::decode_all(&answer.body[..]).unwrap(),
        }
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
        let unpacked = ask(&packed, Endpoint::Conversations, &query(50)).unwrap();
        assert_eq!(
            (unpacked.header("content-encoding"), unpacked.json()),
            (None, expected.clone())
        );
    }
}

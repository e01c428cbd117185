//! `erase` removes conversations for good.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use converse_export_simulator::{Endpoint, Injected, Latency, Options};
use rustix::process::Signal;

use crate::damage::{Snapshot, assert_sound};
use crate::lake::{Lake, files_below};
use crate::run::on;
use crate::sync::changes;
use crate::world::{BOT, World, small};

/// No byte of an id is in any file: not as it stands on disk, not in a page once it is decompressed, not in any value of
/// any row.
#[track_caller]
fn assert_nowhere(lake: &Lake, ids: &[String]) {
    let files = files_below(&lake.0).into_iter();
    let plain = files.map(|path| {
        let mut content = fs::read(&path).unwrap();
        if path.extension().is_some_and(|ending| ending == "zst") {
            content.extend(zstd::decode_all(&content[..]).unwrap());
        }
        (path, content)
    });
    for (path, content) in plain {
        let found = ids
            .iter()
            .find(|id| memchr::memmem::find(&content, id.as_bytes()).is_some());
        assert_eq!(found, None, "it stands in {}", path.display());
    }
    let wanted: Vec<String> = ids.iter().map(|id| format!("of::text like '%{id}%'")).collect();
    for dataset in ["conversations", "messages"] {
        let rows = lake.rows(&format!(
            "select count(*) from {dataset} as of where {}",
            wanted.join(" or ")
        ));
        assert_eq!(rows[0][0], 0, "one stands in a row of {dataset}");
    }
}

/// Ids of conversations, spread over the archive.
fn some(world: &World, count: usize) -> Vec<String> {
    let truth = world.truth("conversations");
    let step = truth.len() / count;
    truth.keys().step_by(step).take(count).cloned().collect()
}

/// The arguments that name conversations.
fn named(ids: &[String]) -> Vec<String> {
    let mut args = vec!["--json".to_owned()];
    for id in ids {
        args.extend(["--conversation".to_owned(), id.clone()]);
    }
    args
}

#[test]
fn nothing_of_an_erased_conversation_is_left_and_no_run_brings_it_back() {
    // a rejected record that names a conversation, and one that does not
    let world = World::new(small());
    let ids = some(&world, 3);
    let rejected = format!(r#"{{"_id":null,"conversationId":"{}","userInput":"x"}}"#, ids[1]);
    drop(world);
    let extra = [rejected, r#"{"userInput":"y"}"#.into()].map(|raw_json| Injected {
        endpoint: Endpoint::Messages,
        time_seconds: small().range.start + 5_000,
        raw_json,
    });
    let world = World::new(Options {
        extra: extra.to_vec(),
        ..small()
    });
    let lake = world.lake();
    let export = world.export().args(&["--keep-pages"]);
    export.run().ended(4);
    let (conversations, messages) = (lake.ids("conversations"), lake.ids("messages"));
    let there = lake.rows(&format!(
        "select count(*) from messages as of where of::text like '%{}%'",
        ids[0]
    ));
    assert_ne!(there[0][0], 0);
    let of_them: BTreeSet<String> = {
        let list = ids
            .iter()
            .map(|id| format!("'{id}'"))
            .collect::<Vec<_>>()
            .join(",");
        crate::lake::ids(lake.rows(&format!(
            "select id from messages where conversation_id in ({list})"
        )))
    };
    // something damaged that nobody can read
    fs::create_dir_all(lake.0.join("_export/quarantine")).unwrap();
    fs::write(lake.0.join("_export/quarantine/part.parquet"), &ids[0]).unwrap();
    let told = changes(&lake).len();

    fs::write(world.path("ids.txt"), format!("{}\n\n {}\n", ids[1], ids[2])).unwrap();
    let from = world.path("ids.txt");
    let args = [
        "--json",
        "--conversation",
        &ids[0],
        "--from",
        from.to_str().unwrap(),
    ];
    let report = on(&lake.0, "erase", &args).ok().json();
    assert_eq!(report["conversations"], 3);
    assert_eq!(report["rows"]["conversations"], 3);
    assert_eq!(report["rows"]["messages"], of_them.len());
    assert_eq!(
        (&report["rejected"], &report["damaged_files"]),
        (&1.into(), &1.into())
    );
    // windows may have been asked for twice
    assert!(report["records_in_pages"].as_u64().unwrap() > of_them.len() as u64 + 3);
    assert_nowhere(&lake, &ids);
    let gone: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(lake.ids("conversations"), &conversations - &gone);
    assert_eq!(lake.ids("messages"), &messages - &of_them);
    assert_sound(&lake);
    lake.assert_ledger_adds_up();
    let files = changes(&lake);
    assert_eq!(files.len(), told + 1, "jobs are told what to load again");
    assert_eq!(files[told]["command"], "erase");

    // again it finds nothing, and whatever asks the API anew brings nothing back
    let files = lake.files();
    let again = on(&lake.0, "erase", &args).ok().json();
    assert_eq!(again["rows"], serde_json::json!({}));
    let refetched = export.clone().args(&["--refetch"]).run().ended(4);
    assert!(refetched.count("conversations", "erased") >= 3);
    assert!(refetched.count("messages", "erased") > of_them.len() as u64);
    assert_eq!(lake.files(), files);
    assert_nowhere(&lake, &ids);
    assert_sound(&lake);
    lake.assert_ledger_adds_up();
    let address = ["--live", "5", "--seed", "3", "--requests-per-second", "0"];
    on(&lake.0, "verify", &address).ok();
    // a lost day comes back from kept pages or from the API, without them
    let day = fs::read_dir(lake.0.join(format!("messages/bot={BOT}")))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    fs::remove_dir_all(day.path()).unwrap();
    export.run();
    assert_eq!(lake.files(), files);
    assert_nowhere(&lake, &ids);
    lake.assert_ledger_adds_up();
}

#[test]
fn a_rejected_record_that_names_a_conversation_in_any_field_is_removed_from_pages() {
    let ids = some(&World::new(small()), 2);
    let records = [
        format!(r#"{{"_id":"","metadata":{{"parent":["{}"]}}}}"#, ids[0]),
        format!(r#"{{"_id":null,"userInput":"{}"}}"#, ids[1]),
        format!(r#"["{}"]"#, ids[1]),
        r#"{"userInput":"of nobody"}"#.to_owned(),
    ];
    let injected = [
        Endpoint::Conversations,
        Endpoint::Messages,
        Endpoint::Messages,
        Endpoint::Messages,
    ];
    let extra = injected
        .into_iter()
        .zip(records)
        .map(|(endpoint, raw_json)| Injected {
            endpoint,
            time_seconds: small().range.start + 5_000,
            raw_json,
        });
    let world = World::new(Options {
        extra: extra.collect(),
        ..small()
    });
    let (lake, export) = (world.lake(), world.export().args(&["--keep-pages"]));
    export.run().ended(4);
    let named = named(&ids);
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let report = on(&lake.0, "erase", &named).ok().json();
    assert_eq!(report["rejected"], 3);
    assert_nowhere(&lake, &ids);
    lake.assert_ledger_adds_up();
    // they do not come back
    let again = export.args(&["--refetch"]).run().ended(4);
    assert_eq!(again.count("conversations", "rejected"), 0);
    assert_eq!(again.count("messages", "rejected"), 1);
    assert_nowhere(&lake, &ids);
    lake.assert_ledger_adds_up();
    assert_sound(&lake);
}

#[test]
fn pages_that_wait_lose_what_is_erased_before_they_become_part_of_the_table() {
    let world = World::new(Options {
        latency: Latency::Fixed(Duration::from_millis(60)),
        ..small()
    });
    let lake = world.lake();
    let ids = some(&world, 5);
    let export = world.export().args(&["--concurrency", "2", "--per-page", "100"]);
    let mut running = export.start();
    let (pages, table) = (lake.0.join("_export/pages"), lake.0.join("_export/table.json"));
    running.until(|| files_below(&pages).len() >= 20 && table.exists());
    running.signal(Signal::KILL);
    running.end();
    let erased = named(&ids);
    let erased: Vec<&str> = erased.iter().map(String::as_str).collect();
    // those that were not fetched yet are not found, and have tombstones all the same
    let report = on(&lake.0, "erase", &erased).json();
    assert!(report["records_in_pages"].as_u64().unwrap() > 0, "{report}");
    let not_found = report["not_found"].as_array().unwrap().len() as u64;
    assert_eq!(
        report["conversations"].as_u64().unwrap() + not_found,
        5,
        "{report}"
    );
    let before = world.requests();
    assert!(world.truth("conversations").len() > 100);
    for id in &ids {
        let held = files_below(&pages);
        assert!(held.iter().all(|page| {
            let body = zstd::decode_all(&fs::read(page).unwrap()[..]).unwrap();
            !String::from_utf8(body).unwrap().contains(id.as_str())
        }));
    }
    export.run().ok();
    assert!(world.requests() > before);
    assert_nowhere(&lake, &ids);
    assert_eq!(
        lake.ids("conversations").len(),
        world.truth("conversations").len() - ids.len()
    );
    lake.assert_ledger_adds_up();
    assert_sound(&lake);
    on(&lake.0, "erase", &["--conversation", " "]).ended(2);
    on(&lake.0, "erase", &[]).ended(2);
    on(&world.path("nothing"), "erase", &["--conversation", "x"]).ended(2);
}

#[test]
fn invariant_3_an_erasure_that_is_killed_is_ended_by_the_next_run() {
    let world = World::in_memory(Options {
        conversations: 150,
        ..small()
    });
    let ids = some(&world, 4);
    let mut whole = None;
    let steps = [
        "file-renamed:1",
        "file-renamed:3",
        "file-renamed:5",
        "partition-staged:2",
        "commit-appended:1",
        "partition-exchanged:1",
        "partition-exchanged:3",
        "entry-written:2",
        "partitions-published:1",
        "pages-removed:1",
        "changes-written:1",
    ];
    for (number, step) in steps.into_iter().enumerate() {
        let lake = world.lake_named(step);
        world.export().to(step).args(&["--keep-pages"]).run().ok();
        let args = named(&ids);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let killed = std::process::Command::new(env!("CARGO_BIN_EXE_converse-export"))
            .env_clear()
            .env("CONVERSE_EXPORT_TEST_KILL_AT", step)
            .args(["erase", "--out"])
            .arg(&lake.0)
            .args(&args)
            .output()
            .unwrap();
        assert_eq!(killed.status.code(), None, "{step}: {killed:?}");
        if number % 2 == 0 {
            world.export().to(step).run().ok();
        } else {
            on(&lake.0, "erase", &args).ok();
        }
        assert_nowhere(&lake, &ids);
        assert_sound(&lake);
        lake.assert_ledger_adds_up();
        let files = whole.get_or_insert_with(|| lake.files());
        assert_eq!(*files, lake.files(), "{step}");
    }
}

#[test]
fn ids_are_read_as_editors_write_them_and_those_that_are_not_found_are_listed() {
    let world = World::new(Options {
        extra: vec![Injected {
            endpoint: Endpoint::Messages,
            time_seconds: small().range.start + 5_000,
            raw_json: r#"{"_id":null,"userInput":"x"}"#.into(),
        }],
        ..small()
    });
    let lake = world.lake();
    world.export().args(&["--keep-pages"]).run().ended(4);
    let (ids, conversations) = (some(&world, 3), lake.ids("conversations"));
    let file = world.path("ids.txt");
    let from = ["--json", "--from", file.to_str().unwrap()];
    let dry = [&from[..], &["--dry-run"]].concat();

    let snapshot = Snapshot::of(&lake);
    let text = format!("{}\n", ids[0]);
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(&file, [&[0xff, 0xfe][..], &wide].concat()).unwrap();
    let refused = on(&lake.0, "erase", &from).ended(2);
    assert!(refused.stderr.contains("it is UTF-16"), "{}", refused.stderr);
    let lines = format!(
        "\u{feff}{}\r\n\"{}\",\r\nnobody-1\r\n  '{}' \r\n",
        ids[0], ids[1], ids[2]
    );
    fs::write(&file, lines).unwrap();
    let planned = on(&lake.0, "erase", &dry).ended(4);
    snapshot.assert_same(&lake);
    let planned = planned.json();
    assert_eq!(planned["dry_run"], true);
    assert_eq!(
        (&planned["asked"], &planned["conversations"]),
        (&4.into(), &3.into())
    );
    assert_eq!(planned["not_found"], serde_json::json!(["nobody-1"]));

    let run = on(&lake.0, "erase", &from).ended(4);
    assert!(run.stderr.contains("not found: nobody-1"), "{}", run.stderr);
    let report = run.json();
    for name in planned.as_object().unwrap().keys() {
        if !["dry_run", "changes"].contains(&name.as_str()) {
            assert_eq!(planned[name], report[name], "{name}");
        }
    }
    assert_nowhere(&lake, &ids);
    let gone: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(lake.ids("conversations"), &conversations - &gone);
    // once more it is still not found, and the others are gone
    let again = on(&lake.0, "erase", &from).ended(4).json();
    assert_eq!(again["not_found"], serde_json::json!(["nobody-1"]));
    assert_eq!(
        (&again["conversations"], &again["erased_before"]),
        (&0.into(), &3.into())
    );
    let text = on(&lake.0, "erase", &from[1..]).ended(4).stderr;
    assert!(
        text.contains("removed 0 of 4 conversations, 3 erased before, 1 not found: no row"),
        "{text}"
    );
    on(&lake.0, "erase", &["--conversation", &ids[0]]).ok();
    assert_sound(&lake);
}

/// No row, no kept page and no rejected record is of one of the conversations. A kept page may still hold a record of none
/// that names one.
#[track_caller]
fn assert_no_record(lake: &Lake, ids: &[String]) {
    for file in files_below(&lake.0.join("_export/kept")) {
        let body = zstd::decode_all(&fs::read(&file).unwrap()[..]).unwrap();
        let page: serde_json::Value = serde_json::from_slice(&body).unwrap();
        for record in page["data"].as_array().unwrap() {
            let of = [&record["_id"], &record["conversationId"]];
            let is_of_one = ids.iter().any(|id| of.iter().any(|of| *of == id.as_str()));
            assert!(!is_of_one, "{record} in {}", file.display());
        }
    }
    for folder in ["_export/pages", "_export/rejected"] {
        for file in files_below(&lake.0.join(folder)) {
            let content = fs::read(&file).unwrap();
            let found = ids
                .iter()
                .find(|id| memchr::memmem::find(&content, id.as_bytes()).is_some());
            assert_eq!(found, None, "it stands in {}", file.display());
        }
    }
    let list: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
    let list = list.join(",");
    for (dataset, column) in [("conversations", "id"), ("messages", "conversation_id")] {
        let rows = lake.rows(&format!(
            "select count(*) from {dataset} where {column} in ({list})"
        ));
        assert_eq!(rows[0][0], 0, "one is in a row of {dataset}");
    }
}

#[test]
fn pages_and_rejected_records_that_come_back_bring_nothing_back() {
    let ids = some(&World::new(small()), 3);
    let rejected = format!(r#"{{"_id":null,"userInput":"{}"}}"#, ids[1]);
    let world = World::new(Options {
        extra: vec![Injected {
            endpoint: Endpoint::Messages,
            time_seconds: small().range.start + 5_000,
            raw_json: rejected,
        }],
        ..small()
    });
    let lake = world.lake();
    let export = world.export().args(&["--keep-pages", "--per-page", "200"]);
    // pages of which no partition was made yet
    let killed = export.clone().env("CONVERSE_EXPORT_TEST_KILL_AT", "page-kept:24");
    assert_eq!(killed.run().code, None);
    let own = lake.0.join("_export");
    let copy = |from: &str, to: &Path| {
        for file in files_below(&own.join(from)) {
            let to = to.join(file.strip_prefix(own.join(from)).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&file, to).unwrap();
        }
    };
    copy("pages", &world.path("saved/pages"));
    export.run().ended(4);
    for folder in ["kept", "rejected"] {
        copy(folder, &world.path(&format!("saved/{folder}")));
    }
    let has_one = |path: &PathBuf| {
        let body = zstd::decode_all(&fs::read(path).unwrap()[..]).unwrap();
        ids.iter()
            .any(|id| memchr::memmem::find(&body, id.as_bytes()).is_some())
    };
    assert!(files_below(&world.path("saved/pages")).iter().any(has_one));
    let (conversations, messages) = (lake.ids("conversations"), lake.ids("messages"));
    let args = named(&ids);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    on(&lake.0, "erase", &args).ok();
    let gone: BTreeSet<String> = ids.iter().cloned().collect();
    let rest = (&conversations - &gone, lake.ids("messages"));
    assert!(rest.1.len() < messages.len());
    let files = lake.files();
    let counted = |lake: &Lake| {
        let ledger = lake.ledger();
        ["conversations", "messages"].map(|of| ledger["datasets"][of][BOT]["erased"].as_u64().unwrap())
    };
    let before = counted(&lake);

    // a power cut takes the removals back
    for folder in ["pages", "kept", "rejected"] {
        let saved = world.path(&format!("saved/{folder}"));
        for file in files_below(&saved) {
            let to = own.join(folder).join(file.strip_prefix(&saved).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&file, to).unwrap();
        }
    }
    // and days that kept pages mend
    for dataset in ["conversations", "messages"] {
        for day in fs::read_dir(lake.0.join(format!("{dataset}/bot={BOT}"))).unwrap() {
            fs::remove_dir_all(day.unwrap().path()).unwrap();
        }
    }
    let requests = world.requests();
    let run = export.run();
    assert!(matches!(run.code, Some(0 | 4)), "{}", run.stderr);
    assert_eq!(world.requests(), requests, "kept pages have all of it");
    assert!(
        run.stderr
            .contains("records of erased conversations that reappeared after a crash"),
        "{}",
        run.stderr
    );
    assert_eq!(lake.files(), files);
    assert_no_record(&lake, &ids);
    let after = counted(&lake);
    assert!(
        before[0] < after[0] && before[1] < after[1],
        "{before:?} {after:?}"
    );
    lake.assert_ledger_adds_up();
    assert_sound(&lake);
    on(&lake.0, "rebuild", &["--timezone", "Europe/Berlin"]).ok();
    assert_eq!((lake.ids("conversations"), lake.ids("messages")), rest);
    assert_no_record(&lake, &ids);
    lake.assert_ledger_adds_up();
    assert_sound(&lake);
}

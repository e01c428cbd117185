//! What rules take out of rows is nowhere in the table's folder once a run has ended.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use converse_export_simulator::{Endpoint, Injected, Options};
use serde_json::{Value, json};

use crate::lake::{Lake, files_below};
use crate::run::{Export, on};
use crate::world::{DAY, World, small};

/// A text that must not be left anywhere.
const EMAIL: &str = "jane.roe@example.org";
const IP: &str = "203.0.113.77";
const SECRET: &str = "nobody knows this one";
/// HMAC-SHA-256 of `user-4711` with it.
const HASHED: &str = "4c44f63e6f037acd0a931bc672d2369b17b891e7e1e864aae3e561d97cddf9c2";

const RULES: [&str; 5] = ["--drop-key", "*mail", "--hash-key", "user_id", "--mask-ip"];

/// An archive in which one conversation and one message tell more than they should, and a record is no record.
fn world() -> World {
    let at = Options::default().range.start + 2 * DAY + 60;
    let inject = |endpoint, raw: String| Injected {
        endpoint,
        time_seconds: at,
        raw_json: raw,
    };
    let conversation = json!({"_id": "tells", "startTime": at, "lastActionAt": at, "tags": [IP],
        "metadata": {"email": EMAIL, "user_id": "user-4711", "page": {"mail": EMAIL, "n": 1}, "__sys_userIp": IP},
        "contact": {"email": EMAIL, "user_id": "user-4711"}});
    let message = json!({"_id": "told", "time": at, "conversationId": "tells", "type": "User",
        "outMsg": {"form": {"workmail": EMAIL, "from": IP}}, "userInput": {"user_id": "user-4711", "email": EMAIL}});
    World::new(Options {
        conversations: 200,
        extra: vec![
            inject(Endpoint::Conversations, conversation.to_string()),
            inject(Endpoint::Messages, message.to_string()),
            inject(
                Endpoint::Messages,
                format!(r#"{{"time":{at},"email":"{EMAIL}"}}"#),
            ),
        ],
        ..small()
    })
}

fn export(world: &World) -> Export<'_> {
    world.export().env("CONVERSE_EXPORT_HASH_SECRET", SECRET)
}

/// What the table says of both records.
fn told(lake: &Lake) -> (Value, Value) {
    let one = |sql: &str| Value::Array(lake.rows(sql).remove(0));
    let metadata = "metadata['user_id'], metadata['page'], metadata['__sys_userIp'], metadata['email'], tags, extra['contact']";
    (
        one(&format!(
            "select {metadata} from conversations where id = 'tells'"
        )),
        one("select out_msg, user_input from messages where id = 'told'"),
    )
}

fn expected() -> (Value, Value) {
    (
        json!([
            HASHED,
            r#"{"n":1}"#,
            "203.0.113.0",
            null,
            ["203.0.113.0"],
            format!(r#"{{"user_id":"{HASHED}"}}"#)
        ]),
        json!([
            r#"{"form":{"from":"203.0.113.0"}}"#,
            format!(r#"{{"user_id":"{HASHED}"}}"#)
        ]),
    )
}

/// Whether a text stands in any file of the folder, as it is or in what DuckDB reads of it.
#[track_caller]
fn is_nowhere(lake: &Lake, text: &str) {
    for path in files_below(&lake.0) {
        let content = fs::read(&path).unwrap();
        let found = content.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!found, "{text} is in {}", path.display());
    }
    for dataset in ["conversations", "messages"] {
        let sql = format!("select count(*) from {dataset} t where cast(t as varchar) like '%{text}%'");
        assert_eq!(lake.rows(&sql)[0][0], json!(0), "{text} is in {dataset}");
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_rules_take_out_is_nowhere() {
    let world = world();
    let run = export(&world).args(&RULES).run().ended(4);
    assert_eq!(run.count("messages", "rejected"), 1);
    let lake = world.lake();
    assert_eq!(told(&lake), expected());
    for text in [EMAIL, IP, "user-4711", SECRET] {
        is_nowhere(&lake, text);
    }
    assert_eq!(mode(&lake.0.join("_export/pages")), 0o700);
    on(&lake.0, "verify", &[]).ok();

    // the table's rules hold for later runs, and records that come again are the same
    let again = export(&world).args(&["--refetch"]).run().ended(4);
    assert_eq!(
        again.count("conversations", "rows") + again.count("conversations", "superseded"),
        0
    );
    is_nowhere(&lake, EMAIL);

    // rebuilding in another zone hashes nothing twice, and needs no secret
    on(&lake.0, "rebuild", &["--timezone", "Asia/Tokyo"]).ok();
    assert_eq!(told(&lake), expected());
}

#[test]
fn rules_that_rebuild_adds_give_the_same_table() {
    let world = world();
    export(&world).args(&RULES).run().ended(4);
    let plain = world.lake_named("plain");
    export(&world).to("plain").run().ended(4);
    assert!(
        fs::read_to_string(files_below(&plain.0.join("_export/rejected")).pop().unwrap())
            .unwrap()
            .contains(EMAIL)
    );

    let refused = on(&plain.0, "rebuild", &RULES).ended(2);
    assert!(
        refused.stderr.contains("CONVERSE_EXPORT_HASH_SECRET"),
        "{}",
        refused.stderr
    );
    let secret = world.path("secret");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let with_secret = [&RULES[..], &["--hash-secret-file", secret.to_str().unwrap()]].concat();
    on(&plain.0, "rebuild", &with_secret).ok();
    assert_eq!(plain.files(), world.lake().files());
    for text in [EMAIL, IP, "user-4711"] {
        is_nowhere(&plain, text);
    }
    // once more: there is nothing new to take out
    on(&plain.0, "rebuild", &with_secret).ok();
    assert_eq!(plain.files(), world.lake().files());
}

#[test]
fn what_would_undo_the_rules_is_refused() {
    let world = world();
    let kept = export(&world).args(&RULES).args(&["--keep-pages"]).run().ended(2);
    assert!(kept.stderr.contains("--keep-pages would keep"), "{}", kept.stderr);
    world.export().args(&RULES).run().ended(2);
    export(&world).args(&RULES).run().ended(4);
    for (args, secret, words) in [
        (&["--drop-key", "x"][..], SECRET, "dropped keys *mail, not x"),
        (
            &["--refetch"][..],
            "another",
            "the secret is not that of the table",
        ),
    ] {
        let run = world
            .export()
            .env("CONVERSE_EXPORT_HASH_SECRET", secret)
            .args(args)
            .run()
            .ended(2);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    let column = world
        .export()
        .args(&["--drop-key", "metadata.plan"])
        .run()
        .ended(2);
    assert!(
        column
            .stderr
            .contains("cannot use --drop-key metadata.plan: a pattern has no column name")
            && column.stderr.contains("give --drop-key plan;"),
        "{}",
        column.stderr
    );
    let without = world.export().args(&["--refetch"]).run().ended(2);
    assert!(
        without.stderr.contains("there is no secret"),
        "{}",
        without.stderr
    );

    // a hash of what a rule has bent already would be another one than that of a later record
    let late = ["--hash-key", "plan", "--drop-key", "plan2"];
    let run = on(&world.lake().0, "rebuild", &late).ended(2);
    assert!(run.stderr.contains("cannot add keys to hash"), "{}", run.stderr);

    // raw pages beside a table stand in the way of new rules
    export(&world).to("kept").args(&["--keep-pages"]).run().ended(4);
    let run = on(&world.path("kept"), "rebuild", &["--mask-ip"]).ended(2);
    assert!(
        run.stderr
            .contains("_export/kept contains values that the new rules remove"),
        "{}",
        run.stderr
    );
}

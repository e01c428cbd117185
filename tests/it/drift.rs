//! What an archive sends otherwise than before is told, and no reason to fail.

use serde_json::{Value, json};

use crate::run::on;
use crate::scripted::{Asked, Scripted, ok};
use crate::world::{DAY, World, small};

/// Two days of conversations, a minute apart but for the first ten minutes of the second; those of the second day are as another version of the bot makes them.
fn server(start: i64) -> Scripted {
    Scripted::start(move |asked: &Asked| {
        let (from, to) = (
            asked.number_of("start_time").unwrap().max(start),
            asked.number_of("end_time").unwrap().min(start + 2 * DAY),
        );
        let minutes = (from - start + 59).div_euclid(60).max(0)..(to - start + 59).div_euclid(60).max(0);
        let skip = usize::try_from(asked.number_of("cursor").unwrap_or(0)).unwrap();
        let per_page = usize::try_from(asked.number_of("per_page").unwrap()).unwrap();
        let minutes = minutes.filter(|minute| !(1_440..1_450).contains(minute));
        let many = minutes.clone().count();
        let data: Vec<Value> = minutes
            .skip(skip)
            .take(per_page)
            .map(|minute| {
                let (id, time) = (format!("c{minute}"), start + minute * 60);
                match time < start + DAY {
                    true => json!({"_id": id, "startTime": time, "metadata": {"plan": "a", "seats": 1, "old": true}}),
                    false => json!({"_id": id, "startTime": time, "channel": "web",
                        "metadata": {"plan": "a", "seats": "1", "fresh": {"x": 1}}, "locale": "LONE"}),
                }
            })
            .collect();
        let cursor = (skip + per_page < many).then(|| (skip + per_page).to_string());
        let page = json!({"data": data, "cursor": cursor}).to_string();
        ok(page.replace("LONE", r"\ud800"))
    })
}

#[test]
fn what_is_new_changed_gone_and_repaired_is_in_summary_and_status() {
    let world = World::new(small());
    let start = world.range.start;
    let server = server(start);
    let day = |number: i64| {
        let range = start + number * DAY..start + (number + 1) * DAY;
        world
            .export()
            .of(&server.url())
            .only("conversations")
            .range(range)
    };
    let first = day(0).run().ok();
    assert_eq!(first.count("conversations", "rows"), 1_440);
    let empty = json!({"new": {}, "changed": {}, "vanished": [], "repaired": {}});
    assert_eq!(first.of_dataset("conversations")["drift"], empty);

    let second = day(1).run().ok();
    let expected = json!({
        "new": {"channel": ["string"], "metadata.fresh": ["object"]},
        "changed": {"metadata.seats": {"was": ["number"], "now": ["string"]}},
        "vanished": ["metadata.old"],
        "repaired": {"replaced_characters": second.count("conversations", "received")},
    });
    assert_eq!(second.of_dataset("conversations")["drift"], expected);

    let lake = world.lake().0;
    let told = on(&lake, "status", &[]).ok().stdout;
    assert!(
        told.contains("new fields: channel (string), metadata.fresh (object)"),
        "{told}"
    );
    assert!(
        told.contains("metadata.seats (string, before only number)"),
        "{told}"
    );
    // what is told once is known from then on
    let third = day(1).args(&["--refetch"]).run().ok();
    let drift = &third.of_dataset("conversations")["drift"];
    assert_eq!((&drift["new"], &drift["changed"]), (&json!({}), &json!({})));
    on(&lake, "verify", &[]).ok();
}

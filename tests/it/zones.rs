//! Governments change the rules of time zones: the dates of a table's rows stay what they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use converse_export_simulator::Options;
use serde_json::Value;

use crate::damage::assert_sound;
use crate::lake::{Lake, files_below};
use crate::run::Export;
use crate::world::{DAY, KEY, World, small};

const ZONE: [&str; 2] = ["--timezone", "Asia/Almaty"];
/// 2024-03-01 in Almaty: from here on its clocks are one hour back.
const CHANGE: i64 = 1_709_229_600;
const HOUR: i32 = 3600;

/// The file of a zone, as the zone database has it (RFC 9636).
fn tzif(first: i32, transitions: &[(i64, i32)]) -> Vec<u8> {
    let last = transitions.last().map_or(first, |(_, offset)| *offset);
    let count = |count: usize| u32::try_from(count).unwrap().to_be_bytes();
    let header = |transitions: usize, types: usize, names: usize| {
        let counts = [count(transitions), count(types), count(names)].concat();
        [&b"TZif2"[..], &[0; 15 + 12], &counts].concat()
    };
    let mut bytes = [header(0, 1, 1), vec![0; 7]].concat();
    bytes.extend(header(transitions.len(), transitions.len() + 1, 4));
    for (second, _) in transitions {
        bytes.extend(second.to_be_bytes());
    }
    bytes.extend((1..).take(transitions.len()));
    for offset in [first].iter().chain(transitions.iter().map(|(_, offset)| offset)) {
        bytes.extend(offset.to_be_bytes());
        bytes.extend([0, 0]);
    }
    bytes.extend(b"XXX\0");
    bytes.extend(format!("\nXXX{}\n", -last / HOUR).bytes());
    bytes
}

/// Two zone databases: from before Almaty changed its clocks, and from after that.
struct PrivacyRules {
    old: PathBuf,
    new: PathBuf,
}

impl PrivacyRules {
    fn write(world: &World) -> Self {
        let write = |name: &str, transitions: &[(i64, i32)]| {
            let folder = world.path(name);
            fs::create_dir_all(folder.join("Asia")).unwrap();
            fs::write(folder.join("Asia/Almaty"), tzif(6 * HOUR, transitions)).unwrap();
            folder
        };
        Self {
            old: write("old-rules", &[]),
            new: write("new-rules", &[(CHANGE, 5 * HOUR)]),
        }
    }
}

fn world() -> World {
    let start = 1_709_078_400;
    World::new(Options {
        range: start..start + 5 * DAY,
        busy_day: None,
        empty_day: None,
        conversations: 600,
        ..small()
    })
}

fn by<'a>(export: Export<'a>, rules: &Path) -> Export<'a> {
    export.env("TZDIR", rules.to_str().unwrap())
}

/// Another command by the rules of a folder; it must end well.
#[track_caller]
fn run(lake: &Lake, rules: &Path, args: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_converse-export"));
    command
        .env_clear()
        .env("CONVERSE_EXPORT_API_KEY", KEY)
        .env("TZDIR", rules);
    let output = command.args(args).arg("--out").arg(&lake.0).output().unwrap();
    assert_eq!(
        output.status.code(),
        // an id that is not found is reported by the exit code
        Some(if args.contains(&"nobody") { 4 } else { 0 }),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn settings(lake: &Lake) -> Value {
    serde_json::from_slice(&fs::read(lake.0.join("_export/table.json")).unwrap()).unwrap()
}

/// Changes the settings of a table as another version of the program could have left them.
fn change_settings(lake: &Lake, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let mut settings = settings(lake);
    change(settings.as_object_mut().unwrap());
    fs::write(lake.0.join("_export/table.json"), settings.to_string()).unwrap();
}

/// Rows by id and by the folder that they are in.
fn dates(lake: &Lake) -> BTreeMap<String, String> {
    let rows = lake.rows("select id, date::varchar from conversations");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let dates: BTreeMap<_, _> = rows.iter().map(|row| (text(&row[0]), text(&row[1]))).collect();
    assert_eq!(dates.len(), rows.len(), "an id is in two dates");
    dates
}

#[test]
fn a_change_of_the_rules_moves_no_row_of_a_table() {
    let world = world();
    let rules = PrivacyRules::write(&world);
    let export = |lake: &str| world.export().to(lake).args(&ZONE);
    for (lake, first, then) in [
        ("forth", &rules.old, &rules.new),
        ("back", &rules.new, &rules.old),
    ] {
        let half = world.range.start..CHANGE + DAY;
        by(export(lake).range(half), first).run().ok();
        by(export(&format!("{lake}-fresh")), first).run().ok();
        let fresh = world.lake_named(&format!("{lake}-fresh"));
        let lake_of = world.lake_named(lake);
        // the rest comes by the table's own rules, and so does all that comes again
        by(export(lake), then).run().ok();
        assert_eq!(lake_of.files(), fresh.files());
        let again = by(world.export().to(lake), then).args(&["--refetch"]).run().ok();
        assert!(again.total("requests") > 0);
        assert_eq!(lake_of.files(), fresh.files());
        let page = world.path("report.html");
        for args in [
            vec!["verify"],
            vec!["status"],
            vec!["keys"],
            vec!["report", "--to", page.to_str().unwrap()],
            vec!["rebuild"],
            vec!["verify"],
        ] {
            run(&lake_of, then, &args);
        }
        assert_eq!(lake_of.files(), fresh.files());
        // a zone that is named takes its present rules
        run(&lake_of, then, &["rebuild", "--timezone", "Asia/Almaty"]);
        run(&lake_of, then, &["verify"]);
        by(export(&format!("{lake}-other")), then).run().ok();
        let other = world.lake_named(&format!("{lake}-other"));
        assert_eq!(lake_of.files(), other.files());
        assert_ne!(dates(&other), dates(&fresh), "the rules differ");
        assert_eq!(by(world.export().to(lake), then).run().ok().total("requests"), 0);
        lake_of.assert_ledger_adds_up();
    }
}

#[test]
fn days_of_the_command_line_are_days_of_the_table() {
    let world = world();
    let rules = PrivacyRules::write(&world);
    let range = ["--start", "2024-02-28", "--end", "2024-03-03"];
    by(world.export().args(&ZONE).args(&range), &rules.old).run().ok();
    let again = by(world.export().args(&range), &rules.new).run().ok();
    assert_eq!(again.total("requests"), 0);
    let again = by(world.export().args(&ZONE).args(&range), &rules.new).run().ok();
    assert_eq!(again.total("requests"), 0);
}

#[test]
fn a_table_without_rules_of_its_own_takes_those_that_its_rows_agree_with() {
    let world = world();
    let rules = PrivacyRules::write(&world);
    let export = |lake: &str| world.export().to(lake).args(&ZONE);
    by(export("old"), &rules.old).run().ok();
    by(export("new"), &rules.new).run().ok();
    let (old, new) = (world.lake_named("old").files(), world.lake_named("new").files());
    for (name, then, expected) in [("agrees", &rules.old, &old), ("differs", &rules.new, &new)] {
        for command in ["export", "rebuild", "erase"] {
            let name = format!("{name}-{command}");
            by(export(&name), &rules.old).run().ok();
            let lake = world.lake_named(&name);
            change_settings(&lake, |settings| {
                settings.remove("timezone_rules").unwrap();
            });
            match command {
                "export" => {
                    let run = by(world.export().to(&name), then).run().ok();
                    assert_eq!(run.total("requests"), 0);
                    let is_told = run.stderr.contains("the rules of Asia/Almaty have changed");
                    assert_eq!(is_told, name.starts_with("differs"), "{}", run.stderr);
                }
                "erase" => run(&lake, then, &["erase", "--conversation", "nobody"]),
                _ => run(&lake, then, &["rebuild"]),
            }
            assert_eq!(lake.files(), *expected, "{name}");
            assert!(settings(&lake)["timezone_rules"].is_string());
            run(&lake, &rules.old, &["verify"]);
            run(&lake, &rules.new, &["verify"]);
            lake.assert_ledger_adds_up();
        }
    }
}

#[test]
fn rows_that_other_rules_placed_are_single() {
    let world = world();
    let rules = PrivacyRules::write(&world);
    by(world.export().args(&ZONE), &rules.old).run().ok();
    by(world.export().to("new").args(&ZONE), &rules.new).run().ok();
    let (lake, new) = (world.lake(), world.lake_named("new"));
    // an earlier version placed what came again by the present rules
    change_settings(&lake, |told| {
        let now = settings(&new)["timezone_rules"].clone();
        told.insert("timezone_rules".into(), now);
    });
    by(world.export(), &rules.new).args(&["--refetch"]).run().ok();
    let count = |lake: &Lake| {
        lake.rows("select count(*)::int, count(distinct id)::int from conversations")[0].clone()
    };
    // rows under other dates are removed by the run that reads them again
    let rows = count(&lake);
    assert_eq!(rows[0], rows[1]);
    change_settings(&lake, |settings| {
        settings.remove("timezone_rules").unwrap();
    });
    by(world.export(), &rules.new).run().ok();
    assert_eq!(count(&lake), count(&new));
    assert_eq!(dates(&lake), dates(&new));
    assert_eq!(lake.files(), new.files());
    run(&lake, &rules.old, &["verify"]);
    lake.assert_ledger_adds_up();
}

#[test]
fn the_rules_of_utc_are_not_written_down() {
    let world = world();
    world.export().run().ok();
    assert!(settings(&world.lake())["timezone_rules"].is_null());
    assert_sound(&world.lake());
    assert!(!files_below(&world.lake().0).is_empty());
}

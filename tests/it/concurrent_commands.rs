//! Commands that only read, beside a run that changes the table, and as another user.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::{fs, thread};

use serde_json::json;

use crate::lake::{Lake, files_below};
use crate::partition_change::Corrected;
use crate::run::{Export, on};
use crate::scripted::Scripted;
use crate::world::{BOT, DAY, World, small};

const DAYS: i64 = 10;
/// So often each command is run.
const TIMES: usize = 50;

/// Changes something on every day: a version of a conversation, a text of a message, and the only day of one of each.
fn change(archive: &Corrected, start: i64, round: i64) {
    for day in 0..DAYS {
        let at = start + day * DAY + 60 * (round % 20);
        archive.conversation(&format!("c{day}-{}", round % 20), at, start + round);
        let message = json!({"_id": format!("m{day}-{}", round % 20), "time": at, "userInput": round});
        archive.put("messages", message);
    }
    let alone = start + (DAYS + round % 3) * DAY;
    archive.conversation("alone", alone, start + round);
    archive.message("alone", alone);
}

fn sync<'a>(world: &'a World, server: &Scripted) -> Export<'a> {
    let range = world.range.start..world.range.start + (DAYS + 4) * DAY;
    let sync = world.export().of(&server.url()).range(range);
    sync.sync().args(&["--lookback", "30d"])
}

#[test]
fn commands_that_only_read_do_not_fail_beside_a_run() {
    let world = World::in_memory(small());
    let archive = Corrected::default();
    let server = archive.serve();
    let start = world.range.start;
    (0..20).for_each(|round| change(&archive, start, round));
    sync(&world, &server).run().ok();
    let lake = world.lake();
    let (is_over, rounds) = (AtomicBool::new(false), AtomicI64::new(20));
    let page = world.path("report.html");
    let end = (start + (DAYS + 4) * DAY).to_string();
    let start_arg = start.to_string();
    let url = server.url();
    let plan = [
        "--bot",
        BOT,
        "--start",
        &start_arg,
        "--end",
        &end,
        "--base-url",
        &url,
        "--requests-per-second",
        "0",
    ];
    let report = ["--to", page.to_str().unwrap()];
    let verified = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let round = rounds.fetch_add(1, Ordering::Relaxed);
                change(&archive, start, round);
                let args: &[&str] = if round % 2 == 0 { &["--keep-pages"] } else { &[] };
                sync(&world, &server).args(args).run().ok();
            }
        });
        let _over = Over(&is_over);
        let mut verified = Vec::new();
        for _ in 0..TIMES {
            for (command, args) in [
                ("status", &[][..]),
                ("schema", &[]),
                ("keys", &[]),
                ("plan", &plan),
                ("report", &report),
            ] {
                let run = on(&lake.0, command, args);
                assert_eq!(run.code, Some(0), "{command}: {}{}", run.stdout, run.stderr);
            }
            let dry = on(&lake.0, "erase", &["--dry-run", "--conversation", "c1-1"]);
            assert_eq!(dry.code, Some(0), "{}", dry.stderr);
            let run = on(&lake.0, "verify", &[]);
            assert!(
                !format!("{}{}", run.stdout, run.stderr).contains("does not belong"),
                "{}{}",
                run.stdout,
                run.stderr
            );
            assert!(matches!(run.code, Some(0 | 3)), "{}{}", run.stdout, run.stderr);
            if run.code == Some(3) {
                assert!(run.stdout.contains("a run changed "), "{}", run.stdout);
            }
            verified.push(run.code == Some(0));
        }
        verified
    });
    let changed = rounds.load(Ordering::Relaxed) - 20;
    let proven = verified.iter().filter(|proven| **proven).count();
    println!("{changed} runs meanwhile; {proven} of {TIMES} proofs were complete");
    assert!(changed >= 10, "{changed} runs changed the table meanwhile");
    assert!(proven * 2 > TIMES, "{proven} of {TIMES} proofs were complete");
    on(&lake.0, "verify", &[]).ok();
}

/// Ends the other thread whatever happens to this one.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_stray_file_is_named_beside_a_run_too() {
    let world = World::in_memory(small());
    let archive = Corrected::default();
    let server = archive.serve();
    (0..20).for_each(|round| change(&archive, world.range.start, round));
    sync(&world, &server).run().ok();
    let lake = world.lake();
    // as a run at work holds it
    let lock = fs::File::open(lake.0.join("_export/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    on(&lake.0, "verify", &[]).ok();
    let folder = files_below(&lake.0.join("messages"))[0]
        .parent()
        .unwrap()
        .to_owned();
    fs::write(folder.join("copy.parquet"), "x").unwrap();
    let run = on(&lake.0, "verify", &[]).ended(1);
    assert!(
        run.stdout
            .contains("copy.parquet: it does not belong to the table"),
        "{}",
        run.stdout
    );
}

#[test]
fn another_user_reads_a_table_but_not_its_pages() {
    if !rustix::process::getuid().is_root() {
        println!("skipped: only root can run a command as another user");
        return;
    }
    let world = World::new(small());
    let archive = Corrected::default();
    let server = archive.serve();
    let start = world.range.start;
    (0..20).for_each(|round| change(&archive, start, round));
    archive.put(
        "messages",
        json!({"_id": null, "time": start, "userInput": "rejected"}),
    );
    sync(&world, &server).args(&["--keep-pages"]).run().ended(4);
    let lake = world.lake();
    // pages wait
    let killed = sync(&world, &server).env("CONVERSE_EXPORT_TEST_KILL_AT", "page-kept:2");
    assert_eq!(killed.run().code, None);
    for path in [world.path(""), lake.0.clone()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for folder in ["pages", "kept", "rejected"] {
        fs::set_permissions(
            lake.0.join("_export").join(folder),
            fs::Permissions::from_mode(0o700),
        )
        .unwrap();
    }
    let as_nobody = |command: &str, args: &[&str]| {
        let mut process = Command::new(env!("CARGO_BIN_EXE_converse-export"));
        process
            .env_clear()
            .env("CONVERSE_EXPORT_API_KEY", crate::world::KEY);
        process.arg(command).arg("--out").arg(&lake.0).args(args);
        process
            .uid(65_534)
            .gid(65_534)
            .current_dir("/")
            .stdin(Stdio::null());
        process.output()
    };
    let Ok(version) = as_nobody("schema", &[]) else {
        println!("skipped: another user cannot run the binary of this test");
        return;
    };
    assert!(version.status.success(), "{version:?}");
    let (start, end, url) = (start.to_string(), (start + DAY).to_string(), server.url());
    let plan = ["--bot", BOT, "--start", &start, "--end", &end, "--base-url", &url];
    for (command, args, says) in [
        ("status", &[][..], Some("_export/pages")),
        ("keys", &[], None),
        ("report", &["--to", "-"], None),
        ("plan", &plan, Some("permission denied")),
        ("verify", &[], Some("permission denied")),
    ] {
        let output = as_nobody(command, args).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{command}: {said}");
        if let Some(says) = says {
            assert!(said.contains(says), "{command}: {said}");
        }
        if command == "status" {
            assert!(said.contains("rejected   1, in _export"), "{said}");
            let lines = said.lines().filter(|line| line.contains("cannot read"));
            assert_eq!(lines.count(), 1, "{said}");
        }
    }
    // and a table that may not be written can be planned for, as root sees it all the same
    assert!(Lake(lake.0.clone()).ledger().is_object());
}

//! Limits on the size of files (`ulimit -f`): reported as what they are, and without them the same command finishes.

use std::process::Command;

use crate::left::Left;
use crate::world::{BOT, KEY, World, small};

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_not_a_signal() {
    let world = World::new(small());
    world.export().to("whole").run().ok();
    let whole = Left::by(&world.lake_named("whole"));
    let (start, end) = (world.range.start.to_string(), world.range.end.to_string());
    let mut met = 0;
    for kilobytes in [0, 2, 8, 16, 32, 48, 64, 96, 128] {
        let name = format!("{kilobytes}");
        let mut command = Command::new("prlimit");
        command
            .env_clear()
            .env("CONVERSE_EXPORT_API_KEY", KEY)
            .env("PATH", "/usr/bin:/bin");
        command
            .arg(format!("--fsize={}", kilobytes * 1024))
            .arg(env!("CARGO_BIN_EXE_converse-export"));
        command.args([
            "export",
            "--bot",
            BOT,
            "--start",
            &start,
            "--end",
            &end,
            "--requests-per-second",
            "0",
        ]);
        command
            .args(["--base-url", world.simulator.base_url(), "--out"])
            .arg(world.path(&name));
        let output = command.output().expect("util-linux has prlimit");
        let stderr = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => assert!(kilobytes > 8, "{kilobytes} kB were enough"),
            Some(1) => {
                assert!(stderr.contains("error: cannot write"), "{kilobytes}: {stderr}");
                assert!(stderr.contains("File too large"), "{kilobytes}: {stderr}");
                assert!(
                    stderr.contains("hint: ") && stderr.contains("ulimit -f"),
                    "{kilobytes}: {stderr}"
                );
                met += 1;
            }
            _ => panic!("{kilobytes}: {:?}: {stderr}", output.status),
        }
        world.export().to(&name).run().ok();
        Left::by(&world.lake_named(&name)).is_the_same_as(&whole, &name);
    }
    assert!(met >= 4, "the limit was met {met} times");
}

//! Limits on the size of files (`ulimit -f`): reported as what they are, and without them the same command finishes.

use crate::folder_contents::FolderContents;
use crate::world::{World, small};

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_not_a_signal() {
    let world = World::new(small());
    world.export().to("whole").run().ok();
    let whole = FolderContents::by(&world.lake_named("whole"));
    let mut met = 0;
    for kilobytes in [0, 2, 8, 16, 32, 48, 64, 96, 128] {
        let name = format!("{kilobytes}");
        let limit = format!("--fsize={}", kilobytes * 1024);
        let run = world.export().to(&name).started_by(&["prlimit", &limit]).run();
        let stderr = &run.stderr;
        match run.code {
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
            _ => panic!("{kilobytes}: {:?}: {stderr}", run.code),
        }
        world.export().to(&name).run().ok();
        FolderContents::by(&world.lake_named(&name)).is_the_same_as(&whole, &name);
    }
    assert!(met >= 4, "the limit was met {met} times");
}

//! Servers that fail on some pages only: those whose records are large.

use crate::scripted::{Scripted, answer, ok, page};
use crate::world::{DAY, World, small};

/// Conversations of 20 days, one a minute, of which those of one day are so large that no page can have more than 100.
fn server(world: &World, status: &'static str, heavy_day: i64) -> (Scripted, usize) {
    let start = world.range.start;
    let times: Vec<i64> = (0..20 * 1_440).map(|minute| start + minute * 60).collect();
    let all = times.len();
    let heavy = start + heavy_day * DAY..start + (heavy_day + 1) * DAY;
    let server = Scripted::start(move |asked| {
        let page = page(asked, &times);
        let is_heavy = |time: &&i64| heavy.contains(*time) && page.contains(&format!("\"c{time}\""));
        match times.iter().filter(is_heavy).count() {
            0..=100 => ok(page),
            _ => answer(status, "", "too large"),
        }
    });
    (server, all)
}

#[test]
fn a_day_of_large_records_is_read_in_smaller_pages() {
    for (status, heavy_day) in [
        ("502 Bad Gateway", 10),
        ("413 Content Too Large", 3),
        // the last one to be read
        ("504 Gateway Timeout", 19),
    ] {
        let world = World::in_memory(small());
        let (server, all) = server(&world, status, heavy_day);
        let range = world.range.start..world.range.start + 20 * DAY;
        let export = world
            .export()
            .of(&server.url())
            .only("conversations")
            .range(range);
        let run = export
            .args(&["--retry-for", "60s", "--per-page", "1000"])
            .run()
            .ok();
        assert_eq!(run.count("conversations", "rows"), all as u64, "{status}");
    }
}

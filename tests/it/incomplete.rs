//! What a run says that did not export everything.

use crate::run::{Run, converse};
use crate::scripted::{Asked, Reply, Scripted, answer, ok, page};
use crate::world::{World, small};

type Refusal = fn() -> Reply;

/// An export of two bots, of which the server answers one.
fn export(world: &World, lake: &str, refusal: Refusal, args: &[&str]) -> Run {
    let start = world.range.start;
    let server = Scripted::start(move |asked: &Asked| {
        if asked.target().contains("bot_name=known") {
            ok(page(asked, &[start, start + 5]))
        } else {
            refusal()
        }
    });
    let (start, end, out) = (start.to_string(), (start + 600).to_string(), world.path(lake));
    let url = server.url();
    let usual = [
        "export",
        "--dataset",
        "conversations",
        "--bot",
        "known",
        "--bot",
        "other",
        "--start",
        &start,
        "--end",
        &end,
        "--out",
        out.to_str().unwrap(),
        "--base-url",
        &url,
        "--progress",
        "none",
    ];
    converse(&[&usual[..], args].concat())
}

#[test]
fn a_run_is_done_only_where_every_bot_is() {
    let unknown = || answer("404 Not Found", "", r#"{"error":"no such bot"}"#);
    let broken = || answer("503 Service Unavailable", "", "{}");
    let some: [(Refusal, &[&str], i32); 2] = [(unknown, &[], 1), (broken, &["--retry-for", "1s"], 3)];
    for (refusal, args, code) in some {
        let world = World::new(small());
        let run = export(&world, "lake", refusal, args).ended(code);
        assert!(run.stderr.contains("incomplete after "), "{}", run.stderr);
        assert!(!run.stderr.contains("done in"), "{}", run.stderr);
        assert!(run.stderr.contains("conversations of other"), "{}", run.stderr);
        assert_eq!(world.lake().ids("conversations").len(), 2);
        let logged = export(
            &world,
            "logged",
            refusal,
            &[args, &["--log-format", "json"]].concat(),
        )
        .ended(code);
        assert!(logged.stderr.contains(r#""incomplete""#), "{}", logged.stderr);
        assert!(!logged.stderr.contains(r#""done""#), "{}", logged.stderr);
    }
    let world = World::new(small());
    let all = export(&world, "lake", || ok(r#"{"data":[],"cursor":null}"#), &[]).ok();
    assert!(all.stderr.contains("done in"), "{}", all.stderr);
}

//! Where requests go, and where the key does not.

use std::io::Write;
use std::sync::atomic::Ordering;

use crate::lake::files_below;
use crate::run::{Export, Run, Running};
use crate::scripted::{Asked, Reply, Scripted, answer, ok, page, relay};
use crate::world::{KEY, World, small};

/// A server that has one conversation.
fn one_conversation(world: &World) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    let start = world.range.start;
    move |asked| ok(page(asked, &[start + 5]))
}

fn conversations<'a>(world: &'a World, base_url: &str) -> Export<'a> {
    let export = world.export().of(base_url).only("conversations");
    export.args(&["-vv", "--concurrency", "1"])
}

/// The key is nowhere but where it was sent.
#[track_caller]
fn keeps_the_key(world: &World, run: &Run) {
    assert!(
        !run.stderr.contains(KEY) && !run.stdout.contains(KEY),
        "{}",
        run.stderr
    );
    for file in files_below(&world.lake().0) {
        let content = std::fs::read(&file).unwrap();
        let found = content.windows(KEY.len()).any(|bytes| bytes == KEY.as_bytes());
        assert!(!found, "{}", file.display());
    }
}

#[test]
fn invariant_7_no_redirect_takes_the_key_elsewhere() {
    for code in [301, 302, 303, 307, 308] {
        let world = World::new(small());
        let other = Scripted::start(one_conversation(&world));
        let (port, elsewhere) = (other.address.port(), other.url());
        for to in [
            format!("{elsewhere}/here"),
            format!("http://localhost:{port}/"),
            format!("//127.0.0.1:{port}/"),
        ] {
            let location = format!("location: {to}\r\n");
            let server = Scripted::start(move |_| answer(&format!("{code} Moved"), &location, ""));
            let run = conversations(&world, &server.url()).run().ended(1);
            assert!(
                run.stderr.contains("which must not receive the key"),
                "{}",
                run.stderr
            );
            assert_eq!((server.asked().len(), other.connections()), (1, 0), "{code} {to}");
            keeps_the_key(&world, &run);
        }
    }
}

#[test]
fn redirects_within_the_same_server_are_followed() {
    for code in [301, 302, 307, 308] {
        let world = World::new(small());
        let answers = one_conversation(&world);
        let server = Scripted::start(move |asked| match asked.target().strip_prefix("/conversations") {
            Some(rest) => answer(
                &format!("{code} Moved"),
                &format!("location: /v2/conversations{rest}\r\n"),
                "",
            ),
            None => answers(asked),
        });
        conversations(&world, &server.url()).run().ok();
        assert_eq!(world.lake().ids("conversations").len(), 1);
        assert!(server.asked().iter().all(|asked| asked.head.contains(KEY)));
    }
}

#[test]
fn a_redirect_without_end_is_told() {
    let world = World::new(small());
    let server =
        Scripted::start(|asked| answer("302 Found", &format!("location: {}\r\n", asked.target()), ""));
    let run = conversations(&world, &server.url()).run().ended(1);
    assert!(run.stderr.contains("redirects in circles"), "{}", run.stderr);
    assert!(!run.stderr.contains("must not receive"), "{}", run.stderr);
    assert!(server.asked().len() <= 6);
}

#[test]
fn plain_http_to_another_machine_has_to_be_allowed() {
    let world = World::new(small());
    let server = Scripted::start(one_conversation(&world));
    // not a loopback address, yet on this machine
    let url = format!("http://0.0.0.0:{}", server.address.port());
    let run = conversations(&world, &url).run().ended(2);
    assert!(
        run.stderr.contains("unprotected") && run.stderr.contains("--allow-http"),
        "{}",
        run.stderr
    );
    assert_eq!(server.connections(), 0);
    conversations(&world, &url).args(&["--allow-http"]).run().ok();
    let export = conversations(&world, &url).to("again");
    export.env("CONVERSE_EXPORT_ALLOW_HTTP", "true").run().ok();
}

#[test]
fn proxies_come_from_the_environment() {
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let world = World::new(small());
        let proxy = Scripted::start(one_conversation(&world));
        let export = conversations(&world, "http://export.example").args(&["--allow-http"]);
        let run = export.env(variable, &proxy.url()).run().ok();
        let asked = proxy.asked();
        let through = |asked: &Asked| asked.target().starts_with("http://export.example/conversations/");
        assert!(
            !asked.is_empty() && asked.iter().all(through),
            "{variable}: {asked:?}"
        );
        keeps_the_key(&world, &run);
    }
}

#[test]
fn invariant_7_a_proxy_for_https_does_not_see_the_key() {
    let world = World::new(small());
    let proxy = Scripted::start(|_| answer("502 Bad Gateway", "", ""));
    let export = conversations(&world, "https://export.example").args(&["--retry-for", "1s"]);
    let run = export.env("HTTPS_PROXY", &proxy.url()).run().ended(3);
    assert!(run.stderr.contains("the proxy settings"), "{}", run.stderr);
    let asked = proxy.asked();
    let tunnel =
        |asked: &Asked| asked.head.starts_with("CONNECT export.example:443 ") && !asked.head.contains(KEY);
    assert!(!asked.is_empty() && asked.iter().all(tunnel), "{asked:?}");
    keeps_the_key(&world, &run);
}

#[test]
fn no_proxy_names_what_is_reached_directly() {
    let world = World::new(small());
    let server = Scripted::start(one_conversation(&world));
    let proxy = Scripted::start(one_conversation(&world));
    let url = format!("http://0.0.0.0:{}", server.address.port());
    let export = conversations(&world, &url)
        .args(&["--allow-http"])
        .env("HTTP_PROXY", &proxy.url());
    export.clone().env("NO_PROXY", "other.example,0.0.0.0").run().ok();
    assert!(proxy.connections() == 0 && server.connections() > 0);
    export.to("proxied").run().ok();
    assert!(proxy.connections() > 0);
}

#[test]
fn invariant_7_a_proxy_elsewhere_does_not_get_what_stays_on_this_machine() {
    let world = World::new(small());
    let server = Scripted::start(one_conversation(&world));
    let proxy = Scripted::start(one_conversation(&world));
    let port = server.address.port();
    for (lake, host) in [("by-address", "127.0.0.1"), ("by-name", "localhost")] {
        let export = conversations(&world, &format!("http://{host}:{port}"));
        for variable in ["HTTP_PROXY", "ALL_PROXY"] {
            // an address that is nobody's, by the rules of the internet
            let elsewhere = export.clone().env(variable, "http://192.0.2.1:3128");
            elsewhere.to(&format!("{lake}-{variable}")).run().ok();
        }
        assert!(proxy.connections() == 0 && server.connections() > 0);
    }
    // one on this machine is as near
    let near = conversations(&world, &server.url()).env("HTTP_PROXY", &proxy.url());
    near.to("near").run().ok();
    assert!(proxy.connections() > 0);
}

#[test]
fn invariant_7_a_key_that_the_server_says_is_not_repeated() {
    let world = World::new(small());
    let said = format!(r#"{{"message": "no such key: {KEY}"}}"#);
    let location = format!("location: https://sign.in/?key={KEY}\r\n");
    for reply in [
        ("401 Unauthorized", "", said.clone()),
        ("500 Oops", "", said),
        ("302 Found", &location, String::new()),
    ] {
        let (status, headers, body) = (reply.0, reply.1.to_owned(), reply.2);
        let server = Scripted::start(move |_| answer(status, &headers, &body));
        let run = conversations(&world, &server.url())
            .args(&["--retry-for", "1s"])
            .run();
        assert!(
            run.code != Some(0) && run.stderr.contains("***"),
            "{}",
            run.stderr
        );
        keeps_the_key(&world, &run);
    }
}

#[test]
fn connections_are_reused() {
    let world = World::new(small());
    let simulator = world.simulator.base_url().strip_prefix("http://").unwrap();
    let (relay, connections) = relay(simulator.parse().unwrap());
    let export = world.export().of(&format!("http://{relay}"));
    export
        .args(&["--per-page", "50", "--concurrency", "4"])
        .run()
        .ok();
    let connections = connections.load(Ordering::Relaxed);
    assert!(world.requests() > 150);
    assert!(
        connections <= 2 * 4 + 4,
        "{connections} connections for {} requests",
        world.requests()
    );
}

/// How much memory the process used at most, in bytes; it ends meanwhile.
fn peak(running: Running) -> (Run, u64) {
    let status = format!("/proc/{}/status", running.id());
    let mut peak = 0;
    while let Ok(text) = std::fs::read_to_string(&status) {
        if text.contains("State:\tZ") {
            break;
        }
        let most = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let most = most.and_then(|most| most.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(most.unwrap_or(0) * 1024);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    (running.end(), peak)
}

#[test]
fn invariant_6_a_bomb_does_not_fill_memory() {
    const MIB: usize = 1024 * 1024;
    let zeros = vec![0; MIB];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..1024 {
        gzip.write_all(&zeros).unwrap();
        zstd.write_all(&zeros).unwrap();
    }
    for (encoding, bomb) in [("gzip", gzip.finish().unwrap()), ("zstd", zstd.finish().unwrap())] {
        let world = World::new(small());
        let headers = format!("content-encoding: {encoding}\r\n");
        let server = Scripted::start(move |_| answer("200 OK", &headers, &bomb));
        let cap = (32 * MIB).to_string();
        let (run, peak) = peak(
            conversations(&world, &server.url())
                .args(&["--max-page-bytes", &cap])
                .start(),
        );
        let run = run.ended(1);
        assert!(
            run.stderr.contains("larger than 33554432 bytes"),
            "{}",
            run.stderr
        );
        assert!(
            peak > 0 && peak < 160 * MIB as u64,
            "{} MiB with {encoding}",
            peak / MIB as u64
        );
    }
}

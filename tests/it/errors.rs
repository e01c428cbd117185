//! Every error that can be provoked, word for word: what failed, the causes, one hint.

use std::cell::Cell;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::lake::files_below;
use crate::recorded::Recording;
use crate::run::{Export, Run, converse, on};
use crate::scripted::{Asked, Reply, Scripted, answer, ok, page};
use crate::tls;
use crate::world::{KEY, World, small};

fn recording(name: &'static str, world: &World) -> Recording {
    Recording::new(name).replacing(world.path("").to_str().unwrap(), "<folder>/")
}

#[test]
fn of_the_command_line() {
    let world = World::new(small());
    let mut recording = recording("usage", &world);
    for line in [
        "--nonsense",
        "exprot",
        "export",
        "export --bot r3 --strat 2023-10-01",
        "export --bot r3 --start tomorrow",
        "export --bot r3 --start 20231001",
        "status --out s3://bucket/lake",
        "export --dataset mesages",
        "export --settle 28",
        "export --per-page many",
        "export --bot",
        "export --bot r3 --start 2023-10-01 --end 2023-10-06 extra",
        "status --port 8080",
        "status --progress lgo --out x",
        "status --out x --out y",
        "status --out x --log-format xml",
        "completions fsh",
        "man",
        "simulate --days 0",
        "simulate --start 2023-13-01",
    ] {
        recording.add_run(line, &converse(&line.split_whitespace().collect::<Vec<_>>()));
    }
    let mut with = |args: &str| {
        let args: Vec<&str> = args.split_whitespace().collect();
        recording.add_run(
            &format!("export {}", args.join(" ")),
            &world.export().args(&args).run(),
        );
    };
    for args in [
        "--start 2023-10-06 --end 2023-10-01",
        "--start 1969-07-20",
        "--per-page 1001",
        "--concurrency 0",
        "--timezone Europe/Berln",
        "--timezone nowhere",
        "--start 10000-01-01",
    ] {
        with(args);
    }
    recording.add_run("export --bot ''", &world.export().args(&["--bot", ""]).run());
    recording.add_run(
        "export --requests-per-second -1",
        &world.export().rate("-1").run(),
    );
    let long = "b".repeat(300);
    let run = world.export().args(&["--bot", &long]).run();
    recording.add_run("export --bot bbb…", &run);
    for url in [
        "nowhere",
        "ftp://api.example.com",
        "http://api.example.com",
        "https://me:secret@api.example.com",
    ] {
        recording.add_run(&format!("export --base-url {url}"), &world.export().of(url).run());
    }
    let run = world.export().env("CONVERSE_EXPORT_SETTLE", "soon").run();
    recording.add_run("CONVERSE_EXPORT_SETTLE=soon export", &run);
    let run = world.export().env("CONVERSE_EXPORT_REFETCH", "maybe").run();
    recording.add_run("CONVERSE_EXPORT_REFETCH=maybe export", &run);
    assert_eq!(world.requests(), 0);
    recording.replacing("b".repeat(300), "bbb…").check();
}

#[test]
fn of_the_key() {
    let world = World::new(small());
    let mut recording = recording("key", &world);
    let key = |key| {
        world
            .export()
            .args(&["--concurrency", "1"])
            .env("CONVERSE_EXPORT_API_KEY", key)
            .run()
    };
    recording.add_run("export, without a key", &world.export().without_key().run());
    recording.add_run("export, with an empty key", &key(" "));
    recording.add_run("export, with a key of two lines", &key("two\nlines"));
    let from = |file: &str| {
        let path = world.path(file);
        let export = world.export().without_key();
        export.args(&["--api-key-file", path.to_str().unwrap()]).run()
    };
    recording.add_run("export --api-key-file missing", &from("missing"));
    fs::write(world.path("empty"), "\n").unwrap();
    recording.add_run("export --api-key-file empty", &from("empty"));
    recording.add_run("export, with a wrong key", &key("wrong"));
    recording.add_run("export, with a key that may not export", &key("viewer-key"));
    recording.add_run(
        "export --bot nobody",
        &world
            .export()
            .args(&["--concurrency", "1", "--bot", "nobody"])
            .run(),
    );
    recording.check();
}

/// An export of conversations from a server that answers so.
fn from(world: &World, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static, args: &[&str]) -> Run {
    let server = Scripted::start(script);
    let export = world.export().of(&server.url()).only("conversations");
    export.args(&["--concurrency", "1"]).args(args).run()
}

#[test]
fn of_the_api() {
    let world = World::new(small());
    let mut recording = recording("api", &world);
    for status in [
        "400 Bad Request",
        "402 Payment Required",
        "404 Not Found",
        "405 Method Not Allowed",
        "429 Too Many Requests",
        "501 Not Implemented",
        "503 Service Unavailable",
    ] {
        let body = r#"{"message": "so says the server"}"#;
        let run = from(&world, move |_| answer(status, "", body), &["--retry-for", "0s"]);
        recording.add_run(&format!("export, answered with {status}"), &run);
    }
    let now = ["--retry-for", "0s"];
    let html = |_: &Asked| ok("<html><h1>Sign in</h1></html>");
    recording.add_run("export, answered with a login page", &from(&world, html, &now));
    let error = |_: &Asked| ok(r#"{"data":[],"cursor":null,"error":"archive away"}"#);
    recording.add_run(
        "export, answered with an error in a success",
        &from(&world, error, &now),
    );
    let elsewhere = |_: &Asked| answer("302 Found", "location: https://sign.in/\r\n", "");
    recording.add_run("export, sent elsewhere", &from(&world, elsewhere, &now));
    let circles = |asked: &Asked| {
        answer(
            "302 Found",
            &format!("location: {}\r\n", asked.target().split('?').next().unwrap()),
            "",
        )
    };
    recording.add_run("export, sent in circles", &from(&world, circles, &now));
    let silence = |_: &Asked| Reply::Silence(Duration::from_secs(9));
    let run = from(&world, silence, &["--retry-for", "0s", "--timeout", "300ms"]);
    recording.add_run("export --timeout 300ms, answered with silence", &run);
    let broken = |_: &Asked| Reply::Last(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec());
    recording.add_run("export, answered with half a page", &from(&world, broken, &now));
    let large = |_: &Asked| ok(" ".repeat(5000));
    let run = from(&world, large, &["--max-page-bytes", "4096"]);
    recording.add_run("export --max-page-bytes 4096, answered with more", &run);
    let at = world.range.start;
    let circle = move |asked: &Asked| ok(page(asked, &[at + 5]).replace("null", "\"again\""));
    recording.add_run(
        "export, answered with the same page for ever",
        &from(&world, circle, &now),
    );
    recording.check();
}

#[test]
fn of_the_way_to_the_api() {
    let world = World::new(small());
    // nobody listens there any more
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut recording = recording("network", &world);
    // of each address a table of its own
    let lakes = Cell::new(0);
    let to = |url: &str| -> Export<'_> {
        lakes.set(lakes.get() + 1);
        let export = world
            .export()
            .of(url)
            .to(&format!("lake-{}", lakes.get()))
            .only("conversations");
        export.args(&["--retry-for", "0s", "--concurrency", "1"])
    };
    recording.add_run(
        "export, where nobody listens",
        &to(&format!("http://{free}")).run(),
    );
    let mut run = to("https://no-such-name.invalid").run();
    // the system's own words
    let words = run.stderr.split(['(', ')']).nth(1).unwrap().to_owned();
    assert!(words.contains("failed to lookup"), "{words}");
    run.stderr = run.stderr.replace(&words, "…");
    recording.add_run("export, from a name that leads nowhere", &run);
    let far = |variable: &str, proxy: &str| to("https://export.example").env(variable, proxy).run();
    recording.add_run(
        "export, through a proxy that is not there",
        &far("HTTPS_PROXY", &format!("http://user:secret@{free}")),
    );
    let proxy = Scripted::start(|_| answer("502 Bad Gateway", "", ""));
    recording.add_run(
        "export, through a proxy that leads nowhere",
        &far("ALL_PROXY", &proxy.url()),
    );
    let proxy = Scripted::start(|_| answer("407 Proxy Authentication Required", "", ""));
    recording.add_run(
        "export, through a proxy that wants credentials",
        &far("HTTPS_PROXY", &proxy.url()),
    );

    let behind =
        |name: &str| to(&tls::serve(name)).env("SSL_CERT_FILE", tls::certificate(name).to_str().unwrap());
    behind("good").run().ok();
    let stranger = to(&tls::serve("good")).env("SSL_CERT_FILE", tls::certificate("other").to_str().unwrap());
    recording.add_run(
        "export, from a server with a certificate of its own",
        &stranger.run(),
    );
    recording.add_run(
        "export, from a server with a certificate for another name",
        &behind("other").run(),
    );
    let at_some_time = |mut run: Run| {
        let says = "this machine's clock shows ";
        let (before, now) = run.stderr.split_once(says).unwrap();
        let (now, after) = now.split_once(')').unwrap();
        assert!(now.parse::<jiff::Timestamp>().is_ok(), "{now}");
        run.stderr = format!("{before}{says}<now>){after}");
        run
    };
    recording.add_run(
        "export, from a server with an old certificate",
        &at_some_time(behind("expired").run()),
    );
    recording.add_run(
        "export, from a server with a certificate of the future",
        &at_some_time(behind("future").run()),
    );
    let plain = world.simulator.base_url().replace("http://", "https://");
    let run = to(&plain)
        .env("SSL_CERT_FILE", tls::certificate("good").to_str().unwrap())
        .run();
    recording.add_run("export, from a server without TLS", &run);
    let run = to("https://export.example")
        .env("SSL_CERT_FILE", "/dev/null")
        .run();
    recording.add_run("export, on a machine without certificates", &run);
    recording.check();
}

#[test]
fn of_the_table() {
    let world = World::new(small());
    let lake = world.lake();
    let mut recording = recording("table", &world);
    let nowhere = world.path("nowhere");
    for command in ["status", "verify", "rebuild"] {
        recording.add_run(
            &format!("{command}, where there is no table"),
            &on(&nowhere, command, &["--quiet"]),
        );
    }
    fs::write(world.path("file"), "").unwrap();
    recording.add_run("export into a file", &world.export().to("file").run());
    recording.add_run(
        "export into a folder below a file",
        &world.export().to("file/below").run(),
    );
    world.export().only("conversations").run().ok();
    let berlin = world.export().args(&["--timezone", "Europe/Berlin"]);
    recording.add_run("export into a table with days of another zone", &berlin.run());
    let other = World::new(small());
    let run = world.export().of(other.simulator.base_url()).run();
    recording.add_run("export into a table of another API", &run);

    let settings = lake.0.join("_export/table.json");
    let kept = fs::read_to_string(&settings).unwrap();
    let newer = kept.replace("\"schema_version\": 1", "\"schema_version\": 99");
    assert_ne!(newer, kept);
    fs::write(&settings, newer).unwrap();
    recording.add_run("export into a table of a newer version", &world.export().run());
    fs::write(&settings, &kept[..9]).unwrap();
    recording.add_run(
        "export into a table whose settings are damaged",
        &world.export().run(),
    );
    fs::write(&settings, kept).unwrap();
    let file = files_below(&lake.0.join("conversations")).remove(0);
    fs::write(&file, "PAR1").unwrap();
    let run = on(&lake.0, "rebuild", &["--timezone", "Asia/Tokyo"]);
    recording.add_run("rebuild of a table with a damaged file", &run);
    let file = file.strip_prefix(&lake.0).unwrap().to_str().unwrap().to_owned();
    recording.replacing(file, "<file>").check();
}

#[test]
fn of_this_machine() {
    let world = World::new(small());
    let mut recording = recording("machine", &world);
    let port = world.simulator.base_url().rsplit(':').next().unwrap();
    recording.add_run(
        "simulate, where somebody listens already",
        &converse(&["simulate", "--port", port]),
    );
    fs::write(world.path("file"), "").unwrap();
    let file = world.path("file");
    recording.add_run("man, into a file", &converse(&["man", file.to_str().unwrap()]));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_converse-export"));
    let output = command
        .args(["completions", "bash"])
        .env_clear()
        .stdout(full)
        .stderr(Stdio::piped())
        .output();
    let output = output.unwrap();
    let run = Run {
        code: output.status.code(),
        stdout: String::new(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    recording.add_run("completions bash > /dev/full", &run);
    let mut slow = world
        .export()
        .rate("2")
        .args(&["--per-page", "10", "--progress", "none"])
        .start();
    slow.until(|| world.requests() > 2);
    let mut refused = world.export().run();
    let holder = refused.stderr.split(['(', ')']).nth(1).unwrap().to_owned();
    assert!(
        holder.starts_with(&format!("process {} on ", slow.id())),
        "{holder}"
    );
    refused.stderr = refused.stderr.replace(&holder, "<holder>");
    recording.add_run("export, while another run is at work", &refused);
    slow.signal(Signal::INT);
    let mut stopped = slow.end();
    stopped.stdout.clear();
    recording.add_run("export, then Ctrl-C", &stopped);
    recording.check();
}

#[test]
fn invariant_7_the_key_is_in_no_error() {
    let world = World::new(small());
    for args in [
        ["--base-url", KEY],
        ["--timezone", "nowhere"],
        ["--settle", "soon"],
    ] {
        let run = world
            .export()
            .env("CONVERSE_EXPORT_API_KEY", "another-key")
            .args(&args)
            .run()
            .ended(2);
        assert!(!run.stderr.contains("another-key"), "{}", run.stderr);
    }
}

#[test]
fn errors_are_objects_where_the_log_is_json() {
    let world = World::new(small());
    for (run, causes) in [
        (converse(&["exprot", "--log-format", "json"]), 0),
        (converse(&["export", "--log-format=json"]), 0),
        (
            world
                .export()
                .args(&["--log-format", "json"])
                .env("CONVERSE_EXPORT_API_KEY", "wrong")
                .run(),
            1,
        ),
    ] {
        let [line] = run.stderr.lines().collect::<Vec<_>>()[..] else {
            panic!("one line was expected: {}", run.stderr);
        };
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["level"], "error");
        assert!(
            line["time"].is_string() && line["message"].is_string() && line["hint"].is_string(),
            "{line}"
        );
        assert_eq!(line["causes"].as_array().map_or(0, Vec::len), causes, "{line}");
    }
}

//! The config file: what stands above it, what it may not say, and what `config` tells of it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::recorded::Recording;
use crate::run::{Run, within};
use crate::scripted::{Scripted, ok};
use crate::world::{BOT, KEY, World, small};

/// A working directory with a config file in it.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn new(world: &World, name: &str, config: &str) -> Self {
        let folder = world.path(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("converse-export.toml"), config).unwrap();
        Self { folder }
    }

    /// Runs the binary there.
    fn run(&self, args: &[&str], envs: &[(&str, &str)]) -> Run {
        within(&self.folder, args, envs)
    }

    /// Every setting as `config` tells it: its value and where it comes from.
    fn settings(&self, args: &[&str], envs: &[(&str, &str)]) -> impl Fn(&str) -> (Value, String) + use<> {
        let told = self
            .run(&[&["config", "--json"], args].concat(), envs)
            .ok()
            .json();
        move |name| {
            let mut settings = told.as_array().unwrap().iter();
            let setting = settings.find(|setting| setting["name"] == name);
            let setting = setting.unwrap_or_else(|| panic!("no {name} in {told}"));
            (
                setting["value"].clone(),
                setting["from"].as_str().unwrap().to_owned(),
            )
        }
    }
}

#[test]
fn a_job_needs_only_the_file() {
    let world = World::new(small());
    let (start, end) = (world.range.start, world.range.end);
    let config = format!(
        "bot = '{BOT}'\nout = 'lake'\nstart = {start}\nend = {end}\ndataset = ['messages']\njson = true\n\
         base-url = '{}'\nrequests-per-second = 0\n",
        world.simulator.base_url()
    );
    let place = Place::new(&world, "job", &config);
    let run = place.run(&["export"], &[]).ok();
    assert_eq!(
        run.count("messages", "rows"),
        world.truth("messages").len() as u64
    );
    assert_eq!(world.stats("conversations").requests, 0);
    assert!(
        place.folder.join("lake/messages").is_dir(),
        "the folder is beside the file"
    );
    // from elsewhere, by name
    let elsewhere = Place::new(&world, "elsewhere", "");
    let file = place.folder.join("converse-export.toml");
    let named = ["export", "--config", file.to_str().unwrap()];
    assert!(
        elsewhere.run(&named, &[]).ok().of_dataset("messages")["was_complete"]
            .as_bool()
            .unwrap()
    );
    let variable = [("CONVERSE_EXPORT_CONFIG", file.to_str().unwrap())];
    assert_eq!(
        elsewhere.run(&["status"], &variable).ok().json()["settings"]["timezone"],
        "UTC"
    );
}

#[test]
fn flag_then_variable_then_file_then_default() {
    let world = World::new(small());
    let config = "per-page = 500\nsettle = '1h'\nretry-for = '2m'\nquiet = true\nbot = ['a', 'b']\n";
    let place = Place::new(&world, "place", config);
    let envs = [
        ("CONVERSE_EXPORT_PER_PAGE", "400"),
        ("CONVERSE_EXPORT_SETTLE", "2h"),
    ];
    let of = place.settings(&["export", "--per-page", "300"], &envs);
    assert_eq!(of("per-page"), ("300".into(), "the command line".into()));
    assert_eq!(
        of("settle"),
        ("2h".into(), "the variable CONVERSE_EXPORT_SETTLE".into())
    );
    assert_eq!(of("retry-for"), ("2m".into(), "converse-export.toml".into()));
    assert_eq!(of("timeout"), ("60s".into(), "default".into()));
    assert_eq!(of("quiet"), ("true".into(), "converse-export.toml".into()));
    assert_eq!(of("bot"), ("a, b".into(), "converse-export.toml".into()));
    assert_eq!(of("out"), (Value::Null, "–".into()));
    // a list that is given takes the place of the file's
    let of = place.settings(&["export", "--bot", "c"], &[]);
    assert_eq!(of("bot"), ("c".into(), "the command line".into()));
    // without a command: all settings of all commands, once
    let of = place.settings(&[], &envs);
    assert_eq!(of("per-page").0, "400");
    assert_eq!(of("live").1, "default");
}

#[test]
fn invariant_7_the_key_is_told_as_set_or_not_set() {
    let world = World::new(small());
    let place = Place::new(&world, "place", "");
    for args in [&["config"][..], &["config", "--json"], &["config", "export"]] {
        let set = place.run(args, &[]).ok();
        assert!(
            set.stdout.contains("set") && !set.stdout.contains("not set"),
            "{}",
            set.stdout
        );
        assert!(!set.stdout.contains(KEY) && !set.stderr.contains(KEY));
        let unset = place.run(args, &[("CONVERSE_EXPORT_API_KEY", "")]).ok();
        assert!(unset.stdout.contains("not set"), "{}", unset.stdout);
    }
}

#[test]
fn invariant_7_a_file_that_lies_there_does_not_choose_where_the_key_goes() {
    let world = World::new(small());
    let server = Scripted::start(|_| ok(r#"{"data":[],"cursor":null}"#));
    // not a loopback address, yet on this machine
    let config = format!(
        "base-url = 'http://0.0.0.0:{}'\nallow-http = true\n",
        server.address.port()
    );
    let place = Place::new(&world, "place", &config);
    let line = [
        "preview",
        "--bot",
        BOT,
        "--start",
        "2023-10-01",
        "--end",
        "2023-10-02",
    ];
    let run = place.run(&line, &[]).ended(2);
    assert!(
        run.stderr
            .contains("give --config converse-export.toml if you trust"),
        "{}",
        run.stderr
    );
    assert_eq!(server.connections(), 0);
    let trusted = [&line[..], &["--config", "converse-export.toml"]].concat();
    place.run(&trusted, &[]).ok();
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn what_is_wrong_with_the_file_is_told() {
    let world = World::new(small());
    let mut recording = Recording::new("config");
    for config in [
        "bots = 'r3-218210'",
        "requests_per_second = 2",
        "api-key = 'secret'",
        "[limits]\nper-page = 5",
        "bot = r3-218210",
        "per-page = 'many'",
        "out = ['one', { path = 'two' }]",
        "settle = 15",
        "colour = true",
    ] {
        let place = Place::new(&world, "place", config);
        let run = place.run(
            &[
                "export",
                "--bot",
                BOT,
                "--start",
                "2023-10-01",
                "--end",
                "2023-10-02",
                "--out",
                "lake",
            ],
            &[],
        );
        assert!(!run.stderr.contains("secret"), "{}", run.stderr);
        recording.add_run(
            &format!("export, where the file says: {}", config.replace('\n', "; ")),
            &run,
        );
    }
    let place = Place::new(&world, "place", "bots = 1");
    recording.add_run(
        "status --config missing.toml",
        &place.run(&["status", "--config", "missing.toml"], &[]),
    );
    recording.check();
    // help is given all the same, and what is shown or tried does not read settings
    place.run(&["export", "--help"], &[]).ok();
    let place = Place::new(&world, "demo", "conversations = 7");
    place.run(&["status"], &[]).ended(2);
    assert!(Path::new(&place.folder).is_dir());
}

//! The binary as a process: put together, started, stopped, and what it said.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::world::{BOT, KEY, World};

/// No run of these tests takes so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the binary with the simulator's key and nothing else in its environment.
pub(crate) fn converse(args: &[&str]) -> Run {
    let _share = Share::take();
    let mut command = Command::new(env!("CARGO_BIN_EXE_converse-export"));
    command.env_clear().env("CONVERSE_EXPORT_API_KEY", KEY);
    Run::of(command.args(args).stdin(Stdio::null()).output().unwrap())
}

/// The same in a working directory, with variables of the environment.
pub(crate) fn within(folder: &Path, args: &[&str], envs: &[(&str, &str)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_converse-export"));
    command.env_clear().env("CONVERSE_EXPORT_API_KEY", KEY);
    command.envs(envs.iter().copied()).current_dir(folder);
    Run::of(command.args(args).stdin(Stdio::null()).output().unwrap())
}

/// A run of `converse-export export` that is being put together.
#[derive(Clone)]
pub(crate) struct Export<'a> {
    world: &'a World,
    out: PathBuf,
    base_url: String,
    range: Range<i64>,
    datasets: Vec<&'a str>,
    args: Vec<String>,
    rate: &'a str,
    verb: &'a str,
    envs: Vec<(String, String)>,
    /// The program that starts it, with arguments; empty where it is started directly.
    starter: Vec<String>,
}

impl<'a> Export<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        Self {
            world,
            out: world.lake().0,
            base_url: world.simulator.base_url().to_owned(),
            range: world.range.clone(),
            datasets: Vec::new(),
            args: Vec::new(),
            rate: "0",
            verb: "export",
            envs: vec![("CONVERSE_EXPORT_API_KEY".into(), KEY.into())],
            starter: Vec::new(),
        }
    }

    /// Into another lake of the same world.
    pub(crate) fn to(self, lake: &str) -> Self {
        let out = self.world.path(lake);
        Self { out, ..self }
    }

    pub(crate) fn of(self, base_url: &str) -> Self {
        let base_url = base_url.to_owned();
        Self { base_url, ..self }
    }

    /// Without the API's address.
    pub(crate) fn without_address(self) -> Self {
        self.of("")
    }

    pub(crate) fn range(self, range: Range<i64>) -> Self {
        Self { range, ..self }
    }

    pub(crate) fn only(mut self, dataset: &'a str) -> Self {
        self.datasets.push(dataset);
        self
    }

    /// Requests a second.
    pub(crate) fn rate(self, rate: &'a str) -> Self {
        Self { rate, ..self }
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// As a `sync`, from the range's start up to its end.
    pub(crate) fn sync(self) -> Self {
        let verb = "sync";
        Self { verb, ..self }
    }

    /// Started by another program, which gets the binary's path and arguments after its own arguments.
    pub(crate) fn started_by(mut self, program: &[&str]) -> Self {
        self.starter = program.iter().map(|arg| (*arg).to_owned()).collect();
        self.env("PATH", "/usr/bin:/bin")
    }

    /// Sets a variable of the environment, which holds nothing but the key otherwise.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without_key(mut self) -> Self {
        self.envs.retain(|(name, _)| name != "CONVERSE_EXPORT_API_KEY");
        self
    }

    fn command(&self) -> Command {
        let mut program = self.starter.clone();
        program.push(env!("CARGO_BIN_EXE_converse-export").to_owned());
        let mut command = Command::new(&program[0]);
        command
            .args(&program[1..])
            .env_clear()
            .envs(self.envs.iter().map(|(name, value)| (name, value)));
        command.args([self.verb, "--json"]);
        if !self.base_url.is_empty() {
            command.args(["--base-url", &self.base_url]);
        }
        command
            .args(["--requests-per-second", self.rate])
            .arg("--out")
            .arg(&self.out);
        // a flag that a test gives takes the place of the usual one
        let given = |flag: &str| self.args.iter().any(|arg| arg == flag);
        let start = if self.verb == "sync" { "--since" } else { "--start" };
        let usual = [
            ("--bot", BOT.to_owned()),
            (start, moment(self.range.start)),
            ("--end", moment(self.range.end)),
        ];
        for (flag, value) in usual.iter().filter(|(flag, _)| !given(flag)) {
            command.arg(flag).arg(value);
        }
        for dataset in &self.datasets {
            command.args(["--dataset", dataset]);
        }
        command
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Run {
        let _share = Share::take();
        self.run_alone()
    }

    /// The same for a test that holds the machine [`alone`].
    pub(crate) fn run_alone(&self) -> Run {
        Run::of(self.command().output().unwrap())
    }

    /// Starts it.
    pub(crate) fn start(&self) -> Running {
        let share = Share::take();
        Running {
            child: Some(self.command().spawn().unwrap()),
            _share: share,
        }
    }
}

/// Another command on a lake, with the key in its environment, run to its end.
pub(crate) fn on(lake: &Path, command: &str, args: &[&str]) -> Run {
    let _share = Share::take();
    let mut process = Command::new(env!("CARGO_BIN_EXE_converse-export"));
    process.env_clear().env("CONVERSE_EXPORT_API_KEY", KEY);
    process.arg(command).arg("--out").arg(lake).args(args);
    Run::of(process.stdin(Stdio::null()).output().unwrap())
}

/// Starts another command, such as `rebuild`, without a key.
pub(crate) fn start(args: &[&str]) -> Running {
    start_with(args, &[])
}

/// The same with variables of the environment.
pub(crate) fn start_with(args: &[&str], envs: &[(&str, &str)]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_converse-export"));
    command
        .env_clear()
        .envs(envs.iter().copied())
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Running {
        child: Some(command.spawn().unwrap()),
        _share: Share::take(),
    }
}

/// A run under way. FolderContents alone it is killed.
pub(crate) struct Running {
    child: Option<Child>,
    _share: Share,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Waits until something is so, which must come before the run ends.
    pub(crate) fn until(&mut self, what: impl Fn() -> bool) {
        while !what() {
            assert!(self.ended().is_none(), "the run ended too early to be looked at");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// Kills it, if it still runs.
    pub(crate) fn kill(&self) {
        // not waited for yet, so the id is still its own
        let _ = kill_process(Pid::from_child(self.child.as_ref().unwrap()), Signal::KILL);
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().unwrap().try_wait().unwrap()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Run {
        let begin = Instant::now();
        while self.ended().is_none() {
            assert!(begin.elapsed() < PATIENCE, "the run does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
        Run::of(self.child.take().unwrap().wait_with_output().unwrap())
    }
}

impl Running {
    /// Waits for its end, however long that takes; tells the most memory that it held, in KiB.
    pub(crate) fn end_and_peak(mut self) -> (Run, u64) {
        let child = self.child.take().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let watched = std::thread::spawn(move || {
            let mut peak = 0;
            // gone once the process has ended
            while let Some(now) = peak_in(&std::fs::read_to_string(&status).unwrap_or_default()) {
                peak = now;
                std::thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        let run = Run::of(child.wait_with_output().unwrap());
        (run, watched.join().unwrap())
    }
}

fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // it may have ended by itself
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How a run ended and what it said.
#[derive(Debug)]
pub(crate) struct Run {
    /// `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the exporter writes UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// It ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.ended(0)
    }

    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard error: {}", self.stderr);
        self
    }

    /// The JSON on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("JSON on standard output")
    }

    /// The summary's part on a dataset.
    #[track_caller]
    pub(crate) fn of_dataset(&self, dataset: &str) -> Value {
        let summary: Value = serde_json::from_str(&self.stdout).expect("a summary on standard output");
        let of = summary["datasets"][dataset].clone();
        assert!(of.is_object(), "nothing of {dataset} in {summary}");
        of
    }

    /// A number of the summary.
    #[track_caller]
    pub(crate) fn count(&self, dataset: &str, what: &str) -> u64 {
        let summary = self.of_dataset(dataset);
        summary[what]
            .as_u64()
            .unwrap_or_else(|| panic!("no {what} in {summary}"))
    }

    /// A number of the summary, over the datasets that were asked for.
    #[track_caller]
    pub(crate) fn total(&self, what: &str) -> u64 {
        let summary: Value = serde_json::from_str(&self.stdout).expect("a summary on standard output");
        let datasets = summary["datasets"].as_object().expect("datasets in the summary");
        datasets.keys().map(|dataset| self.count(dataset, what)).sum()
    }
}

/// How many runs are under way, and those who wait for another number of them.
struct Machine {
    runs: Mutex<u32>,
    changed: Condvar,
}

static MACHINE: Machine = Machine {
    runs: Mutex::new(0),
    changed: Condvar::new(),
};

/// Waits until no run is under way, and lets none begin: a test of the pace needs the machine for itself.
pub(crate) fn alone() -> MutexGuard<'static, u32> {
    let runs = MACHINE.runs.lock().unwrap_or_else(PoisonError::into_inner);
    MACHINE
        .changed
        .wait_while(runs, |runs| *runs > 0)
        .unwrap_or_else(PoisonError::into_inner)
}

/// A run's share of the machine. Several may be held by one test.
struct Share;

impl Share {
    fn take() -> Self {
        *MACHINE.runs.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *MACHINE.runs.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        MACHINE.changed.notify_all();
    }
}

/// A second as the command line takes it: Unix seconds have 10 digits.
fn moment(second: i64) -> String {
    match second {
        1_000_000_000.. => second.to_string(),
        _ => jiff::Timestamp::from_second(second).unwrap().to_string(),
    }
}

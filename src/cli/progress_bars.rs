//! Shows the progress of a run: as bars in a terminal, or as log lines elsewhere.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::args::{OutputArgs, ProgressKind};
use super::output;
use super::progress_line::ProgressLine;
use super::terminal::{Stream, is_dumb};
use crate::api::Failure;
use crate::dataset::Dataset;
use crate::export::{Progress, ProgressSnapshot, Silent};

/// All bars of this process. Log lines are printed above them.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Runs `what` while no bar is drawn on standard error.
pub(super) fn suspended<T>(what: impl FnOnce() -> T) -> T {
    match BARS.get() {
        Some(bars) => bars.suspend(what),
        None => what(),
    }
}

fn kind(output: &OutputArgs) -> ProgressKind {
    let draws = Stream::Stderr.is_terminal() && !is_dumb() && !super::log::is_json();
    match output.progress {
        ProgressKind::Auto if output.quiet => ProgressKind::None,
        ProgressKind::Auto if draws => ProgressKind::Bar,
        ProgressKind::Auto => ProgressKind::Log,
        other => other,
    }
}

/// Creates a bar that shows `done` of `all`. Outside a terminal it shows nothing, since it is for work of seconds.
pub(super) fn counted(output: &OutputArgs, what: &'static str) -> Box<dyn Fn(usize, usize) + Send> {
    if kind(output) != ProgressKind::Bar {
        return Box::new(|_, _| {});
    }
    let style = ProgressStyle::with_template("{bar:24.cyan/dim} {pos} of {len} {msg} · {elapsed}");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━╸─"),
    );
    bar.set_message(what);
    Box::new(move |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        if done == all {
            bar.finish_and_clear();
        }
    })
}

/// Creates the progress display of a run over `bots` bots.
pub(super) fn progress(output: &OutputArgs, bots: usize) -> Arc<dyn Progress> {
    match kind(output) {
        ProgressKind::Bar => Arc::new(Bars {
            with_bot: bots > 1,
            with_windows: output.verbose > 0,
            all: Mutex::default(),
        }),
        ProgressKind::Log => Arc::new(ProgressLog::default()),
        _ => Arc::new(Silent),
    }
}

type SharedLine = Arc<Mutex<ProgressLine>>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows a bar for each dataset of each bot.
struct Bars {
    with_bot: bool,
    with_windows: bool,
    all: Mutex<Vec<(SharedLine, ProgressBar)>>,
}

/// Width of the name before a bar: of a dataset alone, and with its bot.
const NAME_WIDTH: (usize, usize) = (13, 30);

impl Bars {
    fn with(&self, dataset: Dataset, bot: &str, what: impl FnOnce(&mut ProgressLine, &ProgressBar)) {
        let all = locked(&self.all);
        for (line, bar) in all.iter() {
            let mut line = locked(line);
            if line.is_of(dataset, bot) {
                what(&mut line, bar);
                return;
            }
        }
    }

    /// Creates the style that draws a line at the current width of the terminal.
    fn style(&self, line: &SharedLine) -> ProgressStyle {
        let template = if self.with_windows {
            "{line}\n{windows}"
        } else {
            "{line}"
        };
        let style = ProgressStyle::with_template(template);
        let (with_bot, drawn, in_flight) = (self.with_bot, Arc::clone(line), Arc::clone(line));
        // the last column stays free: some terminals wrap after it
        let width = || Stream::Stderr.width().unwrap_or(80) - 1;
        let draw = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let progress = locked(&drawn);
            let columns = if with_bot { NAME_WIDTH.1 } else { NAME_WIDTH.0 };
            let name: String = progress.name(with_bot).chars().take(columns).collect();
            let line = progress.line(&format!("{name:<columns$}"), width(), Instant::now());
            let _ = out.write_str(&line.text(Stream::Stderr.has_colours()));
        };
        let windows = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(&locked(&in_flight).windows(width()));
        };
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("line", draw)
            .with_key("windows", windows)
    }
}

impl Progress for Bars {
    fn begins(&self, dataset: Dataset, bot: &str, seconds: i64) {
        if seconds == 0 {
            return;
        }
        let line = Arc::new(Mutex::new(ProgressLine::new(
            dataset,
            bot,
            seconds,
            Instant::now(),
        )));
        // draw nothing before the bar is placed among the others
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(self.style(&line));
        let bar = BARS.get_or_init(MultiProgress::new).add(bar);
        bar.enable_steady_tick(Duration::from_millis(200));
        locked(&self.all).push((line, bar));
    }

    fn reached(&self, dataset: Dataset, bot: &str, snapshot: &ProgressSnapshot) {
        self.with(dataset, bot, |line, _| line.reached(snapshot, Instant::now()));
    }

    fn waits(&self, dataset: Dataset, bot: &str, failure: &Failure, wait: Duration) {
        self.with(dataset, bot, |line, _| line.waits(failure, wait, Instant::now()));
    }

    fn committed(&self, dataset: Dataset, bot: &str, partitions: u64) {
        self.with(dataset, bot, |line, _| line.committed(partitions));
    }

    fn ends(&self, dataset: Dataset, bot: &str) {
        let mut ended = None;
        self.with(dataset, bot, |_, bar| ended = Some(bar.clone()));
        // the last draw locks the line, which must be free
        if let Some(bar) = ended {
            bar.finish_and_clear();
        }
    }
}

/// Interval of progress lines in a log.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Logs a line every few seconds for each dataset of each bot.
#[derive(Default)]
struct ProgressLog(Arc<LogState>);

#[derive(Default)]
struct LogState {
    jobs: Mutex<LoggedJobs>,
    ended: Condvar,
}

#[derive(Default)]
struct LoggedJobs {
    lines: Vec<ProgressLine>,
    /// Whether the thread that logs them is running.
    is_logging: bool,
}

impl ProgressLog {
    fn with(&self, dataset: Dataset, bot: &str, what: impl FnOnce(&mut ProgressLine)) {
        let mut jobs = locked(&self.0.jobs);
        let mut lines = jobs.lines.iter_mut();
        if let Some(line) = lines.find(|line| line.is_of(dataset, bot)) {
            what(line);
        }
    }
}

impl LogState {
    /// Logs the progress of all jobs until they have ended.
    fn log_until_end(&self) {
        let mut jobs = locked(&self.jobs);
        while !jobs.lines.is_empty() {
            let waited = self.ended.wait_timeout(jobs, LOG_INTERVAL);
            let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            jobs = guard;
            if waited.timed_out() {
                let now = Instant::now();
                let lines = jobs
                    .lines
                    .iter()
                    .map(|line| (line.sentence(now), line.fields(now)));
                let lines: Vec<_> = lines.collect();
                // do not block the run on a slow reader of the log
                drop(jobs);
                for (sentence, fields) in lines {
                    output::line_with(&sentence, fields);
                }
                jobs = locked(&self.jobs);
            }
        }
        jobs.is_logging = false;
    }
}

impl Progress for ProgressLog {
    fn begins(&self, dataset: Dataset, bot: &str, seconds: i64) {
        if seconds == 0 {
            return;
        }
        let mut jobs = locked(&self.0.jobs);
        let line = ProgressLine::new(dataset, bot, seconds, Instant::now());
        jobs.lines.push(line);
        if !jobs.is_logging {
            jobs.is_logging = true;
            let log = Arc::clone(&self.0);
            std::thread::spawn(move || log.log_until_end());
        }
    }

    fn reached(&self, dataset: Dataset, bot: &str, snapshot: &ProgressSnapshot) {
        self.with(dataset, bot, |line| line.reached(snapshot, Instant::now()));
    }

    fn waits(&self, dataset: Dataset, bot: &str, failure: &Failure, wait: Duration) {
        self.with(dataset, bot, |line| line.waits(failure, wait, Instant::now()));
    }

    fn committed(&self, dataset: Dataset, bot: &str, partitions: u64) {
        self.with(dataset, bot, |line| line.committed(partitions));
    }

    fn ends(&self, dataset: Dataset, bot: &str) {
        let mut jobs = locked(&self.0.jobs);
        jobs.lines.retain(|line| !line.is_of(dataset, bot));
        self.0.ended.notify_all();
    }
}

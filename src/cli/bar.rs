//! Progress of a run in the terminal, or as log lines where there is none.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::{ProgressKind, Told};
use super::told::line;
use crate::dataset::Dataset;
use crate::export::{Progress, Silent};

/// All bars of this process, so that log lines can be printed above them.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Does something on standard error while no bar is drawn there.
pub(super) fn suspended<T>(what: impl FnOnce() -> T) -> T {
    match BARS.get() {
        Some(bars) => bars.suspend(what),
        None => what(),
    }
}

fn kind(told: &Told) -> ProgressKind {
    match told.progress {
        ProgressKind::Auto if told.quiet => ProgressKind::None,
        ProgressKind::Auto if io::stderr().is_terminal() => ProgressKind::Bar,
        ProgressKind::Auto => ProgressKind::Log,
        other => other,
    }
}

/// A bar that counts: so many of so many. It is for what takes seconds, so without a terminal nothing is told.
pub(super) fn counted(told: &Told, what: &'static str) -> Box<dyn Fn(usize, usize) + Send> {
    if kind(told) != ProgressKind::Bar {
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

/// The progress that was asked for.
pub(super) fn progress(told: &Told) -> Arc<dyn Progress> {
    match kind(told) {
        ProgressKind::Bar => Arc::new(Bars::default()),
        ProgressKind::Log => Arc::new(Lines::default()),
        _ => Arc::new(Silent),
    }
}

type Of = (Dataset, String);

#[derive(Default)]
struct Bars {
    bars: Mutex<HashMap<Of, (ProgressBar, u64)>>,
}

const TEMPLATE: &str = "{prefix:.bold} {bar:24.cyan/dim} {percent:>3}% of the range · {msg} · {elapsed}";

impl Bars {
    fn with(&self, dataset: Dataset, bot: &str, what: impl FnOnce(&mut (ProgressBar, u64))) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = bars.get_mut(&(dataset, bot.to_owned())) {
            what(bar);
        }
    }
}

impl Progress for Bars {
    fn begins(&self, dataset: Dataset, bot: &str, seconds: i64) {
        if seconds == 0 {
            return;
        }
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        // nothing is drawn before it has its place among the other bars
        let bar = ProgressBar::with_draw_target(Some(seconds.unsigned_abs()), ProgressDrawTarget::hidden());
        bar.set_style(style.progress_chars("━╸─"));
        bar.set_prefix(format!("{:<13}", dataset.name()));
        bar.set_message("asking");
        let bar = BARS.get_or_init(MultiProgress::new).add(bar);
        bar.enable_steady_tick(Duration::from_millis(200));
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        bars.insert((dataset, bot.to_owned()), (bar, 0));
    }

    fn page(&self, dataset: Dataset, bot: &str, records: u64, covered_seconds: i64) {
        self.with(dataset, bot, |(bar, total)| {
            *total += records;
            bar.set_position(covered_seconds.unsigned_abs());
            bar.set_message(format!("{total} records"));
        });
    }

    fn ends(&self, dataset: Dataset, bot: &str) {
        self.with(dataset, bot, |(bar, _)| bar.finish_and_clear());
    }
}

/// Between two lines of progress where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Lines {
    state: Mutex<HashMap<Of, Running>>,
}

struct Running {
    seconds: i64,
    records: u64,
    told: Instant,
}

impl Progress for Lines {
    fn begins(&self, dataset: Dataset, bot: &str, seconds: i64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.insert(
            (dataset, bot.to_owned()),
            Running {
                seconds,
                records: 0,
                told: Instant::now(),
            },
        );
    }

    fn page(&self, dataset: Dataset, bot: &str, records: u64, covered_seconds: i64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = state.get_mut(&(dataset, bot.to_owned())) else {
            return;
        };
        running.records += records;
        if running.told.elapsed() >= BETWEEN_LINES {
            running.told = Instant::now();
            let share = covered_seconds * 100 / running.seconds.max(1);
            line(&format!(
                "{dataset} of {bot}: {} records, {share} % of the range",
                running.records
            ));
        }
    }
}

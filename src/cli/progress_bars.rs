//! Progress of a run in the terminal, or as log lines where there is none.

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

/// All bars of this process, so that log lines can be printed above them.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Does something on standard error while no bar is drawn there.
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

/// A bar that counts: so many of so many. It is for what takes seconds, so without a terminal nothing is told.
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

/// The progress of a run over so many bots, as it was asked for.
pub(super) fn progress(output: &OutputArgs, bots: usize) -> Arc<dyn Progress> {
    match kind(output) {
        ProgressKind::Bar => Arc::new(Bars {
            with_bot: bots > 1,
            with_windows: output.verbose > 0,
            all: Mutex::default(),
        }),
        ProgressKind::Log => Arc::new(Lines::default()),
        _ => Arc::new(Silent),
    }
}

type Shared = Arc<Mutex<ProgressLine>>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bar for each dataset of each bot.
struct Bars {
    with_bot: bool,
    with_windows: bool,
    all: Mutex<Vec<(Shared, ProgressBar)>>,
}

/// Columns of a name before its bar: the longest dataset's, and a bot's beside it.
const NAME: (usize, usize) = (13, 30);

impl Bars {
    fn with(&self, dataset: Dataset, bot: &str, what: impl FnOnce(&mut ProgressLine, &ProgressBar)) {
        let all = locked(&self.all);
        for (track, bar) in all.iter() {
            let mut track = locked(track);
            if track.dataset == dataset.name() && track.bot == bot {
                what(&mut track, bar);
                return;
            }
        }
    }

    /// Draws a track anew whenever it is asked to, by the terminal's width of that moment.
    fn style(&self, track: &Shared) -> ProgressStyle {
        let template = if self.with_windows {
            "{track}\n{windows}"
        } else {
            "{track}"
        };
        let style = ProgressStyle::with_template(template);
        let (with_bot, drawn, awaited) = (self.with_bot, Arc::clone(track), Arc::clone(track));
        // the last column stays free: some terminals go on to the next line behind it
        let width = || Stream::Stderr.width().unwrap_or(80) - 1;
        let draw = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let track = locked(&drawn);
            let columns = if with_bot { NAME.1 } else { NAME.0 };
            let name: String = track.name(with_bot).chars().take(columns).collect();
            let line = track.line(&format!("{name:<columns$}"), width(), Instant::now());
            // where nobody can be told there is nothing to do
            let _ = out.write_str(&line.text(Stream::Stderr.has_colours()));
        };
        let windows = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(&locked(&awaited).awaited(width()));
        };
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("track", draw)
            .with_key("windows", windows)
    }
}

impl Progress for Bars {
    fn begins(&self, dataset: Dataset, bot: &str, seconds: i64) {
        if seconds == 0 {
            return;
        }
        let track = Arc::new(Mutex::new(ProgressLine::new(
            dataset.name(),
            bot,
            seconds,
            Instant::now(),
        )));
        // nothing is drawn before it has its place among the other bars
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(self.style(&track));
        let bar = BARS.get_or_init(MultiProgress::new).add(bar);
        bar.enable_steady_tick(Duration::from_millis(200));
        locked(&self.all).push((track, bar));
    }

    fn reached(&self, dataset: Dataset, bot: &str, standing: &ProgressSnapshot) {
        self.with(dataset, bot, |track, _| track.reached(standing, Instant::now()));
    }

    fn waits(&self, dataset: Dataset, bot: &str, failure: &Failure, wait: Duration) {
        self.with(dataset, bot, |track, _| {
            track.waits(failure, wait, Instant::now())
        });
    }

    fn committed(&self, dataset: Dataset, bot: &str, partitions: u64) {
        self.with(dataset, bot, |track, _| track.committed(partitions));
    }

    fn ends(&self, dataset: Dataset, bot: &str) {
        let mut ended = None;
        self.with(dataset, bot, |_, bar| ended = Some(bar.clone()));
        // it draws itself once more, which looks at the track
        if let Some(bar) = ended {
            bar.finish_and_clear();
        }
    }
}

/// Between two lines of progress where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// A line every few seconds for each dataset of each bot, also while nothing comes.
#[derive(Default)]
struct Lines(Arc<AtWork>);

#[derive(Default)]
struct AtWork {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    tracks: Vec<ProgressLine>,
    /// A thread tells how far they are.
    is_told: bool,
}

impl Lines {
    fn with(&self, dataset: Dataset, bot: &str, what: impl FnOnce(&mut ProgressLine)) {
        let mut state = locked(&self.0.state);
        let mut tracks = state.tracks.iter_mut();
        if let Some(track) = tracks.find(|track| track.dataset == dataset.name() && track.bot == bot) {
            what(track);
        }
    }
}

impl AtWork {
    /// Tells how far all are, until they have ended.
    fn tell(&self) {
        let mut state = locked(&self.state);
        while !state.tracks.is_empty() {
            let waited = self.ended.wait_timeout(state, BETWEEN_LINES);
            let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if waited.timed_out() {
                let now = Instant::now();
                let lines = state
                    .tracks
                    .iter()
                    .map(|track| (track.sentence(now), track.fields(now)));
                let lines: Vec<_> = lines.collect();
                // who reads them may be slow, and the run shall not wait for that
                drop(state);
                for (sentence, fields) in lines {
                    output::line_with(&sentence, fields);
                }
                state = locked(&self.state);
            }
        }
        state.is_told = false;
    }
}

impl Progress for Lines {
    fn begins(&self, dataset: Dataset, bot: &str, seconds: i64) {
        if seconds == 0 {
            return;
        }
        let mut state = locked(&self.0.state);
        let track = ProgressLine::new(dataset.name(), bot, seconds, Instant::now());
        state.tracks.push(track);
        if !state.is_told {
            state.is_told = true;
            let at_work = Arc::clone(&self.0);
            std::thread::spawn(move || at_work.tell());
        }
    }

    fn reached(&self, dataset: Dataset, bot: &str, standing: &ProgressSnapshot) {
        self.with(dataset, bot, |track| track.reached(standing, Instant::now()));
    }

    fn waits(&self, dataset: Dataset, bot: &str, failure: &Failure, wait: Duration) {
        self.with(dataset, bot, |track| track.waits(failure, wait, Instant::now()));
    }

    fn committed(&self, dataset: Dataset, bot: &str, partitions: u64) {
        self.with(dataset, bot, |track| track.committed(partitions));
    }

    fn ends(&self, dataset: Dataset, bot: &str) {
        let mut state = locked(&self.0.state);
        let is_other = |track: &ProgressLine| track.dataset != dataset.name() || track.bot != bot;
        state.tracks.retain(is_other);
        self.0.ended.notify_all();
    }
}

//! Times one thing beside others, turn by turn, so that a machine that is busy for a while is so for all of them.

use std::fmt::Write;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Rounds of which the median counts, and one before them.
const ROUNDS: usize = 9;
/// So long a thing runs in a round at least, again and again if it has to: clocks are coarse.
const LEAST: Duration = Duration::from_millis(60);

/// Something to be timed.
#[derive(Clone)]
pub(crate) struct Run<'a> {
    name: &'static str,
    /// Does it once, and says what of that counts.
    once: std::rc::Rc<dyn Fn() -> Took + 'a>,
}

/// Seconds by the clock, and CPU seconds of all threads.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    wall: f64,
    cpu: f64,
}

impl<'a> Run<'a> {
    pub(crate) fn new(name: &'static str, run: impl Fn() + 'a) -> Self {
        Self::prepared(name, || (), move |()| run())
    }

    /// One that needs something made anew each time, which is not timed.
    pub(crate) fn prepared<T>(
        name: &'static str,
        prepare: impl Fn() -> T + 'a,
        run: impl Fn(&T) + 'a,
    ) -> Self {
        let once = move || {
            let prepared = prepare();
            let (begin, cpu) = (Instant::now(), cpu_seconds());
            run(&prepared);
            Took {
                wall: begin.elapsed().as_secs_f64(),
                cpu: cpu_seconds() - cpu,
            }
        };
        let once = std::rc::Rc::new(once);
        Self { name, once }
    }

    fn round(&self) -> Took {
        let (mut sum, mut times) = (Took { wall: 0.0, cpu: 0.0 }, 0.0);
        while times == 0.0 || sum.wall < LEAST.as_secs_f64() {
            let took = (self.once)();
            sum = Took {
                wall: sum.wall + took.wall,
                cpu: sum.cpu + took.cpu,
            };
            times += 1.0;
        }
        Took {
            wall: sum.wall / times,
            cpu: sum.cpu / times,
        }
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

pub(crate) fn head() {
    println!(
        "{:36} {:>10} {:>8} {:>8} | share of the speed of …",
        "", "records/s", "wall ms", "CPU ms"
    );
}

/// Times `ours` and its bounds, and prints what share of each bound's speed ours reaches: the medians of the shares
/// of each round, by the clock and by CPU seconds.
pub(crate) fn beside(what: &str, records: usize, ours: Run<'_>, bounds: &[Run<'_>]) {
    let mut rounds = Vec::new();
    for _ in 0..=ROUNDS {
        let took: Vec<Took> = std::iter::once(&ours).chain(bounds).map(Run::round).collect();
        rounds.push(took);
    }
    rounds.remove(0);
    let of = |figure: &dyn Fn(&[Took]) -> f64| median(rounds.iter().map(|round| figure(round)).collect());
    let (wall, cpu) = (of(&|round| round[0].wall), of(&|round| round[0].cpu));
    let mut line = format!(
        "{what:36} {:10.0} {:8.1} {:8.1} |",
        records as f64 / wall,
        wall * 1e3,
        cpu * 1e3
    );
    for (number, bound) in (1..).zip(bounds) {
        let by_clock = of(&|round| round[number].wall / round[0].wall);
        let by_cpu = of(&|round| round[number].cpu / round[0].cpu);
        let _ = write!(line, " {} {by_clock:.2} (CPU {by_cpu:.2})", bound.name);
    }
    println!("{line}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

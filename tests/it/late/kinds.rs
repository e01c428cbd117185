//! The kinds of archives and runs.

use std::fs;
use std::ops::Range;
use std::time::Duration;

use converse_export_simulator::{Clock, CursorKind, Growth, Latency, Options, Order, Truth};

use crate::damage::{Partition, verify};
use crate::lifecycle::Reader;
use crate::world::{DAY, World};

pub(super) const START: i64 = 1_696_118_400;
pub(super) const CONVERSATIONS: &str = "conversations";
pub(super) const MESSAGES: &str = "messages";
const DAYS: i64 = 30;
/// Amounts of late records above 10 are those of so many conversations.
const CONVERSATIONS_OF_A_MONTH: u32 = 40_000;
/// An archive has so many pages.
const PAGES: u32 = 40;
/// 40 % of the conversations start on this day.
const BUSY_DAY: u32 = 10;
/// The first sync ends with this day. The last one is a night after the last late record of the busy day.
const FIRST_NIGHT: i64 = 8;
const NIGHTS: i64 = 6;
/// The range of a sync ends so long before the server's time.
const SETTLE: i64 = 16 * 60;
const TWO_DAYS: u32 = 2 * 86_400;

/// Which conversations may be late.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    BusyDay,
    Anywhere,
}

/// Archives of one kind, and the command that exports them.
pub(super) struct Kind {
    pub(super) name: String,
    options: Options,
    datasets: &'static [&'static str],
    is_sync: bool,
}

impl Kind {
    /// Late conversations are inserted after all others; one export reads them.
    pub(super) fn export(late: u32, place: Place, order: Order) -> Self {
        Self::export_of(late, place, order, Options::default())
    }

    pub(super) fn export_of(late: u32, place: Place, order: Order, options: Options) -> Self {
        let growth = growth(late, place, 31 * 86_400);
        Self {
            name: format!("export, {order:?}, {late} late, {place:?}"),
            // 11 requests are in flight
            options: month(order, growth, 50, options),
            datasets: &[CONVERSATIONS],
            is_sync: false,
        }
    }

    /// Conversations are up to two days late; a sync each night reads what is new, and looks back three days.
    pub(super) fn nights(late: u32, place: Place, order: Order) -> Self {
        let growth = Growth {
            late_spread: true,
            ..growth(late, place, TWO_DAYS)
        };
        Self {
            name: format!("nights, {order:?}, {late} late, {place:?}"),
            // 4 requests are in flight
            options: month(order, growth, 15, Options::default()),
            datasets: &[CONVERSATIONS],
            is_sync: true,
        }
    }

    pub(super) fn up_to_two_days_late(mut self) -> Self {
        self.options.growth.late_seconds = TWO_DAYS;
        self.options.growth.late_spread = true;
        self.named("up to two days")
    }

    pub(super) fn of(self, datasets: &'static [&'static str], name: &str) -> Self {
        let of = Self { datasets, ..self };
        of.named(name)
    }

    pub(super) fn named(mut self, name: &str) -> Self {
        self.name = format!("{}, {name}", self.name);
        self
    }

    /// Serves an archive of so many conversations, for a sync as of the first night.
    fn world(&self, seed: u64, conversations: u32) -> World {
        let cursors = [CursorKind::Token, CursorKind::Offset, CursorKind::Scroll];
        let options = self.options.clone();
        World::in_memory(Options {
            seed,
            cursor: cursors[usize::try_from(seed % 3).unwrap()],
            conversations,
            growth: Growth {
                late_records: match options.growth.late_records {
                    few @ ..=10 => few,
                    many => many * conversations / CONVERSATIONS_OF_A_MONTH,
                },
                ..options.growth
            },
            clock: Clock::fixed(START + if self.is_sync { FIRST_NIGHT } else { 100 } * DAY),
            ..options
        })
    }

    /// Exports an archive and compares the table with it. Returns how many requests that took.
    pub(super) fn try_seed(&self, seed: u64, conversations: u32, reader: &mut Reader) -> Result<u64, String> {
        let world = self.world(seed, conversations);
        let mut case = Case {
            kind: self,
            world: &world,
            per_page: (conversations / PAGES).to_string(),
            reader,
        };
        if !self.is_sync {
            case.run("export", world.range.end)?;
            return Ok(world.requests());
        }
        for night in 0..NIGHTS {
            let until = world.clock.now_us() / 1_000_000 - SETTLE;
            case.run("sync", until)
                .map_err(|what| format!("night {night}: {what}"))?;
            world.clock.advance(DAY);
        }
        let proof = verify(&world.lake(), &[]);
        match proof.code {
            Some(0) => Ok(world.requests()),
            _ => Err(format!("verify: {}{}", proof.stdout, proof.stderr)),
        }
    }
}

fn month(order: Order, growth: Growth, latency_ms: u64, options: Options) -> Options {
    Options {
        range: START..START + DAYS * DAY,
        busy_day: Some(BUSY_DAY),
        requests_per_second: 0.0,
        latency: Latency::Fixed(Duration::from_millis(latency_ms)),
        order,
        growth,
        ..options
    }
}

fn growth(late_records: u32, place: Place, late_seconds: u32) -> Growth {
    Growth {
        late_records,
        late_seconds,
        late_day: match place {
            Place::BusyDay => Some(BUSY_DAY),
            Place::Anywhere => None,
        },
        ..Growth::default()
    }
}

/// The archive of one seed.
struct Case<'a> {
    kind: &'a Kind,
    world: &'a World,
    per_page: String,
    reader: &'a mut Reader,
}

impl Case<'_> {
    /// Runs the command up to `end`, and compares the table with the archive.
    fn run(&mut self, command: &str, end: i64) -> Result<(), String> {
        let range = START..end;
        let mut export = self.world.export().range(range.clone()).rate("200");
        for dataset in self.kind.datasets {
            export = export.only(dataset);
        }
        export = export.args(&["--per-page", &self.per_page]);
        if command == "sync" {
            export = export.sync().args(&["--lookback", "3d"]);
        }
        let run = export.run();
        if run.code != Some(0) {
            return Err(format!("exit code {:?}: {}", run.code, run.stderr));
        }
        self.compare(&range)
    }

    /// The table has each record of the range that the archive shows, once.
    fn compare(&mut self, range: &Range<i64>) -> Result<(), String> {
        for dataset in self.kind.datasets {
            let found = self.reader.ids(&self.world.lake().0, dataset)?;
            let mut all = self.world.truth(dataset);
            let unknown = found.iter().filter(|id| all.remove(*id).is_none()).count();
            let is_missing = |truth: &&Truth| range.contains(&truth.filter_us.div_euclid(1_000_000));
            let missing = all.values().filter(is_missing).count();
            if missing > 0 {
                return Err(format!("LOST {missing} {dataset}"));
            }
            if unknown > 0 {
                return Err(format!("{unknown} {dataset} are unknown or repeat"));
            }
        }
        Ok(())
    }
}

#[test]
fn a_lost_record_fails_a_seed() {
    let kind = Kind::export(1, Place::BusyDay, Order::Insertion);
    let world = kind.world(1, 1_000);
    let mut case = Case {
        kind: &kind,
        world: &world,
        per_page: "100".to_owned(),
        reader: &mut Reader::start(),
    };
    assert_eq!(case.run("export", world.range.end), Ok(()));
    let lake = world.lake();
    fs::remove_file(Partition::all(&lake, CONVERSATIONS)[0].path()).unwrap();
    let lost = case.compare(&world.range).unwrap_err();
    assert!(lost.starts_with("LOST "), "{lost}");
}

//! A server that leaves open what the real API leaves open: each question has every answer here.

use std::collections::{HashMap, HashSet};

use super::super::{Field, NextPage, PageFacts, RecordFacts};
use super::archive::{DAY, Random, Record, SECOND, mix};
use crate::window::{Window, Windows};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sorting {
    Ascending(Field),
    Descending(Field),
    /// By id: as good as none.
    Random,
    /// In this many shards one after the other, each ascending.
    Shards(Field, u64),
    /// Ascending, but for one record in so many, which come last.
    Stragglers(Field, u64),
    /// By insertion: ascending, but for one record in so many, which comes later, up to 20 days.
    Inserted(Field, u64),
    /// Ascending, but for one day in no order.
    BrokenDay(Field),
    /// So many parts of the archive, the latest first, each part in order (true: ascending).
    Blocks(Field, i64, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cursors {
    /// Names its page within the records selected by the first request.
    Token,
    /// A number of records to skip, in the archive as it is now.
    Offset,
    /// Stays the same: the server moves it.
    Scroll,
}

/// How a server behaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) filter: Field,
    pub(super) sorting: Sorting,
    pub(super) includes_start: bool,
    pub(super) includes_end: bool,
    /// Compares whole seconds, not fractions.
    pub(super) floors: bool,
    pub(super) cursors: Cursors,
    pub(super) per_page: usize,
    /// A full last page still has a cursor; an empty page follows.
    pub(super) empty_end: bool,
    /// The cursor field is missing at the end, instead of `null`.
    pub(super) absent_end: bool,
    /// Share of the pages that are empty in between.
    pub(super) empties: f64,
    /// Share of the requests whose cursor is found dead.
    pub(super) deaths: f64,
    /// Share of the requests before which the archive grows by a record.
    pub(super) growth: f64,
    /// Share of the pages that lack some of their records, which the next page has.
    pub(super) short: f64,
    /// What it hides without a word.
    pub(super) lie: Lie,
}

/// What a server hides without a word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Lie {
    Nothing,
    /// A listing ends after so many records.
    Cap(usize),
    /// A longer range is shortened to its first (true) or last so many seconds.
    Range(bool, i64),
    /// This share of the full pages has a null cursor.
    NullBehindFullPage(f64),
    /// A dead cursor answers an empty page with a null cursor.
    EmptyForDeadCursor,
    /// Bounds are rounded inwards to so many seconds.
    Rounding(i64),
}

impl Rule {
    /// Whether records move between pages while they are read.
    pub(super) fn is_unstable(&self) -> bool {
        self.growth > 0.0 && self.cursors == Cursors::Offset
    }

    pub(super) fn plain(sorting: Sorting, per_page: usize) -> Self {
        Self {
            filter: Field::Time,
            sorting,
            includes_start: true,
            includes_end: false,
            floors: false,
            cursors: Cursors::Token,
            per_page,
            empty_end: false,
            absent_end: false,
            empties: 0.0,
            deaths: 0.0,
            growth: 0.0,
            short: 0.0,
            lie: Lie::Nothing,
        }
    }
}

pub(super) enum Answer {
    Page(PageFacts),
    Dead,
}

struct Query {
    requested: Window,
    /// Indices of the records, in order.
    selected: Vec<u32>,
    archive: usize,
    offset: usize,
}

pub(super) struct Server {
    rule: Rule,
    /// Sorted by the filtered field up to `sorted`, then as they were added.
    records: Vec<Record>,
    sorted: usize,
    queries: HashMap<usize, Query>,
    received: HashSet<u64>,
    nonce: u64,
    random: Random,
}

impl Server {
    pub(super) fn new(rule: Rule, mut records: Vec<Record>, random: Random) -> Self {
        records.sort_by_key(|record| value(record, rule.filter));
        let sorted = records.len();
        Self {
            rule,
            records,
            sorted,
            queries: HashMap::new(),
            received: HashSet::new(),
            nonce: 0,
            random,
        }
    }

    pub(super) fn answer(&mut self, requested: Window, cursor: Option<&str>) -> Answer {
        if self.random.chance(self.rule.growth) {
            self.grow();
        }
        self.nonce += 1;
        let (number, offset) = match cursor {
            None => {
                let number = self.queries.len();
                let query = Query {
                    requested,
                    selected: self.select(requested),
                    archive: self.records.len(),
                    offset: 0,
                };
                self.queries.insert(number, query);
                (number, 0)
            }
            Some(_) if self.random.chance(self.rule.deaths) => {
                return match self.rule.lie {
                    Lie::EmptyForDeadCursor => Answer::Page(PageFacts {
                        records: Vec::new(),
                        next: NextPage::End,
                    }),
                    _ => Answer::Dead,
                };
            }
            Some(cursor) => {
                let mut parts = cursor.split(':').map(|part| part.parse::<usize>().unwrap());
                let number = parts.next().unwrap();
                (number, parts.next().unwrap_or(self.queries[&number].offset))
            }
        };
        if self.rule.cursors == Cursors::Offset && self.queries[&number].archive != self.records.len() {
            let selected = self.select(requested);
            let query = self.queries.get_mut(&number).unwrap();
            (query.selected, query.archive) = (selected, self.records.len());
        }
        let is_hidden = self.hides_the_rest();
        let query = self.queries.get_mut(&number).unwrap();
        assert_eq!(query.requested, requested, "a cursor belongs to its window");
        let empty = self.rule.cursors != Cursors::Scroll && self.random.chance(self.rule.empties);
        let mut size = if empty { 0 } else { self.rule.per_page };
        if size > 1 && self.random.chance(self.rule.short) {
            size = 1 + usize::try_from(self.random.below(size as i64 - 1)).unwrap();
        }
        let end = (offset + size).min(query.selected.len());
        let page = &query.selected[offset.min(end)..end];
        let records = page
            .iter()
            .map(|index| facts(&self.records[*index as usize]))
            .collect::<Vec<_>>();
        let over = end == query.selected.len() && !empty && (!self.rule.empty_end || records.len() < size);
        query.offset = end;
        let next = match self.rule.cursors {
            _ if over && self.rule.absent_end && self.nonce > 1 => NextPage::Absent,
            _ if over => NextPage::End,
            _ if is_hidden && records.len() == self.rule.per_page => NextPage::End,
            Cursors::Scroll => NextPage::Cursor(format!("{number}")),
            _ => NextPage::Cursor(format!("{number}:{end}:{}", self.nonce)),
        };
        Answer::Page(PageFacts { records, next })
    }

    fn hides_the_rest(&mut self) -> bool {
        match self.rule.lie {
            Lie::NullBehindFullPage(share) => self.random.chance(share),
            _ => false,
        }
    }

    pub(super) fn receive(&mut self, page: &PageFacts) {
        self.received.extend(page.records.iter().map(|record| record.id));
    }

    /// Every record that the archive held from the beginning and that lies within `windows` was received.
    pub(super) fn assert_received(&self, windows: &Windows) {
        for window in windows {
            let from = self.first_at(window.start * SECOND);
            let missing = self.records[from..self.sorted]
                .iter()
                .take_while(|record| value(record, self.rule.filter) < window.end * SECOND)
                .find(|record| !self.received.contains(&record.id));
            assert!(
                missing.is_none(),
                "{missing:?} of {window} was never received, and yet it is covered"
            );
        }
    }

    fn first_at(&self, micros: i64) -> usize {
        self.records[..self.sorted].partition_point(|record| value(record, self.rule.filter) < micros)
    }

    fn select(&self, requested: Window) -> Vec<u32> {
        let rule = self.rule;
        let requested = match rule.lie {
            Lie::Range(true, seconds) => {
                Window::new(requested.start, requested.end.min(requested.start + seconds))
            }
            Lie::Range(false, seconds) => {
                Window::new(requested.start.max(requested.end - seconds), requested.end)
            }
            Lie::Rounding(unit) => Window::new(
                (requested.start + unit - 1).div_euclid(unit) * unit,
                requested.end.div_euclid(unit) * unit,
            ),
            _ => requested,
        };
        let from = self.first_at(requested.start * SECOND);
        let (low, high) = (requested.start * SECOND, requested.end * SECOND);
        let within = |record: &Record| {
            let exact = value(record, rule.filter);
            let at = if rule.floors {
                exact - exact.rem_euclid(SECOND)
            } else {
                exact
            };
            (at > low || (at == low && rule.includes_start))
                && (at < high || (at == high && rule.includes_end))
        };
        let near = self.records[from..self.sorted]
            .iter()
            .take_while(|record| value(record, rule.filter) < high + 2 * SECOND)
            .count();
        let candidates = (from..from + near).chain(self.sorted..self.records.len());
        let mut selected: Vec<u32> = candidates
            .filter(|index| within(&self.records[*index]))
            .map(|index| u32::try_from(index).unwrap())
            .collect();
        selected.sort_by_cached_key(|index| {
            let record = &self.records[*index as usize];
            match rule.sorting {
                Sorting::Ascending(field) => (0, value(record, field), record.id),
                Sorting::Descending(field) => (0, -value(record, field), record.id),
                Sorting::Random => (0, 0, record.id),
                Sorting::Shards(field, shards) => (record.id % shards, value(record, field), record.id),
                Sorting::Blocks(field, parts, ascending) => {
                    let (first, last) = (
                        value(&self.records[0], field),
                        value(&self.records[self.sorted - 1], field),
                    );
                    let length = (last - first).max(DAY * SECOND) / parts + 1;
                    let part = (value(record, field) - first).div_euclid(length);
                    let (part, at) = if ascending {
                        (-part, value(record, field))
                    } else {
                        (part, -value(record, field))
                    };
                    (
                        u64::try_from(part.clamp(-1_000_000, 1_000_000) + 1_000_000).unwrap(),
                        at,
                        record.id,
                    )
                }
                Sorting::Inserted(field, one_in) => {
                    let late = mix(record.id) % 1_728_000;
                    let late = i64::try_from(late).unwrap() * SECOND;
                    let is_late = record.id.is_multiple_of(one_in);
                    (
                        0,
                        value(record, field) + if is_late { late } else { 0 },
                        record.id,
                    )
                }
                Sorting::BrokenDay(field) => {
                    let at = value(record, field);
                    let day = at.div_euclid(DAY * SECOND);
                    let is_broken = day % 5 == 0;
                    (0, if is_broken { day * DAY * SECOND } else { at }, record.id)
                }
                Sorting::Stragglers(field, one_in) => (
                    u64::from(record.id.is_multiple_of(one_in)),
                    value(record, field),
                    record.id,
                ),
            }
        });
        if let Lie::Cap(records) = rule.lie {
            selected.truncate(records);
        }
        selected
    }

    /// Adds a record somewhere among the others.
    fn grow(&mut self) {
        let near = self.records[usize::try_from(self.random.below(self.sorted as i64))
            .unwrap_or(0)
            .min(self.sorted - 1)];
        let shift = self.random.below(100) * SECOND;
        let id = mix(self.random.next());
        self.records.push(Record {
            id,
            time: near.time + shift,
            last_action: near.last_action + shift,
        });
    }
}

fn value(record: &Record, field: Field) -> i64 {
    match field {
        Field::Time => record.time,
        Field::LastAction => record.last_action,
    }
}

fn facts(record: &Record) -> RecordFacts {
    RecordFacts {
        id: record.id,
        time: Some(record.time),
        last_action: Some(record.last_action),
    }
}

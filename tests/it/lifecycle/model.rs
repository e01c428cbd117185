//! What a table must contain after what happened to it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use converse_export_simulator::Truth;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::reader::Rows;
use crate::world::World;

pub(super) const DATASETS: [&str; 2] = ["conversations", "messages"];
/// What is called complete stays so many seconds behind the clock, which does not move during a run.
pub(super) const SETTLE: i64 = 16 * 60;

/// How rows are laid out in partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) zone: String,
    pub(super) by: String,
}

impl Layout {
    fn partition(&self, time_us: i64) -> String {
        let zone = TimeZone::get(&self.zone).unwrap();
        let at = Timestamp::from_microsecond(time_us).unwrap().to_zoned(zone);
        match self.by.as_str() {
            "day" => at.strftime("date=%Y-%m-%d").to_string(),
            _ => at.strftime("month=%Y-%m").to_string(),
        }
    }
}

#[derive(Default)]
struct Dataset {
    /// All records that the archive ever showed, as it showed them last.
    known: BTreeMap<String, Truth>,
    must: BTreeSet<String>,
    /// The rows when the table was read last.
    rows: Rows,
    /// Hours that were requested before, by whatever run.
    touched: BTreeSet<i64>,
}

pub(super) struct Model {
    datasets: BTreeMap<&'static str, Dataset>,
    pub(super) erased: BTreeSet<String>,
    /// Conversations whose erasure was killed: nobody knows whether it had begun.
    pub(super) perhaps_erased: BTreeSet<String>,
    /// How the table may be laid out; more than one after a rebuild that was killed.
    pub(super) layouts: Vec<Layout>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            datasets: DATASETS.map(|name| (name, Dataset::default())).into(),
            erased: BTreeSet::new(),
            perhaps_erased: BTreeSet::new(),
            layouts: vec![Layout {
                zone: "UTC".to_owned(),
                by: "day".to_owned(),
            }],
        }
    }

    fn is_out(&self, id: &str, truth: &Truth) -> bool {
        let of = truth.conversation.as_deref().unwrap_or(id);
        self.erased.contains(of) || self.perhaps_erased.contains(of)
    }

    /// Notes what the archive shows now.
    pub(super) fn look(&mut self, world: &World) {
        for (name, dataset) in &mut self.datasets {
            dataset.known.extend(world.truth(name));
        }
    }

    /// A run that requests a range begins.
    pub(super) fn touch(&mut self, range: &Range<i64>) {
        let hours = range.start.div_euclid(3_600)..range.end.div_euclid(3_600) + 1;
        for dataset in self.datasets.values_mut() {
            dataset.touched.extend(hours.clone());
        }
    }

    /// What a run must have brought that was through at this moment: all of a range that was not requested before,
    /// but what came late into the time that was; and all of `again`, in its present version. Gives the versions.
    pub(super) fn require(
        &mut self,
        world: &World,
        range: &Range<i64>,
        again: Option<&Range<i64>>,
    ) -> BTreeMap<String, i64> {
        let settled = world.clock.now_us() / 1_000_000 - SETTLE;
        let mut versions = BTreeMap::new();
        for name in DATASETS {
            for (id, truth) in world.truth(name) {
                let second = truth.filter_us.div_euclid(1_000_000);
                let is_again = again.is_some_and(|again| again.contains(&second));
                if self.is_out(&id, &truth) || second >= settled || !(range.contains(&second) || is_again) {
                    continue;
                }
                let dataset = self.datasets.get_mut(name).unwrap();
                let is_new = !dataset.touched.contains(&second.div_euclid(3_600));
                if is_again || !truth.late || is_new {
                    dataset.must.insert(id.clone());
                }
                if is_again {
                    versions.extend(truth.last_action_us.map(|last| (id, last)));
                }
            }
        }
        versions
    }

    /// A data file is damaged: its rows need not be in the table until their time is requested again.
    pub(super) fn lose(&mut self, name: &str, partition: Option<&str>) {
        let dataset = self.datasets.get_mut(name).unwrap();
        let is_lost = |id: &String| match partition {
            None => true,
            Some(partition) => dataset.rows.get(id).is_none_or(|row| row.partition == partition),
        };
        let lost: Vec<String> = dataset.must.iter().filter(|id| is_lost(id)).cloned().collect();
        for id in lost {
            dataset.must.remove(&id);
            dataset.rows.remove(&id);
        }
    }

    /// Conversations that are in the table, as it was read last.
    pub(super) fn conversations(&self) -> Vec<String> {
        self.datasets["conversations"].rows.keys().cloned().collect()
    }

    /// Nothing of these conversations must be in the table, unless that is not sure.
    pub(super) fn forget(&mut self) {
        let out: Vec<(&str, String)> = DATASETS
            .into_iter()
            .flat_map(|name| {
                let known = self.datasets[name].known.iter();
                known
                    .filter(|(id, truth)| self.is_out(id, truth))
                    .map(move |(id, _)| (name, id.clone()))
            })
            .collect();
        for (name, id) in out {
            self.datasets.get_mut(name).unwrap().must.remove(&id);
        }
    }

    /// Compares what was read with what must be there.
    pub(super) fn check(
        &mut self,
        tables: BTreeMap<&'static str, Rows>,
        versions: &BTreeMap<String, i64>,
    ) -> Result<(), String> {
        let mut layouts = self.layouts.clone();
        for (name, rows) in tables {
            let erased = &self.erased;
            let dataset = self.datasets.get_mut(name).unwrap();
            let missing: Vec<&String> = dataset.must.iter().filter(|id| !rows.contains_key(*id)).collect();
            if let Some(first) = missing.first() {
                return Err(format!(
                    "{name}: {} of {} rows are missing, the first is {:?}",
                    missing.len(),
                    dataset.must.len(),
                    dataset.known[*first]
                ));
            }
            for (id, row) in &rows {
                let Some(truth) = dataset.known.get(id) else {
                    return Err(format!("{name}: {id} is not in the archive"));
                };
                if erased.contains(row.conversation.as_ref().unwrap_or(id)) {
                    return Err(format!("{name}: {id} was erased and is there: {row:?}"));
                }
                if (row.time_us, &row.conversation) != (truth.time_us, &truth.conversation) {
                    return Err(format!("{name}: {id} is {row:?} in place of {truth:?}"));
                }
                let before = dataset.rows.get(id).and_then(|row| row.last_action_us);
                let least = before.max(versions.get(id).copied());
                if row.last_action_us < least || row.last_action_us > truth.last_action_us {
                    return Err(format!(
                        "{name}: {id} is an old version: {row:?}, {truth:?}, {least:?}"
                    ));
                }
                layouts.retain(|layout| layout.partition(row.time_us) == row.partition);
                if layouts.is_empty() {
                    return Err(format!(
                        "{name}: {id} is in the wrong partition: {row:?}, {:?}",
                        self.layouts
                    ));
                }
            }
            let perhaps = &self.perhaps_erased;
            let certain = rows
                .iter()
                .filter(|(id, row)| !perhaps.contains(row.conversation.as_ref().unwrap_or(id)));
            dataset.must.extend(certain.map(|(id, _)| id.clone()));
            dataset.rows = rows;
        }
        self.layouts = layouts;
        Ok(())
    }
}

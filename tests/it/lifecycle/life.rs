//! Carries out operations on a table, and compares it with the model after each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::model::{Model, SETTLE};
use super::operation::{HOUR, Harm, Kill, Operation, Part, START, archive};
use super::reader::Reader;
use crate::kill::steps;
use crate::lake::files_below;
use crate::run::{Export, Run, Running, on, start_with};
use crate::world::World;

/// One table and its model.
pub(super) struct Life<'a> {
    world: World,
    model: Model,
    reader: &'a mut Reader,
    steps: Vec<String>,
    /// When the last sync that was through began, and the first one since that was killed.
    synced: Option<i64>,
    sync_killed: Option<i64>,
    refetch_killed: bool,
    /// Since the last export or sync: something was damaged; a data file was; a rebuild was killed.
    is_damaged: bool,
    is_hurt: bool,
    is_between: bool,
    /// A run was killed since then that may have moved the damaged file aside.
    is_mended_perhaps: bool,
}

impl<'a> Life<'a> {
    pub(super) fn new(seed: u64, reader: &'a mut Reader) -> Self {
        Self {
            world: World::in_memory(archive(seed)),
            model: Model::new(),
            reader,
            steps: steps().into_iter().collect(),
            synced: None,
            sync_killed: None,
            refetch_killed: false,
            is_damaged: false,
            is_hurt: false,
            is_between: false,
            is_mended_perhaps: false,
        }
    }

    fn lake(&self) -> PathBuf {
        self.world.lake().0
    }

    fn now(&self) -> i64 {
        self.world.clock.now_us() / 1_000_000
    }

    pub(super) fn carry_out(&mut self, operation: &Operation) -> Result<(), String> {
        self.model.look(&self.world);
        let is_table = self.lake().join("_export/table.json").exists();
        match operation {
            Operation::Advance(hours) => self.world.clock.advance(hours * HOUR),
            Operation::Export {
                from,
                to,
                refetch,
                per_page,
                kill,
            } => {
                let range = START + from * HOUR..START + to * HOUR;
                return self.export(range, *refetch, *per_page, *kill);
            }
            Operation::Sync {
                lookback,
                per_page,
                kill,
            } => return self.sync(*lookback, *per_page, *kill),
            _ if !is_table => {}
            Operation::Rebuild { args, kill } => return self.rebuild(args, *kill),
            Operation::Erase { picks, kill } => return self.erase(picks, *kill),
            Operation::Damage { part, harm, pick } => self.damage(*part, *harm, *pick),
            Operation::Verify if self.is_damaged || self.is_between => {
                // it says what is wrong, and does not fail in another way
                let run = on(&self.lake(), "verify", &[]);
                if !matches!(run.code, Some(0 | 1)) {
                    return Err(format!("verify ended with {:?}: {}", run.code, run.stderr));
                }
            }
            // a run that was killed may have left something to be finished
            Operation::Verify => drop(on(&self.lake(), "verify", &[])),
        }
        Ok(())
    }

    /// Ends a life: an export of all, an erasure of what was not surely erased, and a proof.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.model.look(&self.world);
        let all = START..self.world.range.end.min(self.now());
        self.export(all, false, 1000, Kill::Never)?;
        let ids: BTreeSet<String> = self.model.perhaps_erased.clone();
        if !ids.is_empty() {
            self.erase_ids(&ids, Kill::Never)?;
        }
        self.verify()
    }

    fn verify(&self) -> Result<(), String> {
        let run = on(&self.lake(), "verify", &[]);
        if run.code == Some(0) {
            return Ok(());
        }
        let lines = run.stdout.lines().chain(run.stderr.lines());
        let problems: Vec<&str> = lines.filter(|line| line.contains(": ")).collect();
        Err(format!(
            "verify ended with {:?}: {}",
            run.code,
            problems.join("\n")
        ))
    }

    fn export(&mut self, range: Range<i64>, refetch: bool, per_page: u32, kill: Kill) -> Result<(), String> {
        let per_page = per_page.to_string();
        let export = self.world.export().range(range.clone());
        let export = export.args(&["--per-page", &per_page]);
        let export = if refetch {
            export.args(&["--refetch"])
        } else {
            export
        };
        let run = self.run(export, kill);
        let range = range.start..range.end.min(self.now());
        let is_exact = refetch && !self.refetch_killed && self.sync_killed.is_none();
        if run.code.is_none() {
            self.refetch_killed |= refetch;
            self.is_mended_perhaps = true;
            self.model.touch(&range);
            return self.check(&BTreeMap::new());
        }
        self.refetch_killed &= !refetch;
        let again = is_exact.then_some(&range);
        self.through(&run, "export", &range, again)
    }

    fn sync(&mut self, lookback: i64, per_page: u32, kill: Kill) -> Result<(), String> {
        let (now, per_page) = (self.now(), per_page.to_string());
        let range = START..now - SETTLE;
        let lookback_arg = format!("{lookback}h");
        let sync = self.world.export().range(range.clone()).sync();
        let sync = sync.args(&["--per-page", &per_page, "--lookback", &lookback_arg]);
        let run = self.run(sync, kill);
        if run.code.is_none() {
            self.sync_killed.get_or_insert(now);
            self.is_mended_perhaps = true;
            self.model.touch(&range);
            return self.check(&BTreeMap::new());
        }
        let again = match (self.synced, self.sync_killed, self.refetch_killed) {
            (Some(before), None, false) => Some(before - SETTLE - lookback * HOUR..now - SETTLE),
            _ => None,
        };
        self.synced = Some(self.sync_killed.take().unwrap_or(now));
        let again = again.filter(|again| lookback > 0 && !again.is_empty());
        self.through(&run, "sync", &range, again.as_ref())
    }

    /// A run that requested a range was not killed: it must have gone well.
    fn through(
        &mut self,
        run: &Run,
        what: &str,
        range: &Range<i64>,
        again: Option<&Range<i64>>,
    ) -> Result<(), String> {
        if run.code != Some(0) {
            return Err(format!("{what} ended with {:?}: {}", run.code, run.stderr));
        }
        let was_hurt = self.is_damaged || self.is_between;
        self.settle();
        let versions = self.model.require(&self.world, range, again);
        self.model.touch(range);
        self.check(&versions)?;
        if was_hurt { self.verify() } else { Ok(()) }
    }

    fn settle(&mut self) {
        (self.is_damaged, self.is_hurt) = (false, false);
        (self.is_between, self.is_mended_perhaps) = (false, false);
    }

    fn rebuild(&mut self, args: &[&str], kill: Kill) -> Result<(), String> {
        let mut layouts = Vec::new();
        for layout in &self.model.layouts {
            let mut layout = layout.clone();
            for pair in args.chunks(2) {
                match pair[0] {
                    "--timezone" => pair[1].clone_into(&mut layout.zone),
                    "--partition-by" => pair[1].clone_into(&mut layout.by),
                    _ => {}
                }
            }
            layouts.push(layout);
        }
        let run = self.command("rebuild", args, kill);
        match run.code {
            Some(0) if self.is_hurt && !self.is_mended_perhaps => {
                Err("rebuild took a damaged data file for a sound one".to_owned())
            }
            Some(0) => {
                self.model.layouts = layouts;
                (self.is_hurt, self.is_between) = (false, false);
                self.check(&BTreeMap::new())?;
                // a page that is damaged is left to the next export
                if self.is_damaged { Ok(()) } else { self.verify() }
            }
            None => {
                self.model.layouts.extend(layouts);
                self.is_between = true;
                Ok(())
            }
            // a table that is damaged is refused
            Some(1) if self.is_damaged => Ok(()),
            code => Err(format!("rebuild ended with {code:?}: {}", run.stderr)),
        }
    }

    fn erase(&mut self, picks: &[u64], kill: Kill) -> Result<(), String> {
        let there = self.model.conversations();
        if there.is_empty() {
            return Ok(());
        }
        let pick = |pick: &u64| there[usize::try_from(*pick).unwrap() % there.len()].clone();
        self.erase_ids(&picks.iter().map(pick).collect(), kill)
    }

    fn erase_ids(&mut self, ids: &BTreeSet<String>, kill: Kill) -> Result<(), String> {
        let args: Vec<&str> = ids.iter().flat_map(|id| ["--conversation", id]).collect();
        let run = self.command("erase", &args, kill);
        match run.code {
            Some(0) => {
                self.model.perhaps_erased.retain(|id| !ids.contains(id));
                self.model.erased.extend(ids.iter().cloned());
                self.is_between = false;
            }
            None => self.model.perhaps_erased.extend(ids.iter().cloned()),
            Some(1) if self.is_damaged => self.model.perhaps_erased.extend(ids.iter().cloned()),
            code => return Err(format!("erase ended with {code:?}: {}", run.stderr)),
        }
        self.model
            .perhaps_erased
            .retain(|id| !self.model.erased.contains(id));
        self.model.forget();
        self.check(&BTreeMap::new())
    }

    fn damage(&mut self, part: Part, harm: Harm, pick: u64) {
        let lake = self.lake();
        let mut files = match part {
            Part::DataFile => ["conversations", "messages"]
                .iter()
                .flat_map(|dataset| files_below(&lake.join(dataset)))
                .filter(|path| path.extension().is_some_and(|ending| ending == "parquet"))
                .collect(),
            Part::Page => files_below(&lake.join("_export/pages")),
            Part::Log => crate::lake::Lake(lake.clone()).log(false),
            Part::LogCopies => crate::lake::Lake(lake.clone()).log(true),
            Part::Entry => files_below(&lake.join("_export/partitions")),
        };
        files.retain(|path| path.exists());
        files.sort();
        if files.is_empty() {
            return;
        }
        let file = &files[usize::try_from(pick).unwrap() % files.len()];
        self.is_damaged = true;
        if part == Part::DataFile {
            self.is_mended_perhaps = false;
            self.lose(&lake, file);
        }
        let mut content = fs::read(file).unwrap();
        // a change within the same tick of the file system's clock can't be seen by the file's time
        sleep(Duration::from_millis(30));
        match harm {
            Harm::Remove => return fs::remove_file(file).unwrap(),
            Harm::Truncate => content.truncate(content.len() / 2),
            Harm::Flip => {
                let at = usize::try_from(pick / 7).unwrap() % content.len().max(1);
                content[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1);
            }
        }
        fs::write(file, content).unwrap();
    }

    fn lose(&mut self, lake: &Path, file: &Path) {
        let dataset = file.strip_prefix(lake).unwrap().components().next().unwrap();
        let folder = file.parent().and_then(Path::file_name).unwrap();
        let partition = folder.to_str().filter(|_| !self.is_between);
        self.model.lose(dataset.as_os_str().to_str().unwrap(), partition);
        self.is_hurt = true;
    }

    /// Reads the table, where that can be done, and compares it with the model.
    fn check(&mut self, versions: &BTreeMap<String, i64>) -> Result<(), String> {
        if self.is_hurt || self.is_between {
            return Ok(());
        }
        let tables = self.reader.read(&self.lake())?;
        self.model.check(tables, versions)
    }

    fn step(&self, kill: Kill) -> Option<String> {
        let Kill::Step(number, time) = kill else {
            return None;
        };
        let step = &self.steps[usize::try_from(number).unwrap() % self.steps.len()];
        Some(format!("{step}:{time}"))
    }

    fn run(&self, export: Export<'_>, kill: Kill) -> Run {
        let export = match self.step(kill) {
            Some(step) => export.env("CONVERSE_EXPORT_TEST_KILL_AT", &step),
            None => export,
        };
        ended(export.start(), kill)
    }

    fn command(&self, name: &str, args: &[&str], kill: Kill) -> Run {
        let (lake, step) = (self.lake(), self.step(kill));
        let args = [&[name, "--out", lake.to_str().unwrap()], args].concat();
        let step = step.as_deref().map(|step| ("CONVERSE_EXPORT_TEST_KILL_AT", step));
        ended(start_with(&args, step.as_slice()), kill)
    }
}

/// Waits for the end of a process, which comes early where it is killed.
fn ended(running: Running, kill: Kill) -> Run {
    if let Kill::After(milliseconds) = kill {
        sleep(Duration::from_millis(milliseconds));
        running.kill();
    }
    running.end()
}

//! What became of a run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use jiff::Timestamp;

use super::summary::{DatasetSummary, Failed, Summary};
use super::table_writer::BuildResult;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::fetch::Job;
use crate::plan::{Field, Limits};

/// What became of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was done, also where not all of it was.
    pub summary: Summary,
    /// What was not done.
    pub failures: Vec<Failure>,
}

/// A dataset of a bot that could not be exported completely. What was fetched of it is kept.
#[derive(Debug)]
pub struct Failure {
    /// The dataset.
    pub dataset: Dataset,
    /// The bot.
    pub bot: String,
    /// Why.
    pub error: Error,
}

pub(super) fn outcome(
    jobs: &[Job],
    fetched: Vec<(Result<()>, Instant)>,
    built: Vec<BuildResult>,
    begin: Instant,
) -> Outcome {
    let mut summary = Summary::default();
    let mut failures = Vec::new();
    for ((job, (fetched, ended)), built) in jobs.iter().zip(fetched).zip(built) {
        let entry = summary.datasets.entry(job.dataset.name());
        let of_dataset = entry.or_insert_with(|| DatasetSummary {
            was_complete: true,
            ..DatasetSummary::default()
        });
        let again = built.stats.rejected_received - built.rejected;
        of_dataset.rows += built.stats.effect.rows;
        of_dataset.received += built.stats.received - built.stats.findings.outside;
        of_dataset.duplicates += built.stats.effect.duplicates + again;
        of_dataset.superseded += built.stats.effect.superseded;
        of_dataset.moved += built.stats.date_changes;
        of_dataset.rejected += built.rejected;
        of_dataset.erased += built.stats.erased;
        of_dataset.outside += built.stats.findings.outside;
        of_dataset.promoted_misfits += &built.stats.findings.mismatches;
        of_dataset.drift.add(built.stats.drift);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        of_dataset.requests += count(&job.stats.requests);
        of_dataset.retries += count(&job.stats.retries);
        of_dataset.rate_limited += count(&job.stats.rate_limited);
        of_dataset.bytes_received += count(&job.stats.bytes_received);
        of_dataset.elapsed_seconds = of_dataset.elapsed_seconds.max((ended - begin).as_secs_f64());
        of_dataset.was_complete &= job.missing.is_empty();
        report_limits(job, built.limits);
        of_dataset.limits = of_dataset.limits.and(built.limits);
        of_dataset.filtered_by = built.filter.and_then(|field| column_of(job.dataset, field));
        of_dataset.partitions.extend(built.stats.changed.into_values());
        if fetched.is_ok() {
            of_dataset
                .unsettled
                .extend(built.unsettled.iter().filter_map(|window| {
                    Some((
                        Timestamp::from_second(window.start).ok()?,
                        Timestamp::from_second(window.end).ok()?,
                    ))
                }));
        }
        if let Err(error) = fetched {
            summary.failed.push(Failed {
                dataset: job.dataset.name(),
                bot: job.bot.clone(),
                what: error.with_causes(),
                hint: error.hint(),
            });
            failures.push(Failure {
                dataset: job.dataset,
                bot: job.bot.clone(),
                error,
            });
        }
    }
    summary.elapsed_seconds = begin.elapsed().as_secs_f64();
    Outcome { summary, failures }
}

/// Logs what the server cannot do.
fn report_limits(job: &Job, limits: Limits) {
    let (dataset, bot) = (job.dataset, &job.bot);
    if let Some(records) = limits.listing_cap {
        tracing::warn!(
            "the server ends listings of {dataset} of {bot} after {records} records: windows are smaller"
        );
    }
    if let Some(seconds) = limits.longest_range {
        tracing::warn!(
            "the server refuses or shortens ranges of {dataset} of {bot} beyond {seconds} seconds: windows are shorter"
        );
    }
    if let Some(records) = limits.largest_page {
        tracing::warn!(
            "the server fails on larger pages of {dataset} of {bot}: {records} records are requested at a time"
        );
    }
}

/// The name of the column that a field becomes.
fn column_of(dataset: Dataset, field: Field) -> Option<&'static str> {
    let column = match field {
        Field::Time => dataset.time_column(),
        Field::LastAction => dataset.version_column()?,
    };
    Some(dataset.columns()[column].name)
}

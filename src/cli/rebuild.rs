//! `converse-export rebuild`.

use std::path::PathBuf;

use clap::Args;

use super::args::{TABLE, Told, partition_by};
use super::{export, told};
use crate::error::{Error, Result};
use crate::fetch::Stop;
use crate::rebuild::{Changed, Rebuilt, rebuild};
use crate::table::PartitionBy;

const NOTES: &str = "\
Every file is written anew, beside the table and from its rows alone: no key, no request. The old table stays in
place until the new one stands whole, then the two change places; interrupted at any moment, there is the one or
the other. It takes as much space again as the table meanwhile.

A table of an older schema version is brought to the present one by the same command; there is only one so far.

Examples:
  # days as they are in Berlin
  converse-export rebuild --out ./lake --timezone Europe/Berlin

  # a file a month, for a bot whose days are small
  converse-export rebuild --out ./lake --partition-by month

  # as it is, with every file written anew
  converse-export rebuild --out ./lake";

#[derive(Debug, Args)]
#[command(after_long_help = NOTES, next_help_heading = TABLE)]
pub(super) struct RebuildArgs {
    /// The folder that holds the table
    #[arg(long, value_name = "PATH")]
    pub(super) out: PathBuf,
    /// IANA zone of the days from now on [default: as it is]
    #[arg(long, value_name = "ZONE")]
    pub(super) timezone: Option<String>,
    /// A file for each day or for each month from now on [default: as it is]
    #[arg(long, value_name = "day|month", value_parser = partition_by(), hide_possible_values = true)]
    pub(super) partition_by: Option<PartitionBy>,
}

pub(super) async fn run(args: &RebuildArgs, told: &Told, stop: Stop) -> Result<u8> {
    let zone = args.timezone.as_deref().map(export::zone).transpose()?;
    let out = args.out.clone();
    let changed = Changed {
        timezone: zone.map(|zone| zone.name().to_owned()),
        partition_by: args.partition_by,
    };
    let rebuilding = tokio::task::spawn_blocking(move || rebuild(&out, &changed, &stop));
    let rebuilt = rebuilding
        .await
        .map_err(|error| Error::Internal(format!("rebuilding ended: {error}")))??;
    report(&rebuilt, told)
}

fn report(rebuilt: &Rebuilt, told: &Told) -> Result<u8> {
    if told.json {
        told::json(rebuilt)?;
    } else if !told.quiet {
        told::line(&format!(
            "the table was made again: {} partitions, {} rows, {}s in {}",
            rebuilt.partitions, rebuilt.rows, rebuilt.partition_by, rebuilt.timezone
        ));
    }
    Ok(0)
}

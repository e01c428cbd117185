//! `converse-export rebuild`: write a table again with other settings.

use std::path::PathBuf;

use clap::Args;
use url::Url;

use super::args::{OutputArgs, PrivacyArgs, TABLE, TableOptionArgs, local, partition_by};
use super::{export, output, summary};
use crate::display::grouped;
use crate::error::{Error, Result};
use crate::export::check_base_url;
use crate::fetch::CancellationToken;
use crate::rebuild::{RebuildOptions, RebuildSummary, rebuild};
use crate::table::PartitionBy;

const NOTES: &str = "\
Writes every file again from the rows of the table: no key, no request. The old table stays in place until the new
one is complete, then they are swapped; after an interruption there is either the old or the new table. It needs as
much additional space as the table.

The same command upgrades a table of an older schema version; there is only one version so far.

Examples:
  # date partitions in the time zone of Berlin
  converse-export rebuild --out ./lake --timezone Europe/Berlin

  # columns for two metadata keys only
  converse-export rebuild --out ./lake --promote plan --promote __sys_userAgentParsed.os.family=os

  # one partition per month, for a bot with few records
  converse-export rebuild --out ./lake --partition-by month

  # a new address of the API; writes no data file
  converse-export rebuild --out ./lake --base-url https://api.example.com

  # write every file again with the same settings
  converse-export rebuild --out ./lake";

#[derive(Debug, Args)]
#[command(after_long_help = NOTES, next_help_heading = TABLE)]
#[command(mut_arg("promote", |arg| arg.hide_short_help(false)), mut_arg("metadata", |arg| arg.hide_short_help(false)))]
pub(super) struct RebuildArgs {
    /// Folder of the table
    #[arg(long, value_name = "PATH", value_parser = local())]
    pub(super) out: PathBuf,
    /// New address of the API [default: unchanged]
    ///
    /// If this is the only change, no data file is written.
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<Url>,
    /// New time zone of the date partitions, an IANA name [default: unchanged]
    ///
    /// The table stores the present rules of the zone, so that later changes of them move no row to another date.
    #[arg(long, value_name = "ZONE")]
    pub(super) timezone: Option<String>,
    #[command(flatten)]
    table_options: TableOptionArgs,
    #[command(flatten)]
    privacy: PrivacyArgs,
    /// One partition per day or per month [default: unchanged]
    #[arg(long, value_name = "day|month", value_parser = partition_by(), hide_possible_values = true)]
    pub(super) partition_by: Option<PartitionBy>,
}

pub(super) async fn run(args: &RebuildArgs, output: &OutputArgs, stop: CancellationToken) -> Result<u8> {
    let zone = args.timezone.as_deref().map(export::zone).transpose()?;
    if let Some(url) = &args.base_url {
        // no key is sent here; an export checks the address again
        check_base_url(url, true)?;
    }
    let base_url = args
        .base_url
        .as_ref()
        .map(|url| url.as_str().trim_end_matches('/').to_owned());
    let changes = RebuildOptions {
        base_url,
        timezone: zone.map(|zone| zone.name().to_owned()),
        partition_by: args.partition_by,
        metadata: args.table_options.metadata,
        promote: args.table_options.promote()?,
        row_group_rows: args.table_options.row_group_rows,
        row_group_bytes: args.table_options.row_group_bytes,
        privacy: args.privacy.asked()?,
    };
    let is_address_alone = changes.is_address_alone();
    let out = args.out.clone();
    let task = tokio::task::spawn_blocking(move || rebuild(&out, &changes, &stop));
    let rebuilt = task
        .await
        .map_err(|error| Error::Internal(format!("the rebuild ended early: {error}")))??;
    report(&rebuilt, is_address_alone, output)
}

fn report(rebuilt: &RebuildSummary, is_address_alone: bool, output: &OutputArgs) -> Result<u8> {
    if output.json {
        output::json(rebuilt)?;
    } else if is_address_alone && !output.quiet {
        output::line(&format!(
            "the address of the API is now {}; no data file was written",
            rebuilt.base_url
        ));
    } else if !output.quiet {
        output::line(&format!(
            "rebuilt {} partitions with {} rows, by {} in {}",
            grouped(rebuilt.partitions),
            grouped(rebuilt.rows),
            rebuilt.partition_by,
            rebuilt.timezone
        ));
        for remark in summary::misfits(&rebuilt.promoted_misfits) {
            output::line(&remark);
        }
    }
    Ok(0)
}

//! `converse-export rebuild`.

use std::path::PathBuf;

use clap::Args;
use url::Url;

use super::args::{OutputArgs, PrivacyArgs, TABLE, TableOptionArgs, local, partition_by};
use super::{export, output, summary};
use crate::error::{Error, Result};
use crate::export::check_base_url;
use crate::fetch::CancellationToken;
use crate::rebuild::{Changes, Rebuilt, rebuild};
use crate::table::PartitionBy;

const NOTES: &str = "\
Every file is written anew, beside the table and from its rows alone: no key, no request. The old table stays in
place until the new one stands whole, then the two change places; interrupted at any moment, there is the one or
the other. It takes as much space again as the table meanwhile.

A table of an older schema version is brought to the present one by the same command; there is only one so far.

Examples:
  # days as they are in Berlin
  converse-export rebuild --out ./lake --timezone Europe/Berlin

  # columns for two metadata keys, and for no others
  converse-export rebuild --out ./lake --promote plan --promote __sys_userAgentParsed.os.family=os

  # a file a month, for a bot whose days are small
  converse-export rebuild --out ./lake --partition-by month

  # the vendor has moved its API; no file is written again
  converse-export rebuild --out ./lake --base-url https://api.example.com

  # as it is, with every file written anew
  converse-export rebuild --out ./lake";

#[derive(Debug, Args)]
#[command(after_long_help = NOTES, next_help_heading = TABLE)]
#[command(mut_arg("promote", |arg| arg.hide_short_help(false)), mut_arg("metadata", |arg| arg.hide_short_help(false)))]
pub(super) struct RebuildArgs {
    /// The folder that holds the table
    #[arg(long, value_name = "PATH", value_parser = local())]
    pub(super) out: PathBuf,
    /// The API's address from now on [default: as it is]
    ///
    /// Given alone, it changes the setting in one step, and no file is written again.
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<Url>,
    /// IANA zone of the days from now on [default: as it is]
    ///
    /// The table keeps the zone's present rules, so that a later change of them moves no row to another date.
    #[arg(long, value_name = "ZONE")]
    pub(super) timezone: Option<String>,
    #[command(flatten)]
    table_options: TableOptionArgs,
    #[command(flatten)]
    privacy: PrivacyArgs,
    /// A file for each day or for each month from now on [default: as it is]
    #[arg(long, value_name = "day|month", value_parser = partition_by(), hide_possible_values = true)]
    pub(super) partition_by: Option<PartitionBy>,
}

pub(super) async fn run(args: &RebuildArgs, output: &OutputArgs, stop: CancellationToken) -> Result<u8> {
    let zone = args.timezone.as_deref().map(export::zone).transpose()?;
    if let Some(url) = &args.base_url {
        // no key is sent now, and an export checks the address again
        check_base_url(url, true)?;
    }
    let base_url = args
        .base_url
        .as_ref()
        .map(|url| url.as_str().trim_end_matches('/').to_owned());
    let changes = Changes {
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
    let rebuilding = tokio::task::spawn_blocking(move || rebuild(&out, &changes, &stop));
    let rebuilt = rebuilding
        .await
        .map_err(|error| Error::Internal(format!("rebuilding ended: {error}")))??;
    report(&rebuilt, is_address_alone, output)
}

fn report(rebuilt: &Rebuilt, is_address_alone: bool, output: &OutputArgs) -> Result<u8> {
    if output.json {
        output::json(rebuilt)?;
    } else if is_address_alone && !output.quiet {
        output::line(&format!(
            "the table's API is now {}; no file was written again",
            rebuilt.base_url
        ));
    } else if !output.quiet {
        output::line(&format!(
            "the table was made again: {} partitions, {} rows, {}s in {}",
            rebuilt.partitions, rebuilt.rows, rebuilt.partition_by, rebuilt.timezone
        ));
        for remark in summary::misfits(&rebuilt.promoted_misfits) {
            output::line(&remark);
        }
    }
    Ok(0)
}

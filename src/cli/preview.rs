//! `converse-export preview`: show the first records of a range.

use clap::Args;
use serde_json::value::RawValue;

use super::args::{ApiArgs, Moment, OutputArgs, dataset};
use super::{export, output, text_table};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::export::{MAX_PER_PAGE, preview};

const EXAMPLES: &str = "\
Examples:
  # the first ten conversations of a day
  converse-export preview --bot r3-218210 --start 2023-10-01 --end 2023-10-02

  # fifty messages, as the API sends them
  converse-export preview --bot r3-218210 --dataset messages --start 2023-10-01 --end 2023-10-02 \\
      --records 50 --json";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = "What to show")]
pub(super) struct PreviewArgs {
    /// Name or id of the bot
    #[arg(long, value_name = "NAME")]
    bot: String,
    /// Start: YYYY-MM-DD, yesterday, -7d, RFC 3339 and more
    ///
    /// In the forms of `export --start`. A day begins at midnight in UTC.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["since", "from"])]
    start: Moment,
    /// End, exclusive, in the same forms
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["until", "to"])]
    end: Moment,
    /// conversations or messages
    #[arg(long, value_name = "NAME", value_parser = dataset(), hide_possible_values = true, default_value = "conversations")]
    dataset: Dataset,
    /// Number of records, 1 to 1,000
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PER_PAGE)))]
    records: u32,
    #[command(flatten, next_help_heading = "API")]
    api: ApiArgs,
}

pub(super) async fn run(args: &PreviewArgs, output: &OutputArgs) -> Result<u8> {
    let zone = export::zone("UTC")?;
    let range = export::checked_range(
        export::seconds(args.start, &zone)?,
        export::seconds(args.end, &zone)?,
    )?;
    let connection = export::checked_connection(&args.api)?;
    let found = preview(&connection, args.dataset, &args.bot, range, args.records).await?;
    if output.json {
        output::raw_json(data(&found.page)?.get())?;
        return Ok(0);
    }
    if found.rows.num_rows() == 0 {
        output::line(&format!("no {} of {} in {range}", args.dataset, args.bot));
        output::hint("check --bot, --start and --end");
        return Ok(0);
    }
    output::text(&text_table::rows(&found.rows, output::width())?)?;
    if found.rejected > 0 {
        output::line(&format!("{} records could not become rows", found.rejected));
    }
    Ok(0)
}

/// Returns the records of a page, unchanged.
fn data(page: &[u8]) -> Result<&RawValue> {
    #[derive(serde::Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let page: Page<'_> = serde_json::from_slice(page)
        .map_err(|error| Error::Internal(format!("cannot read the page again: {error}")))?;
    Ok(page.data)
}

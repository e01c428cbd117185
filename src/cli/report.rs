//! `converse-export report`: write an HTML report about a table.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use super::args::{OutputArgs, RowFilterArgs, local};
use super::output;
use super::report_page::html;
use crate::display;
use crate::error::{Error, Result};
use crate::report::{Report, ReportQuery, Tags, report, write};
use crate::table::Table;

const EXAMPLES: &str = "\
Examples:
  # a report about the whole table
  converse-export report --out ./lake --to report.html

  # October of one bot, with the numbers as JSON
  converse-export report --out ./lake --bot r3-218210 --start 2023-10-01 --end 2023-11-01 --json

The report is one file that loads nothing and runs no script. It contains tags, locales and names of metadata keys, but
no text of a conversation. It explains how each number is computed.";

#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ReportArgs {
    /// Folder of the table
    #[arg(long, value_name = "PATH", value_parser = local())]
    pub(super) out: PathBuf,
    /// File of the report, replaced atomically; - is standard output
    #[arg(long, value_name = "FILE", value_parser = local(), default_value = "report.html")]
    pub(super) to: PathBuf,
    #[command(flatten)]
    pub(super) filter: RowFilterArgs,
    /// Tag of conversations that an agent took over; may be repeated [default: liveChat, agentHandover]
    #[arg(long, value_name = "TAG", hide_short_help = true)]
    pub(super) handover_tag: Vec<String>,
    /// Tag of conversations with a confirmed resolution; may be repeated [default: resolved]
    #[arg(long, value_name = "TAG", hide_short_help = true)]
    pub(super) resolved_tag: Vec<String>,
    /// Tag of conversations whose user was informed; may be repeated [default: informed]
    #[arg(long, value_name = "TAG", hide_short_help = true)]
    pub(super) informed_tag: Vec<String>,
}

pub(super) async fn run(args: &ReportArgs, output: &OutputArgs) -> Result<u8> {
    let to_stdout = args.to == Path::new("-");
    if to_stdout && output.json {
        return Err(Error::Usage {
            what: "cannot use --to - with --json: both write to standard output".into(),
            hint: "give --to with a file".into(),
        });
    }
    let (owned, now) = (args.clone(), Timestamp::now());
    let task = tokio::task::spawn_blocking(move || {
        Table::read(&owned.out, |table| report(table, &query(&owned, table)?, now))
    });
    let report = task
        .await
        .map_err(|error| Error::Internal(format!("the report ended early: {error}")))??;
    let page = html(&report)?;
    if to_stdout {
        output::data(&page)?;
        return Ok(0);
    }
    write(&args.to, &page)?;
    if output.json {
        output::json(&report)?;
    } else if !output.quiet {
        output::line(&sentence(&report, &args.to, page.len()));
    }
    Ok(0)
}

fn query(args: &ReportArgs, table: &Table) -> Result<ReportQuery> {
    let default = Tags::default();
    let given = |tags: &[String], default| if tags.is_empty() { default } else { tags.to_vec() };
    Ok(ReportQuery {
        bots: args.filter.bot.clone(),
        range: args.filter.range(table)?,
        tags: Tags {
            handover: given(&args.handover_tag, default.handover),
            resolved: given(&args.resolved_tag, default.resolved),
            informed: given(&args.informed_tag, default.informed),
        },
    })
}

fn sentence(report: &Report, to: &Path, bytes: usize) -> String {
    format!(
        "{}: {} conversations, {} messages, {}",
        to.display(),
        display::grouped(report.total.sessions),
        display::grouped(report.total.messages),
        output::bytes(bytes as u64)
    )
}

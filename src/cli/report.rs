//! `converse-export report`: a page about a table, and its numbers as JSON.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use super::args::{OutputArgs, RowFilterArgs, local};
use super::output;
use crate::display;
use crate::error::{Error, Result};
use crate::report::{Report, ReportQuery, Tags, html, report, write};
use crate::table::Table;

const EXAMPLES: &str = "\
Examples:
  # all of the table, on a page to open, print or send
  converse-export report --out ./lake --to report.html

  # October of one bot, and the numbers of the page for a program
  converse-export report --out ./lake --bot r3-218210 --start 2023-10-01 --end 2023-11-01 --json

The page is one file that loads nothing and runs no script; it holds no conversation's text, but tags, locales and the
names of metadata keys. It says how each number is computed.";

#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ReportArgs {
    /// The folder that holds the table
    #[arg(long, value_name = "PATH", value_parser = local())]
    pub(super) out: PathBuf,
    /// The file of the page, replaced as one; - writes it to standard output
    #[arg(long, value_name = "FILE", value_parser = local(), default_value = "report.html")]
    pub(super) to: PathBuf,
    #[command(flatten)]
    pub(super) filter: RowFilterArgs,
    /// A tag of conversations that an agent took over; may be given several times [default: liveChat, agentHandover]
    #[arg(long, value_name = "TAG", hide_short_help = true)]
    pub(super) handover_tag: Vec<String>,
    /// A tag of conversations with a confirmed resolution; may be given several times [default: resolved]
    #[arg(long, value_name = "TAG", hide_short_help = true)]
    pub(super) resolved_tag: Vec<String>,
    /// A tag of conversations whose user was informed; may be given several times [default: informed]
    #[arg(long, value_name = "TAG", hide_short_help = true)]
    pub(super) informed_tag: Vec<String>,
}

pub(super) async fn run(args: &ReportArgs, output: &OutputArgs) -> Result<u8> {
    let to_stdout = args.to == Path::new("-");
    if to_stdout && output.json {
        return Err(Error::Usage {
            what: "--to - and --json would both write to standard output".into(),
            hint: "give --to a file".into(),
        });
    }
    let (asked, now) = (args.clone(), Timestamp::now());
    let reading = tokio::task::spawn_blocking(move || {
        Table::read(&asked.out, |table| report(table, &query(&asked, table)?, now))
    });
    let report = reading
        .await
        .map_err(|error| Error::Internal(format!("reading ended: {error}")))??;
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
    let usual = Tags::default();
    let given = |asked: &[String], usual| if asked.is_empty() { usual } else { asked.to_vec() };
    Ok(ReportQuery {
        bots: args.filter.bot.clone(),
        range: args.filter.range(table)?,
        tags: Tags {
            handover: given(&args.handover_tag, usual.handover),
            resolved: given(&args.resolved_tag, usual.resolved),
            informed: given(&args.informed_tag, usual.informed),
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

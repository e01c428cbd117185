//! `converse-export verify`: the proof of a table as a grid, or as JSON.

use std::path::PathBuf;

use clap::Args;
use comfy_table::{CellAlignment, Table as Grid};

use super::args::{ApiArgs, OutputArgs, local};
use super::text_table::framed;
use super::{exit_code, export, output, progress_bars};
use crate::error::{Error, Result};
use crate::export::{DEFAULT_BASE_URL, check_request_options};
use crate::fetch::CancellationToken;
use crate::table::{OWN_FOLDER, Settings};
use crate::verify::{AskAgain, Finding, Report, verify};

const EXAMPLES: &str = "\
Examples:
  # files against manifest, manifest against ledger; changes nothing, needs no key
  converse-export verify --out ./lake

  # and asks the API again for 20 windows that are called complete
  converse-export verify --out ./lake --live 20

Exit codes: 0 nothing is wrong · 1 something is wrong · 2 usage · 3 the API did
not answer, or a run changed the table meanwhile: run it again";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = "What to prove")]
pub(super) struct VerifyArgs {
    /// The folder that holds the table
    #[arg(long, value_name = "PATH", value_parser = local())]
    pub(super) out: PathBuf,
    /// Ask the API again for so many windows
    ///
    /// Ids are compared. The windows are chosen at random among what is called complete, each of about a page. The key goes to the address that the
    /// table was made from, which is told before it is asked.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) live: u32,
    /// Choose them by this number [default: random, and told]
    ///
    /// The same number chooses the same windows.
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    #[command(flatten, next_help_heading = "API")]
    pub(super) api: ApiArgs,
}

/// Problems that are told one by one; there may be one for each partition.
const TOLD: usize = 100;

pub(super) async fn run(args: &VerifyArgs, output: &OutputArgs, stop: CancellationToken) -> Result<u8> {
    let again = ask_again(args)?;
    let verified = {
        let (out, stop, bar) = (
            args.out.clone(),
            stop.clone(),
            progress_bars::counted(output, "partitions"),
        );
        let verified = tokio::task::spawn_blocking(move || verify(&out, &stop, &*bar)).await;
        verified.map_err(|error| Error::Internal(format!("verifying ended: {error}")))??
    };
    let Some(again) = again else {
        return report(&verified.report, output);
    };
    output::line(&format!(
        "asking {} again, --seed {}",
        again.connection.base_url, again.seed
    ));
    let choosing = again.clone();
    let mut chosen = tokio::task::spawn_blocking(move || verified.choose(&choosing))
        .await
        .map_err(|error| Error::Internal(format!("choosing ended: {error}")))??;
    let asked = tokio::select! {
        asked = chosen.ask(&again) => asked,
        () = stop.cancelled() => Err(Error::Interrupted),
    };
    let code = report(chosen.report(), output)?;
    match asked {
        Err(error) if code == 0 => Err(error),
        Err(error) => {
            output::error(&error);
            Ok(code.max(exit_code(&error)))
        }
        Ok(()) => Ok(code),
    }
}

/// How the API is to be asked, where it is.
fn ask_again(args: &VerifyArgs) -> Result<Option<AskAgain>> {
    if args.live == 0 {
        return Ok(None);
    }
    let settings = Settings::load(&args.out.join(OWN_FOLDER))?;
    // where there is no table the proof says so
    let Some(settings) = settings else { return Ok(None) };
    let api = args.api.for_table(Some(&settings))?;
    let connection = export::connection(&api)?;
    // the key goes to no address that only a file names, but the vendor's and this machine's own
    if args.api.base_url.is_none() && settings.base_url != DEFAULT_BASE_URL && !connection.is_local() {
        return Err(Error::Usage {
            what: format!(
                "the table came from {}, not from the vendor's address",
                settings.base_url
            ),
            hint: format!(
                "give --base-url {} if you trust it with the key",
                settings.base_url
            ),
        });
    }
    check_request_options(
        &connection,
        api.requests_per_second,
        api.concurrency,
        api.per_page,
    )?;
    Ok(Some(AskAgain {
        windows: args.live,
        // few enough digits that every reader of JSON keeps them
        seed: args.seed.unwrap_or_else(|| rand::random::<u32>().into()),
        connection,
        requests_per_second: api.requests_per_second,
        concurrency: api.concurrency,
        per_page: api.per_page,
    }))
}

fn report(report: &Report, output: &OutputArgs) -> Result<u8> {
    if output.json {
        output::json(&report)?;
    } else {
        output::text(&text(report))?;
    }
    if let Some(hint) = report.hint() {
        output::hint(hint);
    }
    Ok(match report.problems.is_empty() {
        false => 1,
        // incomplete, and safe to run again
        true if report.changed_meanwhile > 0 => 3,
        true => 0,
    })
}

fn text(report: &Report) -> String {
    let mut lines = vec![grid(report).to_string()];
    if let Some(live) = &report.live {
        let records: u64 = live.windows.iter().map(|asked| asked.records).sum();
        lines.push(format!(
            "asked the API again for {} windows: {records} records compared, {} requests",
            live.windows.len(),
            live.requests
        ));
    }
    lines.extend(findings("note", &report.notes));
    lines.extend(findings("problem", &report.problems));
    if report.changed_meanwhile > 0 {
        lines.push(format!(
            "an export is running: {} partitions changed meanwhile, run again",
            report.changed_meanwhile
        ));
    }
    let seconds = report.elapsed_seconds;
    lines.push(match report.problems.len() {
        0 if report.changed_meanwhile > 0 => format!("nothing wrong was found in the rest ({seconds:.1} s)"),
        0 => format!("nothing is wrong ({seconds:.1} s)"),
        1 => format!("1 problem ({seconds:.1} s)"),
        many => format!("{many} problems ({seconds:.1} s)"),
    });
    lines.join("\n")
}

fn findings<'a>(kind: &'a str, findings: &'a [Finding]) -> impl Iterator<Item = String> + 'a {
    let told = findings.iter().take(TOLD);
    let more = findings.len().saturating_sub(TOLD);
    told.map(move |finding| format!("{kind}: {}: {}", finding.path, finding.what))
        .chain((more > 0).then(|| format!("{kind}: and {more} more, all of them with --json")))
}

fn grid(report: &Report) -> Grid {
    let mut grid = framed([
        "dataset",
        "bot",
        "partitions",
        "rows",
        "received",
        "duplicates",
        "superseded",
        "rejected",
        "no conversation",
        "problems",
    ]);
    for (dataset, bots) in &report.datasets {
        for (bot, proven) in bots {
            let missing = proven.missing_conversations;
            let counts = [
                Some(proven.partitions),
                Some(proven.rows),
                Some(proven.received),
                Some(proven.duplicates),
                Some(proven.superseded),
                Some(proven.rejected),
                missing,
                Some(proven.problems),
            ];
            let counts = counts.map(|count| count.map_or_else(|| "–".into(), |count| count.to_string()));
            grid.add_row([(*dataset).to_owned(), bot.clone()].into_iter().chain(counts));
        }
    }
    for column in grid.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    grid
}

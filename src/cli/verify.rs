//! `converse-export verify`: verify a table against its metadata, and on request against the API.

use std::path::PathBuf;

use clap::Args;
use comfy_table::Table;

use super::args::{ApiArgs, OutputArgs, local};
use super::text_table::{align_right, framed};
use super::{exit_code, export, output, progress_bars};
use crate::display::grouped;
use crate::error::{Error, Result};
use crate::export::{DEFAULT_BASE_URL, check_request_options};
use crate::fetch::CancellationToken;
use crate::table::{OWN_FOLDER, Settings};
use crate::verify::{Finding, LiveOptions, VerifyReport, verify};

const EXAMPLES: &str = "\
Examples:
  # data files, manifest and ledger agree; needs no key
  converse-export verify --out ./lake

  # also fetch 20 complete windows from the API again
  converse-export verify --out ./lake --live 20

Exit codes: 0 no problem; 1 a problem was found; 2 usage; 3 the API did not respond,
or a run changed the table meanwhile: run it again";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = "What to verify")]
pub(super) struct VerifyArgs {
    /// The folder that holds the table
    #[arg(long, value_name = "PATH", value_parser = local())]
    pub(super) out: PathBuf,
    /// Fetch N complete windows from the API again
    ///
    /// Compares the ids. The windows are chosen at random, each of about a page. The key is sent to the API that the table
    /// was exported from, whose address is printed first.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) live: u32,
    /// Seed of the choice of windows [default: random]
    ///
    /// The same seed chooses the same windows. The seed is printed.
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    #[command(flatten, next_help_heading = "API")]
    pub(super) api: ApiArgs,
}

/// Problems that are listed. There may be one for each partition.
const LISTED: usize = 100;

pub(super) async fn run(args: &VerifyArgs, output: &OutputArgs, stop: CancellationToken) -> Result<u8> {
    let again = ask_again(args)?;
    let verified = {
        let (out, stop, bar) = (
            args.out.clone(),
            stop.clone(),
            progress_bars::counted(output, "partitions"),
        );
        let verified = tokio::task::spawn_blocking(move || verify(&out, &stop, &*bar)).await;
        verified.map_err(|error| Error::Internal(format!("the verification ended early: {error}")))??
    };
    let Some(again) = again else {
        return report(&verified.report, output);
    };
    output::line(&format!(
        "fetching from {} again, --seed {}",
        again.connection.base_url, again.seed
    ));
    let choosing = again.clone();
    let mut chosen = tokio::task::spawn_blocking(move || verified.choose(&choosing))
        .await
        .map_err(|error| Error::Internal(format!("the choice of windows ended early: {error}")))??;
    let asked = tokio::select! {
        asked = chosen.run(&again) => asked,
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

/// Options of the requests, if any are to be made.
fn ask_again(args: &VerifyArgs) -> Result<Option<LiveOptions>> {
    if args.live == 0 {
        return Ok(None);
    }
    let settings = Settings::load(&args.out.join(OWN_FOLDER))?;
    // without a table the verification reports it
    let Some(settings) = settings else { return Ok(None) };
    let api = args.api.for_table(Some(&settings))?;
    let connection = export::connection(&api)?;
    // send the key only to the vendor, to this machine, or to an address on the command line
    if args.api.base_url.is_none() && settings.base_url != DEFAULT_BASE_URL && !connection.is_local() {
        return Err(Error::Usage {
            what: format!(
                "cannot send the key to {}: it is not the vendor's address",
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
    Ok(Some(LiveOptions {
        windows: args.live,
        // 32 bits are exact in every JSON reader
        seed: args.seed.unwrap_or_else(|| rand::random::<u32>().into()),
        connection,
        requests_per_second: api.requests_per_second,
        concurrency: api.concurrency,
        per_page: api.per_page,
    }))
}

fn report(report: &VerifyReport, output: &OutputArgs) -> Result<u8> {
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

fn text(report: &VerifyReport) -> String {
    let mut lines = vec![table(report).to_string()];
    if let Some(live) = &report.live {
        let records: u64 = live.windows.iter().map(|asked| asked.records).sum();
        lines.push(format!(
            "fetched {} windows again: {} records compared, {} requests",
            live.windows.len(),
            grouped(records),
            live.requests
        ));
    }
    lines.extend(findings("note", &report.notes));
    lines.extend(findings("problem", &report.problems));
    if report.changed_meanwhile > 0 {
        lines.push(format!(
            "a run changed {} partitions meanwhile: verify again",
            report.changed_meanwhile
        ));
    }
    let seconds = report.elapsed_seconds;
    lines.push(match report.problems.len() {
        0 if report.changed_meanwhile > 0 => format!("no problem in the rest ({seconds:.1} s)"),
        0 => format!("no problem ({seconds:.1} s)"),
        1 => format!("1 problem ({seconds:.1} s)"),
        many => format!("{many} problems ({seconds:.1} s)"),
    });
    lines.join("\n")
}

fn findings<'a>(kind: &'a str, findings: &'a [Finding]) -> impl Iterator<Item = String> + 'a {
    let listed = findings.iter().take(LISTED);
    let more = findings.len().saturating_sub(LISTED);
    listed
        .map(move |finding| format!("{kind}: {}: {}", finding.path, finding.what))
        .chain((more > 0).then(|| format!("{kind}: and {more} more; --json lists all")))
}

fn table(report: &VerifyReport) -> Table {
    let mut table = framed([
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
        for (bot, checked) in bots {
            let missing = checked.missing_conversations;
            let counts = [
                Some(checked.partitions),
                Some(checked.rows),
                Some(checked.received),
                Some(checked.duplicates),
                Some(checked.superseded),
                Some(checked.rejected),
                missing,
                Some(checked.problems),
            ];
            let counts = counts.map(|count| count.map_or_else(|| "–".into(), grouped));
            table.add_row([(*dataset).to_owned(), bot.clone()].into_iter().chain(counts));
        }
    }
    align_right(&mut table, 2..usize::MAX);
    table
}

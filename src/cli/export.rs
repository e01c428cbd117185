//! `converse-export export`.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use url::Url;

use super::args::{ApiArgs, ExportArgs, Told};
use super::{bar, exit_code, told};
use crate::api::{ApiKey, Connection, Patience};
use crate::dataset::Dataset;
use crate::error::{Error, Result, Severity};
use crate::export::{DEFAULT_BASE_URL, Failure, Options, Outcome, export};
use crate::fetch::Stop;
use crate::table::Zone;
use crate::window::Window;

const KEY_VARIABLE: &str = "CONVERSE_EXPORT_API_KEY";

pub(super) async fn run(args: &ExportArgs, told: &Told, stop: Stop) -> Result<u8> {
    if args.dry_run {
        return super::plan::run(args, told).await;
    }
    let options = options(args)?;
    let outcome = export(&options, bar::progress(told), stop).await?;
    report(&outcome, told, options.bots.len())
}

/// Prints what became of a run; returns its exit code.
pub(super) fn report(outcome: &Outcome, told: &Told, bots: usize) -> Result<u8> {
    if told.json {
        let json = serde_json::to_string_pretty(&outcome.summary);
        told::data(&json.map_err(|error| Error::Internal(error.to_string()))?)?;
    } else if failed_bots(&outcome.failures) < bots && !told.quiet {
        told::summary(&outcome.summary);
    }
    told::failures(&outcome.failures);
    Ok(code(&outcome.failures, outcome.summary.rejected(), bots))
}

/// How many bots something failed of.
fn failed_bots(failures: &[Failure]) -> usize {
    let bots: BTreeSet<&str> = failures.iter().map(|failure| failure.bot.as_str()).collect();
    bots.len()
}

/// The exit code of a run over so many bots.
pub(super) fn code(failures: &[Failure], rejected: u64, bots: usize) -> u8 {
    if let Some(interrupted) = failures
        .iter()
        .find(|failure| failure.error.severity() == Severity::Interrupted)
    {
        return exit_code(&interrupted.error);
    }
    match failures.first() {
        None => u8::from(rejected > 0) * 4,
        Some(_) if failed_bots(failures) < bots => 3,
        // what a person must mend counts more than what may heal by itself
        Some(_) => failures
            .iter()
            .map(|failure| exit_code(&failure.error))
            .min()
            .unwrap_or(1),
    }
}

/// The zone that was asked for by name.
pub(super) fn zone(name: &str) -> Result<Zone> {
    Zone::named(name).map_err(|_| Error::Usage {
        what: format!("--timezone {name} is not known"),
        hint: "give an IANA name such as Europe/Berlin or UTC".into(),
    })
}

pub(super) fn options(args: &ExportArgs) -> Result<Options> {
    let zone = zone(&args.timezone)?;
    let seconds = |moment: super::args::Moment| {
        moment.seconds(&zone).map_err(|error| Error::Usage {
            what: format!("a time cannot be told in {}: {error}", args.timezone),
            hint: "give a date between the years 1 and 9998".into(),
        })
    };
    let mut bots = Vec::new();
    for bot in &args.bot {
        if !bots.contains(bot) {
            bots.push(bot.clone());
        }
    }
    let options = Options {
        bots,
        datasets: datasets(&args.dataset),
        range: Window::new(seconds(args.start)?, seconds(args.end)?),
        out: args.out.clone(),
        connection: connection(&args.api)?,
        requests_per_second: args.api.requests_per_second,
        concurrency: args.api.concurrency,
        per_page: args.api.per_page,
        timezone: zone.name().to_owned(),
        settle: args.settle,
        refetch: args.refetch,
        lookback: None,
        conversation: args.conversation.clone(),
        keep_pages: args.keep_pages,
    };
    options.check()?;
    Ok(options)
}

/// The datasets that were asked for; all where none was.
pub(super) fn datasets(asked: &[Dataset]) -> Vec<Dataset> {
    let mut datasets = if asked.is_empty() {
        Dataset::ALL.to_vec()
    } else {
        asked.to_vec()
    };
    datasets.sort_unstable();
    datasets.dedup();
    datasets
}

pub(super) fn connection(args: &ApiArgs) -> Result<Connection> {
    let base_url = match &args.base_url {
        Some(url) => url.clone(),
        None => Url::parse(DEFAULT_BASE_URL).map_err(|error| Error::Internal(error.to_string()))?,
    };
    Ok(Connection {
        allow_http: args.allow_http,
        max_page_bytes: args.max_page_bytes,
        silence: args.timeout,
        patience: Patience {
            limit: args.retry_for,
            ..Patience::default()
        },
        ..Connection::new(base_url, key(args.api_key_file.as_deref())?)
    })
}

fn key(file: Option<&Path>) -> Result<ApiKey> {
    let hint = format!("set {KEY_VARIABLE}, or give --api-key-file with a file that holds only the key");
    let usage = |what: String| Error::Usage {
        what,
        hint: hint.clone(),
    };
    let (text, place) = match file {
        Some(path) if path == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(Error::io("read", Path::new("standard input")))?;
            (text, "on standard input".to_owned())
        }
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                usage(format!(
                    "--api-key-file {} cannot be read: {error}",
                    path.display()
                ))
            })?;
            (text, format!("in {}", path.display()))
        }
        None => match std::env::var(KEY_VARIABLE) {
            Ok(text) => (text, format!("in {KEY_VARIABLE}")),
            Err(_) => return Err(usage("there is no API key".into())),
        },
    };
    ApiKey::new(&text).map_err(|error| usage(format!("{error} ({place})")))
}

//! `converse-export demo`: export a week from the simulated API and show the table.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use url::Url;

use super::args::{OutputArgs, local};
use super::{export, output, progress_bars, text_table};
use crate::api::{ApiKey, Connection};
use crate::dataset::{Dataset, PrivacyOptions};
use crate::error::{Error, Result};
use crate::export::{DEFAULT_SETTLE, MAX_PER_PAGE, Options};
use crate::fetch::CancellationToken;
use crate::table::{OWN_FOLDER, Settings, read_file};
use crate::window::Window;
use converse_export_simulator::{self as simulator, Latency, Simulator};

const EXAMPLES: &str = "\
Examples:
  # a week of 5,000 conversations into ./demo-lake
  converse-export demo

  # more conversations, in another folder
  converse-export demo --conversations 50000 --out ./busy-lake";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = "Demo")]
pub(super) struct DemoArgs {
    /// Folder of the table
    #[arg(long, value_name = "PATH", value_parser = local(), default_value = "demo-lake")]
    pub(super) out: PathBuf,
    /// Conversations in the simulated week
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub(super) conversations: u64,
}

/// Monday 2023-10-02 to Sunday, midnights in UTC.
const WEEK: Window = Window {
    start: 1_696_204_800,
    end: 1_696_809_600,
};
/// Fast enough for a demo, slow enough to show progress.
const REQUESTS_PER_SECOND: f64 = 30.0;
const LATENCY: Duration = Duration::from_millis(120);
const PREVIEW_ROWS: usize = 5;

pub(super) async fn run(args: &DemoArgs, output: &OutputArgs, stop: CancellationToken) -> Result<u8> {
    let conversations = u32::try_from(args.conversations).map_err(|_| Error::Usage {
        what: format!("cannot use --conversations {}: too many", args.conversations),
        hint: "give at most 4,294,967,295; a few thousand are enough".into(),
    })?;
    let simulator = Simulator::start(simulator::Options {
        port: port_of(&args.out)?,
        range: WEEK.start..WEEK.end,
        conversations,
        requests_per_second: REQUESTS_PER_SECOND,
        latency: Latency::Fixed(LATENCY),
        ..simulator::Options::default()
    })
    .await
    .map_err(Error::io("simulate the API for", &args.out))?;
    let options = options(args, &simulator)?;
    output::line(&format!("exporting a simulated week into {}", args.out.display()));
    let outcome = crate::export::export(
        &options,
        progress_bars::progress(output, options.bots.len()),
        stop,
    )
    .await?;
    simulator.stop().await;
    let code = export::report(&outcome, output, &options)?;
    if outcome.failures.is_empty() && !output.json {
        show(&args.out)?;
    }
    Ok(code)
}

/// Returns the port that an earlier demo in the same folder used: a table is bound to its API's address.
fn port_of(out: &Path) -> Result<u16> {
    let Some(settings) = Settings::load(&out.join(OWN_FOLDER))? else {
        return Ok(0);
    };
    let url = Url::parse(&settings.base_url).ok();
    let simulated = url.filter(|url| url.host_str() == Some("127.0.0.1"));
    simulated.and_then(|url| url.port()).ok_or_else(|| Error::Usage {
        what: format!(
            "cannot use {}: it contains a table of {}",
            out.display(),
            settings.base_url
        ),
        hint: "give the demo another --out".into(),
    })
}

fn options(args: &DemoArgs, simulator: &Simulator) -> Result<Options> {
    let internal = |error: &dyn std::fmt::Display| Error::Internal(error.to_string());
    let simulated = simulator::Options::default();
    Ok(Options {
        bots: simulated.bots,
        datasets: Dataset::ALL.to_vec(),
        range: WEEK,
        out: args.out.clone(),
        connection: Connection::new(
            Url::parse(simulator.base_url()).map_err(|error| internal(&error))?,
            ApiKey::new(&simulated.key).map_err(|error| internal(&error))?,
        ),
        requests_per_second: REQUESTS_PER_SECOND,
        concurrency: None,
        per_page: MAX_PER_PAGE,
        metadata: None,
        promote: None,
        row_group_rows: None,
        row_group_bytes: None,
        privacy: PrivacyOptions::default(),
        timezone: None,
        partition_by: None,
        settle: DEFAULT_SETTLE,
        refetch: false,
        lookback: None,
        conversation: None,
        keep_pages: false,
    })
}

/// Prints the first rows of each dataset, and code that reads the table.
fn show(out: &Path) -> Result<()> {
    let mut files = Vec::new();
    for dataset in Dataset::ALL {
        files.push((dataset, first_file(&out.join(dataset.name()))?));
    }
    for (dataset, file) in files {
        let Some(file) = file else { continue };
        if let Some(batch) = read_file(&file)?.first() {
            let day = file
                .parent()
                .and_then(Path::file_name)
                .unwrap_or_default()
                .display();
            output::text(&format!("\n{dataset}, the first rows of {day}"))?;
            let rows = batch.slice(0, batch.num_rows().min(PREVIEW_ROWS));
            output::text(&text_table::rows(&rows, output::width())?)?;
        }
    }
    // a JSON string is a Python string
    let conversations = serde_json::Value::from(out.join("conversations").display().to_string());
    output::data(&format!(
        "\npandas:  import pandas as pd; df = pd.read_parquet({conversations})\n\
         \x20        # metadata is a map: df['metadata'].map(lambda pairs: dict(pairs).get('__sys_channel'))"
    ))
}

/// Returns the first Parquet file below a folder, by name.
fn first_file(folder: &Path) -> Result<Option<std::path::PathBuf>> {
    let mut entries = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .map_err(Error::io("read", folder))?;
    entries.sort_unstable_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            return Ok(Some(path));
        }
        if path.is_dir()
            && let Some(file) = first_file(&path)?
        {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

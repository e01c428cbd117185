//! `converse-export demo`: a week from the simulated API, and what to do with it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table as Grid};
use url::Url;

use super::args::{DemoArgs, Told};
use super::{bar, export, told};
use crate::api::{ApiKey, Connection};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::export::{DEFAULT_SETTLE, MAX_PER_PAGE, Options};
use crate::fetch::Stop;
use crate::simulator::{self, Latency, Simulator};
use crate::table::{OWN_FOLDER, Settings, read_file};
use crate::window::Window;

/// Monday 2023-10-02 to Sunday, midnights in UTC.
const WEEK: Window = Window {
    start: 1_696_204_800,
    end: 1_696_809_600,
};
/// Quick enough to be pleasant, slow enough to be seen.
const REQUESTS_PER_SECOND: f64 = 30.0;
const LATENCY: Duration = Duration::from_millis(120);
const PREVIEW_ROWS: usize = 5;

pub(super) async fn run(args: &DemoArgs, told: &Told, stop: Stop) -> Result<u8> {
    let conversations = u32::try_from(args.conversations).map_err(|_| Error::Usage {
        what: format!("--conversations {} is too many", args.conversations),
        hint: "give a few thousand: it is a demo".into(),
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
    told::line(&format!("exporting a simulated week into {}", args.out.display()));
    let outcome = crate::export::export(&options, bar::progress(told), stop).await?;
    simulator.stop().await;
    let code = export::report(&outcome, told, 1)?;
    if outcome.failures.is_empty() && !told.json {
        show(&args.out)?;
    }
    Ok(code)
}

/// A second demo in the same folder has to simulate the same address, since a table is bound to its API.
fn port_of(out: &Path) -> Result<u16> {
    let Some(settings) = Settings::load(&out.join(OWN_FOLDER))? else {
        return Ok(0);
    };
    let url = Url::parse(&settings.base_url).ok();
    let simulated = url.filter(|url| url.host_str() == Some("127.0.0.1"));
    simulated.and_then(|url| url.port()).ok_or_else(|| Error::Usage {
        what: format!("{} holds a table of {}", out.display(), settings.base_url),
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
        timezone: "UTC".into(),
        settle: DEFAULT_SETTLE,
        refetch: false,
        lookback: None,
        conversation: None,
        keep_pages: false,
    })
}

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
            told::data(&format!("\n{dataset}, the first rows of {day}"))?;
            told::data(&preview(batch)?)?;
        }
    }
    let out = out.display();
    told::data(&format!(
        "\nDuckDB:  SELECT date, count(*) AS conversations, avg(list_contains(tags, 'resolved')::INT) AS resolved\n\
         \x20        FROM read_parquet('{out}/conversations/**/*.parquet', hive_partitioning = true) GROUP BY date ORDER BY date;\n\
         pandas:  import pandas as pd; df = pd.read_parquet('{out}/conversations')\n\
         \x20        # metadata is a map: df['metadata'].map(lambda pairs: dict(pairs).get('__sys_channel'))"
    ))
}

/// The first Parquet file below a folder, by name.
fn first_file(folder: &Path) -> Result<Option<std::path::PathBuf>> {
    let mut entries = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .map_err(Error::io("read", folder))?;
    entries.sort_unstable_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "parquet") {
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

/// The first rows as a grid that fits the terminal, without columns that hold nothing.
fn preview(batch: &RecordBatch) -> Result<String> {
    let batch = batch.slice(0, batch.num_rows().min(PREVIEW_ROWS));
    let schema = batch.schema();
    let filled: Vec<(&String, ArrayRef)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(_, column)| column.null_count() < column.len())
        .map(|(field, column)| (field.name(), without_zone(column)))
        .collect();
    let format = FormatOptions::default().with_timestamp_format(Some("%Y-%m-%d %H:%M:%S"));
    let cells = filled
        .iter()
        .map(|(_, column)| ArrayFormatter::try_new(column, &format))
        .collect::<Result<Vec<_>, _>>()?;
    let wide = (usize::from(width()) / filled.len().max(1))
        .saturating_sub(3)
        .max(8);
    let mut grid = Grid::new();
    grid.load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(filled.iter().map(|(name, _)| shortened(name, wide)));
    for row in 0..batch.num_rows() {
        grid.add_row(
            cells
                .iter()
                .map(|column| shortened(&column.value(row).to_string(), wide)),
        );
    }
    Ok(grid.to_string())
}

/// Times print without their zone, which is UTC throughout.
fn without_zone(column: &ArrayRef) -> ArrayRef {
    match column.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(times) => Arc::new(times.clone().with_timezone_opt(None::<&str>)),
        None => Arc::clone(column),
    }
}

/// Columns of the terminal; enough for most where there is none.
fn width() -> u16 {
    terminal_size::terminal_size().map_or(120, |(width, _)| width.0)
}

/// One line of at most `wide` characters.
fn shortened(cell: &str, wide: usize) -> String {
    let line = cell.replace(char::is_control, " ");
    match line.char_indices().nth(wide) {
        Some(_) => line.chars().take(wide - 1).chain(['…']).collect(),
        None => line,
    }
}

//! `converse-export simulate`: serve a simulated Export API.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use jiff::civil::Date;

use super::args::{day, duration};
use super::output;
use crate::error::{Error, Result};
use crate::export::DEFAULT_REQUESTS_PER_SECOND;
use crate::fetch::CancellationToken;
use crate::table::Zone;
use converse_export_simulator::{Latency, Options, serve};

const EXAMPLES: &str = "\
Examples:
  # an API for test exports
  converse-export simulate &
  CONVERSE_EXPORT_API_KEY=demo-key converse-export export --base-url http://127.0.0.1:8080 \\
      --bot r3-218210 --start 2023-10-01 --end 2023-10-06 --out ./lake

  # a large archive with slow responses
  converse-export simulate --conversations 100000 --days 30 --latency 800ms";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = "Simulation")]
pub(super) struct SimulateArgs {
    /// Port on 127.0.0.1; 0 chooses a free one
    #[arg(long, value_name = "P", default_value_t = 8080)]
    pub(super) port: u16,
    /// Conversations of each bot
    ///
    /// Each has about five messages.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(super) conversations: u32,
    /// First day of the archive, in UTC
    #[arg(long, value_name = "DATE", value_parser = day, default_value = "2023-10-01")]
    pub(super) start: Date,
    /// Days of the archive
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) days: u16,
    /// Rate limit of each endpoint; 0 means no limit
    #[arg(long, value_name = "R", default_value_t = DEFAULT_REQUESTS_PER_SECOND)]
    pub(super) requests_per_second: f64,
    /// Latency of each response, e.g. 300ms
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
    pub(super) latency: Duration,
    /// Seed of the archive
    #[arg(long, value_name = "N", default_value_t = 1, hide_short_help = true)]
    pub(super) seed: u64,
}

pub(super) async fn run(args: &SimulateArgs, stop: CancellationToken) -> Result<u8> {
    let start = Zone::named("UTC").and_then(|zone| zone.begin(args.start));
    let start = start
        .map_err(|error| Error::Internal(error.to_string()))?
        .as_second();
    let options = Options {
        port: args.port,
        conversations: args.conversations,
        range: start..start + i64::from(args.days) * 86_400,
        requests_per_second: args.requests_per_second,
        latency: Latency::Fixed(args.latency),
        seed: args.seed,
        ..Options::default()
    };
    let announce = |url: &str, options: &Options| {
        output::line(&format!(
            "the simulated Export API is at {url}: bot {}, key {}; press Ctrl-C to stop",
            options.bots.join(", "),
            options.key
        ));
    };
    let served = options.clone();
    serve(
        options,
        |simulator| announce(simulator.base_url(), &served),
        async move { stop.cancelled().await },
    )
    .await
    .map_err(Error::io("serve", Path::new(&format!("127.0.0.1:{}", args.port))))?;
    Ok(0)
}

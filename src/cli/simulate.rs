//! `converse-export simulate`.

use std::path::Path;

use super::args::SimulateArgs;
use super::told;
use crate::error::{Error, Result};
use crate::fetch::Stop;
use crate::simulator::{Latency, Options, serve};
use crate::table::Zone;

pub(super) async fn run(args: &SimulateArgs, mut stop: Stop) -> Result<u8> {
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
    let told = |url: &str, options: &Options| {
        told::line(&format!(
            "the simulated Export API is at {url}: bot {}, key {}; Ctrl-C stops it",
            options.bots.join(", "),
            options.key
        ));
    };
    let said = options.clone();
    serve(
        options,
        |simulator| told(simulator.base_url(), &said),
        async move { stop.told().await },
    )
    .await
    .map_err(Error::io("serve", Path::new(&format!("127.0.0.1:{}", args.port))))?;
    Ok(0)
}

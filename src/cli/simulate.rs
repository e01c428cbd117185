//! `converse-export simulate`.

use std::path::Path;

use super::args::SimulateArgs;
use super::told;
use crate::error::{Error, Result};
use crate::fetch::Stop;
use crate::simulator::{Options, serve};

pub(super) async fn run(args: &SimulateArgs, mut stop: Stop) -> Result<u8> {
    let options = Options {
        port: args.port,
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

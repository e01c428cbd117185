//! `converse-export rebuild`.

use super::args::{RebuildArgs, Told};
use super::{export, told};
use crate::error::{Error, Result};
use crate::fetch::Stop;
use crate::rebuild::{Rebuilt, rebuild};

pub(super) async fn run(args: &RebuildArgs, told: &Told, stop: Stop) -> Result<u8> {
    let zone = args.timezone.as_deref().map(export::zone).transpose()?;
    let out = args.out.clone();
    let rebuilding =
        tokio::task::spawn_blocking(move || rebuild(&out, zone.as_ref().map(|zone| zone.name()), &stop));
    let rebuilt = rebuilding
        .await
        .map_err(|error| Error::Internal(format!("rebuilding ended: {error}")))??;
    report(&rebuilt, told)
}

fn report(rebuilt: &Rebuilt, told: &Told) -> Result<u8> {
    if told.json {
        let json = serde_json::to_string_pretty(rebuilt);
        told::data(&json.map_err(|error| Error::Internal(error.to_string()))?)?;
    } else if !told.quiet {
        told::line(&format!(
            "the table was made again: {} partitions, {} rows, days in {}",
            rebuilt.partitions, rebuilt.rows, rebuilt.timezone
        ));
    }
    Ok(0)
}

//! `converse-export erase`: remove conversations permanently.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use super::args::{OutputArgs, TABLE, local};
use super::{ids, output};
use crate::display::grouped;
use crate::erase::{EraseSummary, dry_run, erase};
use crate::error::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  # two conversations
  converse-export erase --out ./lake --conversation 65189d00c0ffee --conversation 65189d01c0ffee

  # many, one id per line
  converse-export erase --out ./lake --from ids.txt

  # show what would be removed
  converse-export erase --out ./lake --from ids.txt --dry-run

Removes the conversations and their messages from every partition, every spooled page and the rejected records, and all
files in _export/quarantine/, whose contents are unknown. A tombstone (a keyed hash, not the id) in _export/ prevents later
runs from exporting them again. The next export, sync or erase completes an interrupted erasure. Records of other
conversations that mention an erased one stay.

Ids that are not found get a tombstone, too, and are listed.

Exit codes: 0 done; 1 failed, or a file that does not belong to the table contains an id; 2 usage; 3 another run is
active, run it again; 4 done, but some ids were not found";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = TABLE)]
pub(super) struct EraseArgs {
    /// Folder of the table
    #[arg(long, value_name = "PATH", value_parser = local())]
    out: PathBuf,
    /// Id of a conversation; may be repeated
    #[arg(long, value_name = "ID")]
    conversation: Vec<String>,
    /// Read ids from a file, one per line; - is standard input
    ///
    /// UTF-8. A byte order mark, spaces and quotes around an id, and empty lines are ignored.
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,
    /// Show what would be removed, without removing it
    #[arg(long)]
    dry_run: bool,
}

/// Ids that are listed.
const LISTED: usize = 100;

pub(super) async fn run(args: &EraseArgs, output: &OutputArgs) -> Result<u8> {
    let mut ids = args.conversation.clone();
    if let Some(path) = &args.from {
        let content = if path.as_os_str() == "-" {
            let mut content = Vec::new();
            std::io::stdin().read_to_end(&mut content).map(|_| content)
        } else {
            std::fs::read(path)
        };
        let content = content.map_err(Error::io("read", path))?;
        ids.extend(ids::ids(&content, path)?);
    }
    let (out, is_dry) = (args.out.clone(), args.dry_run);
    let task = tokio::task::spawn_blocking(move || match is_dry {
        true => dry_run(&out, &ids),
        false => erase(&out, &ids),
    });
    let summary = task
        .await
        .map_err(|error| Error::Internal(format!("the erasure ended early: {error}")))??;
    report(&summary, output)
}

/// Prints what was removed. Returns exit code 1 if a foreign file contains an id, and 4 if an id was not found.
fn report(summary: &EraseSummary, output: &OutputArgs) -> Result<u8> {
    if output.json {
        output::json(summary)?;
    } else if !output.quiet {
        output::line(&sentence(summary));
    }
    for id in summary.not_found.iter().take(LISTED) {
        output::line(&format!("not found: {id}"));
    }
    if summary.not_found.len() > LISTED {
        output::line(&format!(
            "not found: {} more; --json lists all",
            summary.not_found.len() - LISTED
        ));
    }
    for path in &summary.left {
        output::line(&format!(
            "not removed: {} does not belong to the table and contains an id",
            path.display()
        ));
    }
    Ok(match (summary.left.is_empty(), summary.not_found.is_empty()) {
        (false, _) => 1,
        (true, false) => 4,
        (true, true) => 0,
    })
}

fn sentence(summary: &EraseSummary) -> String {
    let rows: Vec<String> = summary
        .rows
        .iter()
        .map(|(dataset, rows)| format!("{} rows of {dataset}", grouped(*rows)))
        .collect();
    let rows = if rows.is_empty() {
        "no rows".to_owned()
    } else {
        rows.join(" and ")
    };
    let mut of_ids = Vec::new();
    if summary.erased_before > 0 {
        of_ids.push(format!("{} erased before", summary.erased_before));
    }
    if !summary.not_found.is_empty() {
        of_ids.push(format!("{} not found", summary.not_found.len()));
    }
    let of_ids: String = of_ids.iter().map(|part| format!(", {part}")).collect();
    format!(
        "{} {} of {} conversations{of_ids}: {rows} from {} partitions, {} records from pages, {} rejected records, {} damaged files",
        if summary.dry_run {
            "would remove"
        } else {
            "removed"
        },
        grouped(summary.conversations),
        grouped(summary.requested),
        grouped(summary.partitions_changed + summary.partitions_removed),
        grouped(summary.records_in_pages),
        grouped(summary.rejected),
        grouped(summary.damaged_files)
    )
}

//! `converse-export erase`: conversations removed for good.

use std::path::PathBuf;

use clap::Args;

use super::args::{TABLE, Told, local};
use super::told;
use crate::erase::{Erased, erase};
use crate::error::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  # two conversations
  converse-export erase --out ./lake --conversation 65189d00c0ffee --conversation 65189d01c0ffee

  # many, an id in each line
  converse-export erase --out ./lake --from ids.txt

Conversations and their messages go from every partition, every kept page and the rejected records; what is in
_export/damaged/ goes as a whole, since nobody can tell what it holds. A tombstone stays (a hash keyed with a random key
in _export/, not the id), so that no later run brings them back, whatever the API still has. Interrupted, the next
export, sync or erase ends it. What another conversation's records say of one that is erased stays.";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = TABLE)]
pub(super) struct EraseArgs {
    /// The folder that holds the table
    #[arg(long, value_name = "PATH", value_parser = local())]
    out: PathBuf,
    /// A conversation's id; may be given several times
    #[arg(long, value_name = "ID")]
    conversation: Vec<String>,
    /// Read ids from a file, one in each line; - is standard input
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,
}

pub(super) async fn run(args: &EraseArgs, told: &Told) -> Result<u8> {
    let mut ids = args.conversation.clone();
    if let Some(path) = &args.from {
        let text = if path.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin())
        } else {
            std::fs::read_to_string(path)
        };
        let text = text.map_err(Error::io("read", path))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        ids.extend(lines.map(str::to_owned));
    }
    let out = args.out.clone();
    let erased = tokio::task::spawn_blocking(move || erase(&out, &ids))
        .await
        .map_err(|error| Error::Internal(format!("erasing ended: {error}")))??;
    report(&erased, told)
}

/// Prints what was erased; the exit code is 1 where something is left that a person must look at.
fn report(erased: &Erased, told: &Told) -> Result<u8> {
    if told.json {
        told::json(erased)?;
    } else if !told.quiet {
        let rows: Vec<String> = erased
            .rows
            .iter()
            .map(|(dataset, rows)| format!("{rows} rows of {dataset}"))
            .collect();
        let rows = if rows.is_empty() {
            "no row".to_owned()
        } else {
            rows.join(" and ")
        };
        told::line(&format!(
            "erased {} conversations: {rows} from {} partitions, {} records from pages, {} rejected records, {} damaged files",
            erased.conversations,
            erased.partitions_changed + erased.partitions_removed,
            erased.records_in_pages,
            erased.rejected,
            erased.damaged_files
        ));
    }
    for path in &erased.left {
        told::line(&format!(
            "left: {} is none of the table's files, and holds one of the ids",
            path.display()
        ));
    }
    Ok(u8::from(!erased.left.is_empty()))
}

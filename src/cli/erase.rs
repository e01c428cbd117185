//! `converse-export erase`: conversations removed for good.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use super::args::{OutputArgs, TABLE, local};
use super::{ids, output};
use crate::erase::{EraseSummary, dry_run, erase};
use crate::error::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  # two conversations
  converse-export erase --out ./lake --conversation 65189d00c0ffee --conversation 65189d01c0ffee

  # many, an id in each line
  converse-export erase --out ./lake --from ids.txt

  # only show what would be erased
  converse-export erase --out ./lake --from ids.txt --dry-run

Conversations and their messages go from every partition, every kept page and the rejected records; what is in
_export/damaged/ goes as a whole, since nobody can tell what it holds. A tombstone stays (a hash keyed with a random key
in _export/, not the id), so that no later run brings them back, whatever the API still has. Interrupted, the next
export, sync or erase ends it. What another conversation's records say of one that is erased stays.

An id that is not found gets a tombstone, too, and is listed.

Exit codes: 0 done · 1 failed, or a file that is not the table's holds one of the ids · 2 usage · 3 another run is at
work, run it again · 4 done, but some ids were not found";

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
    ///
    /// UTF-8. A byte order mark, blanks and quotes around an id, and empty lines are skipped.
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,
    /// Only show what would be erased, and which ids are not found
    #[arg(long)]
    dry_run: bool,
}

/// Ids that are listed one by one.
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
    let erased = tokio::task::spawn_blocking(move || match is_dry {
        true => dry_run(&out, &ids),
        false => erase(&out, &ids),
    });
    let erased = erased
        .await
        .map_err(|error| Error::Internal(format!("erasing ended: {error}")))??;
    report(&erased, output)
}

/// Prints what was erased; the exit code is 1 where something is left that a person must look at, and 4 where an id was
/// not found.
fn report(erased: &EraseSummary, output: &OutputArgs) -> Result<u8> {
    if output.json {
        output::json(erased)?;
    } else if !output.quiet {
        output::line(&sentence(erased));
    }
    for id in erased.not_found.iter().take(LISTED) {
        output::line(&format!("not found: {id}"));
    }
    if erased.not_found.len() > LISTED {
        output::line(&format!(
            "not found: {} more, all of them with --json",
            erased.not_found.len() - LISTED
        ));
    }
    for path in &erased.left {
        output::line(&format!(
            "left: {} is none of the table's files, and holds one of the ids",
            path.display()
        ));
    }
    Ok(match (erased.left.is_empty(), erased.not_found.is_empty()) {
        (false, _) => 1,
        (true, false) => 4,
        (true, true) => 0,
    })
}

fn sentence(erased: &EraseSummary) -> String {
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
    let mut of_ids = Vec::new();
    if erased.erased_before > 0 {
        of_ids.push(format!("{} erased before", erased.erased_before));
    }
    if !erased.not_found.is_empty() {
        of_ids.push(format!("{} not found", erased.not_found.len()));
    }
    let of_ids: String = of_ids.iter().map(|part| format!(", {part}")).collect();
    format!(
        "{} {} of {} conversations{of_ids}: {rows} from {} partitions, {} records from pages, {} rejected records, {} damaged files",
        if erased.dry_run { "would erase" } else { "erased" },
        erased.conversations,
        erased.asked,
        erased.partitions_changed + erased.partitions_removed,
        erased.records_in_pages,
        erased.rejected,
        erased.damaged_files
    )
}

//! `converse-export man`: write man pages.

use std::path::PathBuf;

use clap::Args;

use super::{args, output};
use crate::error::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  # write them to a folder and read one
  converse-export man ./man
  man ./man/converse-export-export.1

  # install them for man
  converse-export man ~/.local/share/man/man1";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ManArgs {
    /// Folder of the man pages, created if it does not exist
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(args: &ManArgs) -> Result<u8> {
    std::fs::create_dir_all(&args.dir).map_err(Error::io("create the folder", &args.dir))?;
    clap_mangen::generate_to(args::command(), &args.dir)
        .map_err(Error::io("write man pages to", &args.dir))?;
    output::line(&format!("wrote man pages to {}", args.dir.display()));
    Ok(0)
}

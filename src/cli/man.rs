//! `converse-export man`.

use std::path::PathBuf;

use clap::Args;

use super::{args, output};
use crate::error::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  # into a folder, then read one
  converse-export man ./man
  man ./man/converse-export-export.1

  # where man looks for them
  converse-export man ~/.local/share/man/man1";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ManArgs {
    /// The folder, made where it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(args: &ManArgs) -> Result<u8> {
    std::fs::create_dir_all(&args.dir).map_err(Error::io("make the folder", &args.dir))?;
    clap_mangen::generate_to(args::command(), &args.dir)
        .map_err(Error::io("write man pages to", &args.dir))?;
    output::line(&format!("man pages are in {}", args.dir.display()));
    Ok(0)
}

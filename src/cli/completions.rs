//! `converse-export completions`: print a completion script.

use clap::Args;
use clap_complete::{Shell, generate};

use super::{args, output};
use crate::error::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  # for this session of bash
  source <(converse-export completions bash)

  # for every session of fish
  converse-export completions fish > ~/.config/fish/completions/converse-export.fish";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> Result<u8> {
    let mut script = Vec::new();
    let mut command = args::command();
    let name = command.get_name().to_owned();
    generate(args.shell, &mut command, name, &mut script);
    let script = String::from_utf8(script).map_err(|error| Error::Internal(error.to_string()))?;
    output::data(script.trim_end())?;
    Ok(0)
}

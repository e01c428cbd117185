//! A part of a table.

use clap::Args;

use super::Moment;
use crate::error::{Error, Result};
use crate::table::Table;
use crate::window::Window;

/// Which rows of a table a question is about.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct RowFilterArgs {
    /// Only rows of this bot; may be given several times [default: all]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) bot: Vec<String>,
    /// Only rows from this moment on: YYYY-MM-DD (midnight in the table's zone), or another form of `export --start`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["since", "from"])]
    start: Option<Moment>,
    /// Only rows before this moment, in the same forms
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, alias = "until")]
    end: Option<Moment>,
}

impl RowFilterArgs {
    /// The range that is asked for, where one is; an end that is not given is no end.
    pub(in crate::cli) fn range(&self, table: &Table) -> Result<Option<Window>> {
        if self.start.is_none() && self.end.is_none() {
            return Ok(None);
        }
        let zone = table.zone()?;
        let seconds = |moment: Option<Moment>, without| {
            moment.map_or(Ok(without), |moment| {
                moment.seconds(&zone).map_err(|error| Error::Usage {
                    what: format!("a moment cannot be told: {error}"),
                    hint: "give one between the years 1 and 9999".into(),
                })
            })
        };
        let (start, end) = (seconds(self.start, i64::MIN)?, seconds(self.end, i64::MAX)?);
        if start >= end {
            return Err(Error::Usage {
                what: "--start does not lie before --end".into(),
                hint: "--end is exclusive: of one day it is the next one".into(),
            });
        }
        Ok(Some(Window::new(start, end)))
    }
}

//! Flags that select rows of a table.

use clap::Args;

use super::Moment;
use crate::error::{Error, Result};
use crate::table::Table;
use crate::window::Window;

/// Flags that select rows of a table.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct RowFilterArgs {
    /// Only rows of this bot; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) bot: Vec<String>,
    /// Only rows from this time on: YYYY-MM-DD (midnight in the table's zone), or another form of `export --start`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["since", "from"])]
    start: Option<Moment>,
    /// Only rows before this time, in the same forms
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, alias = "until")]
    end: Option<Moment>,
}

impl RowFilterArgs {
    /// Returns the selected range, if any; a missing end is unbounded.
    pub(in crate::cli) fn range(&self, table: &Table) -> Result<Option<Window>> {
        if self.start.is_none() && self.end.is_none() {
            return Ok(None);
        }
        let zone = table.zone()?;
        let seconds = |moment: Option<Moment>, without| {
            moment.map_or(Ok(without), |moment| {
                moment.seconds(&zone).map_err(|error| Error::Usage {
                    what: format!("cannot use a time: {error}"),
                    hint: "give a time between the years 1 and 9999".into(),
                })
            })
        };
        let (start, end) = (seconds(self.start, i64::MIN)?, seconds(self.end, i64::MAX)?);
        if start >= end {
            return Err(Error::Usage {
                what: "cannot use the range: --start is not before --end".into(),
                hint: "--end is exclusive: for one day give the next day".into(),
            });
        }
        Ok(Some(Window::new(start, end)))
    }
}

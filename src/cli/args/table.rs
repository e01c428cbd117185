//! Flags of the columns and row groups of a table.

use clap::Args;
use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};

use super::TABLE;
use crate::dataset::{MetadataMode, Promoted};
use crate::error::Result;

/// Optional columns and sizes of row groups.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct TableOptionArgs {
    /// Add a column for a metadata key
    ///
    /// May be repeated. TYPE is string (the default), int64, float64, bool, timestamp or json; NAME is the column, by default
    /// the key. A key within an object is a path: __sys_userAgentParsed.os.family. `system` adds all keys that the vendor
    /// documents, `none` adds no columns. A value of another type becomes null and is counted; metadata still contains it.
    /// Fixed by the table's first run; `rebuild` changes it.
    #[arg(long, value_name = "KEY[:TYPE][=NAME]", hide_short_help = true, help_heading = TABLE)]
    promote: Vec<String>,
    /// Type of the metadata column: map, json or both [default: map]
    ///
    /// map: a map of strings. json: the original object as text, in which 5 and "5" differ. both: the map, and the object in
    /// the column metadata_json. Fixed by the table's first run; `rebuild` can change json and both to map only.
    #[arg(long, value_name = "HOW", value_parser = mode(), hide_possible_values = true, hide_short_help = true, help_heading = TABLE)]
    pub(in crate::cli) metadata: Option<MetadataMode>,
    /// Maximum number of rows of a row group [default: 122880]
    ///
    /// Engines read row groups in parallel and skip those that a filter excludes. Fixed by the table's first run; `rebuild`
    /// changes it.
    #[arg(long, value_name = "N", value_parser = rows(), hide_short_help = true, help_heading = TABLE)]
    pub(in crate::cli) row_group_rows: Option<usize>,
    /// Maximum size of a row group in bytes [default: 67108864]
    ///
    /// The size in a reader's memory, several times the size in the file. The first limit that is reached ends a row group.
    #[arg(long, value_name = "BYTES", value_parser = bytes(), hide_short_help = true, help_heading = TABLE)]
    pub(in crate::cli) row_group_bytes: Option<usize>,
}

impl TableOptionArgs {
    /// Returns the requested columns; `None` if the table's own are kept.
    pub(in crate::cli) fn promote(&self) -> Result<Option<Vec<Promoted>>> {
        if self.promote.is_empty() {
            return Ok(None);
        }
        Ok(Some(Promoted::list(&self.promote)?))
    }
}

fn rows() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::from(1_000..=10_000_000)
}

/// A row group is built in memory, which 1 GiB bounds.
fn bytes() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::from(1 << 20..=1 << 30)
}

fn mode() -> impl TypedValueParser<Value = MetadataMode> {
    let names = PossibleValuesParser::new(MetadataMode::ALL.map(MetadataMode::name));
    names.try_map(|name| name.parse::<MetadataMode>())
}

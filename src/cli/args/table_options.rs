//! The flags that tell what columns a table has.

use clap::Args;
use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};

use super::TABLE;
use crate::dataset::{MetadataMode, Promoted};
use crate::error::Result;

/// What columns a table has, beyond those that every table has.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct TableOptionArgs {
    /// Give a metadata key a column of its own
    ///
    /// May be given several times. TYPE is string, int64, float64, bool, timestamp or json, string where it is left out;
    /// NAME is the key where it is left out. A key within an object is written as a path: __sys_userAgentParsed.os.family.
    /// `system` stands for all keys that the system documents, `none` for no columns. A value that does not fit gives null
    /// and is counted; metadata still has it. Fixed by a table's first run; `rebuild` changes it.
    #[arg(long, value_name = "KEY[:TYPE][=NAME]", hide_short_help = true, help_heading = TABLE)]
    promote: Vec<String>,
    /// Metadata as a map, as JSON text, or both
    ///
    /// map: as texts by their keys. json: the object as it came, in which 5 and "5" differ. both: the map, and the object in
    /// a column metadata_json. Fixed by a table's first run, as a map where it is not given; `rebuild` makes a map of the
    /// others, which cannot be made of a map.
    #[arg(long, value_name = "HOW", value_parser = mode(), hide_possible_values = true, hide_short_help = true, help_heading = TABLE)]
    pub(in crate::cli) metadata: Option<MetadataMode>,
    /// Rows of a row group at most [default: 122880]
    ///
    /// Engines read row groups side by side, and pass over those that a filter leaves out. Fixed by a table's first run;
    /// `rebuild` changes it.
    #[arg(long, value_name = "N", value_parser = rows(), hide_short_help = true, help_heading = TABLE)]
    pub(in crate::cli) row_group_rows: Option<usize>,
    /// Bytes of a row group at most [default: 67108864]
    ///
    /// Counted as the rows take them in the memory of a reader, several times what they take in the file. Whichever of rows
    /// and bytes comes first ends a row group.
    #[arg(long, value_name = "BYTES", value_parser = bytes(), hide_short_help = true, help_heading = TABLE)]
    pub(in crate::cli) row_group_bytes: Option<usize>,
}

impl TableOptionArgs {
    /// The columns that are asked for; none where the table's own will do.
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

/// More than a gibibyte would be held in memory.
fn bytes() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::from(1 << 20..=1 << 30)
}

fn mode() -> impl TypedValueParser<Value = MetadataMode> {
    let names = PossibleValuesParser::new(MetadataMode::ALL.map(MetadataMode::name));
    names.try_map(|name| name.parse::<MetadataMode>())
}

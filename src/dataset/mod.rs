//! What a record is: where it comes from, which columns it has, how its JSON becomes a row.
//!
//! Each dataset is a table of columns in a file of its own. A page of any dataset is read by [`peek`], which
//! tells what fetching has to know, and by [`decode`], which makes a record batch of it.
//!
//! ```
//! use converse_export::dataset::{Dataset, Next, decode, peek};
//!
//! let page = br#"{"data": [{"_id": "m1", "time": 1744750665, "userInput": "hello"}], "cursor": null}"#;
//! assert_eq!(peek(Dataset::Messages, page)?.cursor, Next::End);
//! assert_eq!(decode(Dataset::Messages, page)?.batch.num_rows(), 1);
//! # Ok::<(), converse_export::dataset::PageError>(())
//! ```

mod arrays;
mod column;
mod compact;
mod conversations;
mod decimal;
mod decode;
mod distinct;
mod json;
mod key_table;
mod messages;
mod observed;
mod page;
mod peek;
mod privacy;
mod promote;
mod promoted;
mod strip;
mod surrogates;
mod table_options;
mod time;

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

pub use column::{Column, Kind};
pub(crate) use column::{entries_of, is_json};
pub use decode::{Decoded, Reason, Rejected, decode, decode_as};
pub(crate) use json::{Value as JsonValue, entries as json_entries, whole as json_value};
pub use observed::{JsonTypes, ObservedKeys};
pub use page::{Next, PageError};
pub use peek::{Peek, PeekedRecord, id_hash, peek};
pub use privacy::{Pattern, PrivacyError, PrivacyFilter, PrivacyOptions, PrivacyRules, Secret};
pub use promote::{TypeMismatch, TypeMismatches};
pub use promoted::{Promoted, PromotedType, TableOptionsError};
pub(crate) use strip::names_any;
pub use strip::{strip, strip_with};
pub(crate) use table_options::metadata_map;
pub use table_options::{MetadataMode, TableOptions};

/// A kind of record that the API exports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dataset {
    /// One row for each conversation.
    Conversations,
    /// One row for each message.
    Messages,
}

/// What a dataset's own file declares.
struct Definition {
    name: &'static str,
    endpoint: &'static str,
    /// All columns but `extra`.
    columns: &'static [Column],
    /// Which of the columns is the id, the partition's time, the time of the last change.
    id: usize,
    time: usize,
    version: Option<usize>,
}

impl Dataset {
    /// Every dataset.
    pub const ALL: [Self; 2] = [Self::Conversations, Self::Messages];

    const fn definition(self) -> &'static Definition {
        match self {
            Self::Conversations => &conversations::CONVERSATIONS,
            Self::Messages => &messages::MESSAGES,
        }
    }

    /// The name, in paths and on the command line.
    pub const fn name(self) -> &'static str {
        self.definition().name
    }

    /// The endpoint's path on the API's host.
    pub const fn endpoint(self) -> &'static str {
        self.definition().endpoint
    }

    /// The declared columns in their order. `extra`, which holds what they do not, is not among them and is
    /// the last of the schema.
    pub const fn columns(self) -> &'static [Column] {
        self.definition().columns
    }

    /// The schema of every file of the dataset, in the form that a table has by default; see [`TableOptions`].
    pub fn schema(self) -> SchemaRef {
        static SCHEMAS: [OnceLock<SchemaRef>; Dataset::ALL.len()] =
            [const { OnceLock::new() }; Dataset::ALL.len()];
        SCHEMAS[self as usize]
            .get_or_init(|| column::schema(self.columns()))
            .clone()
    }

    /// The index of the id's column.
    pub const fn id_column(self) -> usize {
        self.definition().id
    }

    /// The index of the column whose date is the record's partition.
    pub const fn time_column(self) -> usize {
        self.definition().time
    }

    /// The index of the column that tells which of two versions of a record is the later one.
    pub const fn version_column(self) -> Option<usize> {
        self.definition().version
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dataset {
    type Err = UnknownDataset;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|dataset| dataset.name() == name);
        found.ok_or_else(|| UnknownDataset {
            name: name.to_owned(),
        })
    }
}

/// There is no dataset of this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown dataset `{name}`, expected one of: {}", Dataset::ALL.map(Dataset::name).join(", "))]
pub struct UnknownDataset {
    /// What was asked for.
    pub name: String,
}

//! Datasets: endpoint and columns of each, and how its JSON becomes rows.
//!
//! Each dataset is declared in a file of its own. [`peek`] reads from a page what fetching needs. [`decode`] makes a
//! record batch of it.

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

/// The declaration of a dataset.
struct Definition {
    name: &'static str,
    endpoint: &'static str,
    /// All columns except `extra`.
    columns: &'static [Column],
    /// Indices of the columns with the id, the time of the partition, and the time of the last change.
    id: usize,
    time: usize,
    version: Option<usize>,
}

impl Dataset {
    /// All datasets.
    pub const ALL: [Self; 2] = [Self::Conversations, Self::Messages];

    const fn definition(self) -> &'static Definition {
        match self {
            Self::Conversations => &conversations::CONVERSATIONS,
            Self::Messages => &messages::MESSAGES,
        }
    }

    /// Returns the name, as in paths and on the command line.
    pub const fn name(self) -> &'static str {
        self.definition().name
    }

    /// Returns the path of the endpoint.
    pub const fn endpoint(self) -> &'static str {
        self.definition().endpoint
    }

    /// Returns the declared columns. The last column of the schema, `extra`, is not among them.
    pub const fn columns(self) -> &'static [Column] {
        self.definition().columns
    }

    /// Returns the schema of the dataset's files with the default options; see [`TableOptions`].
    pub fn schema(self) -> SchemaRef {
        static SCHEMAS: [OnceLock<SchemaRef>; Dataset::ALL.len()] =
            [const { OnceLock::new() }; Dataset::ALL.len()];
        SCHEMAS[self as usize]
            .get_or_init(|| column::schema(self.columns()))
            .clone()
    }

    /// Returns the index of the id column.
    pub const fn id_column(self) -> usize {
        self.definition().id
    }

    /// Returns the index of the column whose date is the record's partition.
    pub const fn time_column(self) -> usize {
        self.definition().time
    }

    /// Returns the index of the column that shows which of two versions of a record is later.
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

/// Error: no dataset has this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown dataset `{name}`, expected one of: {}", Dataset::ALL.map(Dataset::name).join(", "))]
pub struct UnknownDataset {
    /// The requested name.
    pub name: String,
}

//! Options of a table's columns: how metadata is stored, and which metadata keys have columns of their own.
//!
//! Declared columns come first, then `extra`, then `metadata_json` if there is one, then promoted columns. Datasets
//! without metadata have no options.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::arrays::Maps;
use super::column::{EXTRA, Kind, json_field};
use super::compact::Writer;
use super::json::Walk;
use super::key_table::KeyTable;
use super::promote::{self, TypeMismatch};
use super::promoted::{Promoted, TableOptionsError};
use super::{Dataset, PrivacyFilter};

/// Column with the metadata as JSON text, in addition to the map.
pub(super) const METADATA_JSON: &str = "metadata_json";
/// Columns in the names of folders.
const FOLDERS: [&str; 3] = ["bot", "date", "month"];

/// How metadata is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetadataMode {
    /// As a map of strings.
    #[default]
    Map,
    /// As the JSON text of the object.
    Json,
    /// As a map, and as JSON text in another column.
    Both,
}

/// Options of a table's columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableOptions {
    /// How metadata is stored.
    #[serde(default)]
    pub metadata: MetadataMode,
    /// Metadata keys with columns of their own, in the order of the columns.
    #[serde(default)]
    pub promote: Vec<Promoted>,
}

impl Dataset {
    /// Returns the index of the metadata column.
    pub fn metadata_column(self) -> Option<usize> {
        let mut columns = self.columns().iter();
        columns.position(|column| column.kind == Kind::TextMap)
    }
}

impl TableOptions {
    /// Returns these options with the requested changes. The same columns in another order are no change.
    #[must_use]
    pub fn with(&self, metadata: Option<MetadataMode>, promote: Option<&[Promoted]>) -> Self {
        let is_other = |asked: &&[Promoted]| {
            let lacks = |some: &[Promoted], all: &[Promoted]| all.iter().any(|column| !some.contains(column));
            asked.len() != self.promote.len() || lacks(asked, &self.promote) || lacks(&self.promote, asked)
        };
        let promote = promote.filter(is_other).unwrap_or(&self.promote);
        Self {
            metadata: metadata.unwrap_or(self.metadata),
            promote: promote.to_vec(),
        }
    }

    /// Checks that the names of all columns are distinct.
    ///
    /// # Errors
    /// The first promoted column with a name that exists already.
    pub fn check(&self) -> Result<(), TableOptionsError> {
        let declared = Dataset::ALL
            .into_iter()
            .filter(|dataset| dataset.metadata_column().is_some());
        let declared = declared.flat_map(|dataset| dataset.columns().iter().map(|column| column.name));
        let mut names: BTreeSet<String> = declared
            .chain([EXTRA, METADATA_JSON])
            .chain(FOLDERS)
            .map(str::to_owned)
            .collect();
        // engines do not distinguish `Plan` and `plan`
        let twice = |column: &&Promoted| !names.insert(column.name.to_ascii_lowercase());
        match self.promote.iter().find(twice) {
            None => Ok(()),
            Some(column) => Err(TableOptionsError {
                what: format!(
                    "cannot promote {column}: there is a column {} already",
                    column.name
                ),
                hint: format!(
                    "give it another name: '{}:{}=NAME'",
                    column.key,
                    column.r#type.name()
                ),
            }),
        }
    }

    /// Returns the schema of the files and record batches of a dataset.
    pub fn schema(&self, dataset: Dataset) -> SchemaRef {
        let Some(metadata) = dataset.metadata_column().filter(|_| *self != Self::default()) else {
            return dataset.schema();
        };
        let mut fields: Vec<Field> = dataset
            .schema()
            .fields()
            .iter()
            .map(|field| field.as_ref().clone())
            .collect();
        match self.metadata {
            MetadataMode::Map => {}
            MetadataMode::Json => fields[metadata] = json_field(fields[metadata].name()),
            MetadataMode::Both => fields.push(json_field(METADATA_JSON)),
        }
        fields.extend(self.promote.iter().map(Promoted::field));
        Arc::new(Schema::new(fields))
    }

    /// Returns the promoted columns of a dataset.
    pub fn promoted(&self, dataset: Dataset) -> &[Promoted] {
        match dataset.metadata_column() {
            Some(_) => &self.promote,
            None => &[],
        }
    }

    /// Returns the column with the metadata as JSON text.
    pub fn metadata_text(&self, dataset: Dataset) -> Option<&'static str> {
        let metadata = dataset.columns()[dataset.metadata_column()?].name;
        match self.metadata {
            MetadataMode::Map => None,
            MetadataMode::Json => Some(metadata),
            MetadataMode::Both => Some(METADATA_JSON),
        }
    }

    /// Returns the source of a column that is not declared; `None` for `extra`.
    pub fn source(&self, dataset: Dataset, name: &str) -> Option<String> {
        let metadata = dataset.columns()[dataset.metadata_column()?].field;
        if name == METADATA_JSON {
            return Some(metadata.to_owned());
        }
        let column = self.promoted(dataset).iter().find(|column| column.name == name)?;
        Some(format!("{metadata}.{}", column.key))
    }

    /// Returns the index of the first promoted column.
    fn promoted_from(&self, dataset: Dataset) -> usize {
        dataset.columns().len() + 1 + usize::from(self.metadata == MetadataMode::Both)
    }

    /// Adds promoted columns to a batch. Returns the mismatches, too.
    pub(super) fn complete(
        &self,
        dataset: Dataset,
        mut columns: Vec<ArrayRef>,
    ) -> (RecordBatch, Vec<TypeMismatch>) {
        let mut mismatches = Vec::new();
        if let Some(metadata) = dataset.metadata_column().filter(|_| !self.promote.is_empty()) {
            let (promoted, unfit) = promote::columns(&columns[metadata], &self.promote);
            columns.extend(promoted);
            mismatches = unfit;
        }
        #[expect(
            clippy::expect_used,
            reason = "schema and arrays are made from the same columns"
        )]
        let batch = RecordBatch::try_new(self.schema(dataset), columns)
            .expect("arrays of the schema's types and one length");
        (batch, mismatches)
    }

    /// Whether rows with other options contain everything that these options need.
    pub fn can_be_made_from(&self, other: &Self) -> bool {
        self.metadata == other.metadata || other.metadata != MetadataMode::Map
    }

    /// Converts rows with other options, and applies `privacy_filter`. Returns the mismatches, too. `None` if the
    /// rows do not contain everything that these options need: a map does not distinguish `5` and `"5"`.
    pub fn of(
        &self,
        other: &Self,
        privacy_filter: &PrivacyFilter,
        dataset: Dataset,
        batch: &RecordBatch,
    ) -> Option<(RecordBatch, Vec<TypeMismatch>)> {
        if self == other && privacy_filter.is_empty() {
            return Some((batch.clone(), Vec::new()));
        }
        let Some(metadata) = dataset.metadata_column() else {
            let columns = privacy_filter.apply(dataset, batch.columns().to_vec());
            return Some(self.complete(dataset, columns));
        };
        if !self.can_be_made_from(other) {
            return None;
        }
        let mut columns = batch.columns().get(..other.promoted_from(dataset))?.to_vec();
        let json = match other.metadata {
            MetadataMode::Map => None,
            MetadataMode::Json => Some(columns[metadata].clone()),
            MetadataMode::Both => columns.pop(),
        };
        match self.metadata {
            MetadataMode::Map => columns[metadata] = Arc::new(metadata_map(&columns[metadata])?),
            MetadataMode::Json => columns[metadata] = json?,
            MetadataMode::Both => {
                columns[metadata] = Arc::new(metadata_map(&columns[metadata])?);
                columns.push(json?);
            }
        }
        Some(self.complete(dataset, privacy_filter.apply(dataset, columns)))
    }
}

/// Returns metadata as maps, from maps or from JSON text; `None` for other types.
pub(crate) fn metadata_map(metadata: &ArrayRef) -> Option<MapArray> {
    match metadata.data_type() {
        DataType::Map(..) => metadata.as_map_opt().cloned(),
        DataType::Utf8 => metadata.as_string_opt::<i32>().map(map_of_json),
        _ => None,
    }
}

fn map_of_json(texts: &StringArray) -> MapArray {
    let (mut maps, mut writer) = (Maps::default(), Writer::default());
    let (mut names, mut entries) = (KeyTable::default(), Vec::new());
    for text in texts {
        let Some(text) = text else {
            maps.push_null();
            continue;
        };
        names.object(&mut Walk::new(text), &mut entries);
        maps.push(&entries, &names, &mut writer);
    }
    maps.finish()
}

impl MetadataMode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Map, Self::Json, Self::Both];

    /// Returns its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Json => "json",
            Self::Both => "both",
        }
    }
}

impl fmt::Display for MetadataMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for MetadataMode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == name);
        found.ok_or_else(|| format!("expected one of: {}", Self::ALL.map(Self::name).join(", ")))
    }
}

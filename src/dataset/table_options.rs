//! The form of a table's columns, beyond what is declared: how metadata stands in them, and which keys have columns
//! of their own.
//!
//! Declared columns keep their places. Behind `extra` comes `metadata_json`, where there is one, and last come promoted
//! columns. Of a dataset without metadata there is only one form.

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

/// The column that holds metadata as JSON text beside the map.
pub(super) const METADATA_JSON: &str = "metadata_json";
/// Columns that stand in the names of folders.
const FOLDERS: [&str; 3] = ["bot", "date", "month"];

/// How metadata stands in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetadataMode {
    /// As a map of text to text.
    #[default]
    Map,
    /// As the JSON text of the object.
    Json,
    /// As a map, and as JSON text in a column of its own.
    Both,
}

/// The form of a table's columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableOptions {
    /// How metadata stands in it.
    #[serde(default)]
    pub metadata: MetadataMode,
    /// The metadata keys that have columns of their own, in the columns' order.
    #[serde(default)]
    pub promote: Vec<Promoted>,
}

impl Dataset {
    /// The index of the column that holds an object with keys of all kinds.
    pub fn metadata_column(self) -> Option<usize> {
        let mut columns = self.columns().iter();
        columns.position(|column| column.kind == Kind::TextMap)
    }
}

impl TableOptions {
    /// This form but for what is asked for otherwise. The same columns in another order are no others.
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

    /// Whether each column has a name of its own.
    ///
    /// # Errors
    /// The first promoted column that has none.
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
        // engines take `Plan` and `plan` for one
        let twice = |column: &&Promoted| !names.insert(column.name.to_ascii_lowercase());
        match self.promote.iter().find(twice) {
            None => Ok(()),
            Some(column) => Err(TableOptionsError {
                what: format!(
                    "--promote {column} would be a second column called {}",
                    column.name
                ),
                hint: format!(
                    "give it another name: --promote '{}:{}=NAME'",
                    column.key,
                    column.r#type.name()
                ),
            }),
        }
    }

    /// The schema of every file and every record batch of a dataset.
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

    /// The promoted columns of a dataset.
    pub fn promoted(&self, dataset: Dataset) -> &[Promoted] {
        match dataset.metadata_column() {
            Some(_) => &self.promote,
            None => &[],
        }
    }

    /// The column that holds metadata as JSON text.
    pub fn metadata_text(&self, dataset: Dataset) -> Option<&'static str> {
        let metadata = dataset.columns()[dataset.metadata_column()?].name;
        match self.metadata {
            MetadataMode::Map => None,
            MetadataMode::Json => Some(metadata),
            MetadataMode::Both => Some(METADATA_JSON),
        }
    }

    /// What a column that is not declared is made of; `None` for `extra`.
    pub fn source(&self, dataset: Dataset, name: &str) -> Option<String> {
        let metadata = dataset.columns()[dataset.metadata_column()?].field;
        if name == METADATA_JSON {
            return Some(metadata.to_owned());
        }
        let column = self.promoted(dataset).iter().find(|column| column.name == name)?;
        Some(format!("{metadata}.{}", column.key))
    }

    /// Where promoted columns begin.
    fn promoted_from(&self, dataset: Dataset) -> usize {
        dataset.columns().len() + 1 + usize::from(self.metadata == MetadataMode::Both)
    }

    /// A batch of these columns, promoted ones to be added; and what did not fit them.
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

    /// Whether rows of another form hold all that this one has.
    pub fn can_be_made_from(&self, other: &Self) -> bool {
        self.metadata == other.metadata || other.metadata != MetadataMode::Map
    }

    /// Rows of another form in this one, without what `privacy_filter` takes out, and what of them did not fit promoted columns. `None` where these rows do not
    /// hold all that this form has: a map does not tell `5` from `"5"`.
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

/// Metadata as maps, whether it stands as maps or as JSON text; `None` where it is neither.
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
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Map, Self::Json, Self::Both];

    /// Its name on the command line.
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

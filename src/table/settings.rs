//! The settings of a table. The first run fixes them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Zone;
use super::partition_date::PartitionBy;
use super::zone_rules::ZoneRules;
use crate::dataset::{PrivacyRules, Promoted, TableOptions};
use crate::error::{Error, Result};
use crate::store;

/// Version of the file format that this program writes.
pub const SCHEMA_VERSION: u32 = 1;
pub(super) const FILE: &str = "table.json";
/// Time zone of a new table.
pub const DEFAULT_TIMEZONE: &str = "UTC";

/// The settings of a table, stored in `_export/table.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Version of the columns and their values.
    pub schema_version: u32,
    /// Base URL of the API, without a trailing slash.
    pub base_url: String,
    /// IANA name of the time zone of the partitions' dates.
    pub timezone: String,
    /// Rules of that time zone; `None` for UTC, and in tables of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone_rules: Option<ZoneRules>,
    /// Whether a partition is a day or a month.
    #[serde(default)]
    pub partition_by: PartitionBy,
    /// Options of its columns.
    #[serde(flatten)]
    pub table_options: TableOptions,
    /// Maximum size of row groups.
    #[serde(default, skip_serializing_if = "RowGroups::is_default")]
    pub row_groups: RowGroups,
    /// Rules that drop, hash or mask values.
    #[serde(default, skip_serializing_if = "PrivacyRules::is_empty")]
    pub privacy: PrivacyRules,
}

/// Maximum size of row groups. The first limit that is reached ends a row group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowGroups {
    /// Number of rows.
    pub rows: usize,
    /// Bytes of values in a reader's memory, not in the file.
    pub bytes: usize,
}

impl Default for RowGroups {
    /// The vector size of DuckDB's scans, and at most as many bytes as a reader decodes quickly to find one row.
    fn default() -> Self {
        Self {
            rows: 122_880,
            bytes: 64 * 1024 * 1024,
        }
    }
}

impl RowGroups {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns these limits with the given changes.
    #[must_use]
    pub fn with(self, rows: Option<usize>, bytes: Option<usize>) -> Self {
        Self {
            rows: rows.unwrap_or(self.rows),
            bytes: bytes.unwrap_or(self.bytes),
        }
    }
}

impl Settings {
    /// Creates the default settings of a new table.
    #[must_use]
    pub fn new(base_url: &str, timezone: &str) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            base_url: base_url.to_owned(),
            timezone: timezone.to_owned(),
            timezone_rules: None,
            partition_by: PartitionBy::default(),
            table_options: TableOptions::default(),
            row_groups: RowGroups::default(),
            privacy: PrivacyRules::default(),
        }
    }

    /// Returns the time zone, with the table's own rules if it stores them.
    ///
    /// # Errors
    /// [`Error::Usage`] if this program does not know the time zone.
    pub fn zone(&self) -> Result<Zone> {
        let zone = match &self.timezone_rules {
            Some(rules) => Zone::with_rules(&self.timezone, rules),
            None => Zone::named(&self.timezone),
        };
        let zone = zone.map_err(|error| Error::Usage {
            what: format!("cannot use the time zone {}: {error}", self.timezone),
            hint: "give an IANA name such as Europe/Berlin or UTC".into(),
        })?;
        Ok(zone.by(self.partition_by))
    }

    /// Adds the current rules of the time zone, if there are none.
    ///
    /// # Errors
    /// As [`Settings::zone`].
    pub(crate) fn with_rules(mut self) -> Result<Self> {
        if self.timezone_rules.is_none() {
            self.timezone_rules = self.zone()?.rules();
        }
        Ok(self)
    }

    /// Loads the settings of the table whose own folder is `folder`; `None` if no run has saved any.
    ///
    /// # Errors
    /// If they cannot be read, or are from a newer version of this program.
    pub fn load(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let Some(content) = store::read_if_there(&path)? else {
            return Ok(None);
        };
        let settings: Self = serde_json::from_slice(&content).map_err(|error| Error::Damaged {
            path: path.clone(),
            what: error.to_string(),
        })?;
        if settings.schema_version > SCHEMA_VERSION {
            return Err(Error::Usage {
                what: format!(
                    "{} has schema version {}, this program knows {SCHEMA_VERSION}",
                    path.display(),
                    settings.schema_version
                ),
                hint: "update converse-export".into(),
            });
        }
        Ok(Some(settings))
    }

    /// Saves the settings.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).map_err(|error| Error::Internal(error.to_string()))?;
        store::write_atomically(&folder.join(FILE), &json)
    }

    /// Returns a sentence for each setting that differs from `asked`.
    #[must_use]
    pub fn differences(&self, asked: &Self) -> Vec<String> {
        let difference =
            |name: &str, is: &str, asked: &str| (is != asked).then(|| format!("{name} {is}, not {asked}"));
        [
            difference(
                "schema version",
                &self.schema_version.to_string(),
                &asked.schema_version.to_string(),
            ),
            difference("base URL", &self.base_url, &asked.base_url),
            difference("time zone", &self.timezone, &asked.timezone),
            difference(
                "metadata",
                self.table_options.metadata.name(),
                asked.table_options.metadata.name(),
            ),
            difference(
                "promoted columns",
                &Promoted::display_list(&self.table_options.promote),
                &Promoted::display_list(&asked.table_options.promote),
            ),
            difference(
                "rows per row group",
                &self.row_groups.rows.to_string(),
                &asked.row_groups.rows.to_string(),
            ),
            difference(
                "bytes per row group",
                &self.row_groups.bytes.to_string(),
                &asked.row_groups.bytes.to_string(),
            ),
            difference(
                "dropped keys",
                &PrivacyRules::display_list(&self.privacy.drop_keys),
                &PrivacyRules::display_list(&asked.privacy.drop_keys),
            ),
            difference(
                "hashed keys",
                &PrivacyRules::display_list(&self.privacy.hash_keys),
                &PrivacyRules::display_list(&asked.privacy.hash_keys),
            ),
            difference(
                "masked addresses",
                &self.privacy.mask_ip.to_string(),
                &asked.privacy.mask_ip.to_string(),
            ),
            difference("partitions", self.partition_by.name(), asked.partition_by.name()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

//! What every file of a table depends on, fixed by its first run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Zone;
use super::partition_date::PartitionBy;
use super::zone_rules::ZoneRules;
use crate::dataset::{PrivacyRules, Promoted, TableOptions};
use crate::error::{Error, Result};
use crate::store;

/// The form of files that this program writes.
pub const SCHEMA_VERSION: u32 = 1;
pub(super) const FILE: &str = "table.json";
/// The zone of the dates of a new table.
pub const DEFAULT_TIMEZONE: &str = "UTC";

/// The settings of a table, kept in `_export/table.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Version of the columns and of their values.
    pub schema_version: u32,
    /// The API that the records come from, without a slash at its end.
    pub base_url: String,
    /// The zone of the partitions' dates, by its IANA name.
    pub timezone: String,
    /// The rules of that zone; `None` for UTC, and where an earlier version did not keep them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone_rules: Option<ZoneRules>,
    /// Whether a partition is a day or a month.
    #[serde(default)]
    pub partition_by: PartitionBy,
    /// The form of its columns.
    #[serde(flatten)]
    pub table_options: TableOptions,
    /// How large row groups may become.
    #[serde(default, skip_serializing_if = "RowGroups::is_default")]
    pub row_groups: RowGroups,
    /// What is taken out of its rows.
    #[serde(default, skip_serializing_if = "PrivacyRules::is_empty")]
    pub privacy: PrivacyRules,
}

/// How large the row groups of files may become, whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowGroups {
    /// Rows at most.
    pub rows: usize,
    /// Bytes at most: of the rows' values in a reader's memory, not in the file.
    pub bytes: usize,
}

impl Default for RowGroups {
    /// What DuckDB scans at a time, and not more than is quickly gone through for one row of it.
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

    /// These, but for what is asked for otherwise.
    #[must_use]
    pub fn with(self, rows: Option<usize>, bytes: Option<usize>) -> Self {
        Self {
            rows: rows.unwrap_or(self.rows),
            bytes: bytes.unwrap_or(self.bytes),
        }
    }
}

impl Settings {
    /// Those of a new table; what is not given is as it is by default.
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

    /// The zone of the partitions, by the table's own rules where it has kept them.
    ///
    /// # Errors
    /// [`Error::Usage`] where the zone is not known to this program.
    pub fn zone(&self) -> Result<Zone> {
        let zone = match &self.timezone_rules {
            Some(rules) => Zone::with_rules(&self.timezone, rules),
            None => Zone::named(&self.timezone),
        };
        let zone = zone.map_err(|error| Error::Usage {
            what: format!("--timezone {} is not known: {error}", self.timezone),
            hint: "give an IANA name such as Europe/Berlin or UTC".into(),
        })?;
        Ok(zone.by(self.partition_by))
    }

    /// These settings with the present rules of the zone, where they have none.
    ///
    /// # Errors
    /// As [`Settings::zone`].
    pub(crate) fn with_rules(mut self) -> Result<Self> {
        if self.timezone_rules.is_none() {
            self.timezone_rules = self.zone()?.rules();
        }
        Ok(self)
    }

    /// The settings of the table whose own folder is `folder`; `None` where no run has fixed any.
    ///
    /// # Errors
    /// Where they cannot be read, or are from a newer version of this program.
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

    /// Fixes the settings.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).map_err(|error| Error::Internal(error.to_string()))?;
        store::write_atomically(&folder.join(FILE), &json)
    }

    /// A sentence for each setting that `asked` has otherwise.
    #[must_use]
    pub fn differences(&self, asked: &Self) -> Vec<String> {
        let told = |name: &str, is: &str, asked: &str| {
            (is != asked).then(|| format!("{name} is {is}, and {asked} was asked for"))
        };
        [
            told(
                "schema version",
                &self.schema_version.to_string(),
                &asked.schema_version.to_string(),
            ),
            told("--base-url", &self.base_url, &asked.base_url),
            told("--timezone", &self.timezone, &asked.timezone),
            told(
                "--metadata",
                self.table_options.metadata.name(),
                asked.table_options.metadata.name(),
            ),
            told(
                "--promote",
                &Promoted::told(&self.table_options.promote),
                &Promoted::told(&asked.table_options.promote),
            ),
            told(
                "--row-group-rows",
                &self.row_groups.rows.to_string(),
                &asked.row_groups.rows.to_string(),
            ),
            told(
                "--row-group-bytes",
                &self.row_groups.bytes.to_string(),
                &asked.row_groups.bytes.to_string(),
            ),
            told(
                "--drop-key",
                &PrivacyRules::told(&self.privacy.drop_keys),
                &PrivacyRules::told(&asked.privacy.drop_keys),
            ),
            told(
                "--hash-key",
                &PrivacyRules::told(&self.privacy.hash_keys),
                &PrivacyRules::told(&asked.privacy.hash_keys),
            ),
            told(
                "--mask-ip",
                &self.privacy.mask_ip.to_string(),
                &asked.privacy.mask_ip.to_string(),
            ),
            told(
                "--partition-by",
                self.partition_by.name(),
                asked.partition_by.name(),
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

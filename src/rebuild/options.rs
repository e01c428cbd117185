//! Options of a rebuild: changes of a table's settings.

use crate::dataset::{MetadataMode, PrivacyOptions, Promoted};
use crate::error::Result;
use crate::table::{PartitionBy, SCHEMA_VERSION, Settings};

/// Changes of a table's settings. `None` keeps a setting.
#[derive(Clone, Debug, Default)]
pub struct RebuildOptions {
    /// Base URL of the API, without a trailing slash. If nothing else changes, no file is written again.
    pub base_url: Option<String>,
    /// IANA time zone of the dates, with its current rules.
    pub timezone: Option<String>,
    /// Whether a partition is a day or a month.
    pub partition_by: Option<PartitionBy>,
    /// How metadata is stored.
    pub metadata: Option<MetadataMode>,
    /// All metadata keys with columns of their own.
    pub promote: Option<Vec<Promoted>>,
    /// Maximum rows of a row group.
    pub row_group_rows: Option<usize>,
    /// Maximum bytes of a row group in memory.
    pub row_group_bytes: Option<usize>,
    /// Privacy rules to add.
    pub privacy: PrivacyOptions,
}

impl RebuildOptions {
    pub(super) fn of(&self, settings: &Settings) -> Result<Settings> {
        let table_options = settings
            .table_options
            .with(self.metadata, self.promote.as_deref());
        table_options.check()?;
        let settings_with = Settings {
            schema_version: SCHEMA_VERSION,
            base_url: self.base_url.as_ref().unwrap_or(&settings.base_url).clone(),
            timezone: self.timezone.as_ref().unwrap_or(&settings.timezone).clone(),
            timezone_rules: match self.timezone {
                Some(_) => None,
                None => settings.timezone_rules.clone(),
            },
            partition_by: self.partition_by.unwrap_or(settings.partition_by),
            table_options,
            row_groups: settings
                .row_groups
                .with(self.row_group_rows, self.row_group_bytes),
            privacy: self.privacy.adding_to(&settings.privacy),
        };
        settings_with.with_rules()
    }

    /// Whether only the base URL changes.
    pub(crate) fn is_address_alone(&self) -> bool {
        let Self {
            base_url,
            timezone,
            partition_by,
            metadata,
            promote,
            row_group_rows,
            row_group_bytes,
            privacy,
        } = self;
        base_url.is_some()
            && timezone.is_none()
            && partition_by.is_none()
            && metadata.is_none()
            && promote.is_none()
            && row_group_rows.is_none()
            && row_group_bytes.is_none()
            && privacy.drop_keys.is_none()
            && privacy.hash_keys.is_none()
            && !privacy.mask_ip
    }
}

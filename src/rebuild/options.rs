//! What a rebuild changes in the settings of a table.

use crate::dataset::{MetadataMode, PrivacyOptions, Promoted};
use crate::error::Result;
use crate::table::{PartitionBy, SCHEMA_VERSION, Settings};

/// What shall be otherwise in the table; what is not given stays as it is.
#[derive(Clone, Debug, Default)]
pub struct RebuildOptions {
    /// The API's address, without a slash at its end. On its own it changes the setting, and no file is written again.
    pub base_url: Option<String>,
    /// IANA zone of the dates, with its present rules.
    pub timezone: Option<String>,
    /// Whether a partition is a day or a month.
    pub partition_by: Option<PartitionBy>,
    /// How metadata stands in it.
    pub metadata: Option<MetadataMode>,
    /// The metadata keys that have columns of their own, all of them.
    pub promote: Option<Vec<Promoted>>,
    /// Rows of a row group at most.
    pub row_group_rows: Option<usize>,
    /// Bytes of a row group in memory at most.
    pub row_group_bytes: Option<usize>,
    /// What shall be taken out of the rows, too.
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

    /// Whether nothing but the API's address is to change.
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

//! Parquet properties of a table's files: encodings, compression, order, labels.

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::partition::PartitionKey;
use super::settings::{RowGroups, SCHEMA_VERSION, Settings};
use crate::dataset::{Kind, Promoted, PromotedType, TableOptions};
use crate::error::{Error, Result};

/// Compression of dictionary-encoded columns. Level 3 takes 1.5 times as long and saves nothing.
const ZSTD_LEVEL: i32 = 1;
/// Compression of times, which are encoded plainly. It saves a tenth.
const TIMES_ZSTD_LEVEL: i32 = 3;
/// Compression of ids, which are encoded plainly and have similar beginnings. Low levels find repetitions that take
/// more space than they save. This level takes 13 % less space than level 1, and 1 µs per id, with pages of this
/// size; it saves less with larger pages.
const IDS_ZSTD_LEVEL: i32 = 14;
const IDS_PAGE_BYTES: usize = 64 * 1024;
/// Maximum size of a dictionary. Values of metadata repeat within a row group, and many do not fit into the default
/// of 1 MiB. This makes files a fifth smaller.
const DICTIONARY_BYTES: usize = 8 * 1024 * 1024;

/// Size of row groups in sorted runs. One row group of each run is in memory during a merge.
pub(super) const RUN_ROW_GROUPS: RowGroups = RowGroups {
    rows: 8192,
    bytes: 1024 * 1024,
};

/// Returns the properties of a sorted run, which is read once and removed.
pub(super) fn run_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_compression(zstd(ZSTD_LEVEL))
        .build()
}

/// Returns the properties of a partition's file. They must be the same in all runs that write the same rows.
///
/// # Errors
/// If the dataset has more columns than Parquet supports.
pub fn properties(key: &PartitionKey, settings: &Settings) -> Result<WriterProperties> {
    let (dataset, table_options) = (key.dataset, &settings.table_options);
    let column = |index: usize| i32::try_from(index).map_err(|error| Error::Internal(error.to_string()));
    let ascending = |column_idx| SortingColumn {
        column_idx,
        descending: false,
        nulls_first: true,
    };
    let sorting = vec![ascending(column(dataset.time_column())?), ascending(column(0)?)];
    let mut builder = WriterProperties::builder();
    for column in dataset.columns() {
        let path = ColumnPath::from(column.name);
        // readers keep page bounds in memory, so only short columns that are used in filters have them
        if !matches!(column.kind, Kind::Text | Kind::TextList | Kind::TextMap) {
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::Page);
        }
        builder = match column.kind {
            // ids are distinct, so a dictionary only adds size; some readers support no other encoding of text
            Kind::Id => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::PLAIN)
                .set_column_compression(path.clone(), zstd(IDS_ZSTD_LEVEL))
                .set_column_data_page_size_limit(path.clone(), IDS_PAGE_BYTES)
                .set_column_bloom_filter_enabled(path, true),
            Kind::Reference => builder.set_column_bloom_filter_enabled(path, true),
            Kind::Time => times(builder, path),
            // indices of a small dictionary, which zstd hardly compresses: readers are faster without compression,
            // and if a page contains a complete row group
            Kind::Label | Kind::StrictLabel => builder
                .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
                .set_column_data_page_row_count_limit(path, RowGroups::default().rows),
            Kind::Text | Kind::TextList | Kind::TextMap => builder,
        };
    }
    if let Some(metadata) = table_options.metadata_text(dataset) {
        // most values are distinct
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(metadata), false);
    }
    for column in table_options.promoted(dataset) {
        let path = ColumnPath::from(column.name.as_str());
        if !matches!(column.r#type, PromotedType::String | PromotedType::Json) {
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::Page);
        }
        if column.r#type == PromotedType::Timestamp {
            builder = times(builder, path);
        }
    }
    let told = labels(key, table_options)
        .into_iter()
        .map(|(name, value)| KeyValue::new(name, value));
    Ok(builder
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        // Bloom filters are allocated for this number of values, and are reduced to the actual number at the end
        .set_max_row_group_row_count(Some(settings.row_groups.rows.max(1)))
        .set_created_by(concat!("converse-export version ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(zstd(ZSTD_LEVEL))
        .set_sorting_columns(Some(sorting))
        .set_key_value_metadata(Some(told.collect()))
        .build())
}

/// Encodes times plainly: fastparquet misreads delta-encoded times without an error.
fn times(builder: WriterPropertiesBuilder, path: ColumnPath) -> WriterPropertiesBuilder {
    builder
        .set_column_dictionary_enabled(path.clone(), false)
        .set_column_compression(path, zstd(TIMES_ZSTD_LEVEL))
}

fn zstd(level: i32) -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default())
}

/// Returns the key-value metadata of a file.
pub(super) fn labels(key: &PartitionKey, table_options: &TableOptions) -> Vec<(String, String)> {
    let dataset = key.dataset;
    let time = dataset.columns()[dataset.time_column()].name;
    let mut labels = vec![
        ("dataset", dataset.name().into()),
        ("bot", key.bot.clone()),
        ("schema_version", SCHEMA_VERSION.to_string()),
        ("sorted_by", format!("{time}, id")),
    ];
    if table_options.metadata_text(dataset).is_some() {
        labels.push(("metadata", table_options.metadata.to_string()));
    }
    if let promoted @ [_, ..] = table_options.promoted(dataset) {
        labels.push(("promoted", Promoted::display_list(promoted)));
    }
    let named = |(name, value)| (format!("converse_export.{name}"), value);
    labels.into_iter().map(named).collect()
}

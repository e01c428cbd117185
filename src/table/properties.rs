//! How the files of a table are written: encodings, compression, order, labels.

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::partition::PartitionKey;
use super::settings::{RowGroups, SCHEMA_VERSION, Settings};
use crate::dataset::{Kind, Promoted, PromotedType, TableOptions};
use crate::error::{Error, Result};

/// Behind dictionaries, level 3 takes half as long again and saves nothing.
const ZSTD_LEVEL: i32 = 1;
/// Of times, which are written plainly, it saves a tenth.
const TIMES_ZSTD_LEVEL: i32 = 3;
/// Of ids, which are written plainly and begin much alike, low levels find repeats that cost more to describe than they
/// save: this one takes 13 % less space than level 1, and 1 µs an id, with pages of this size; less with larger ones.
const IDS_ZSTD_LEVEL: i32 = 14;
const IDS_PAGE_BYTES: usize = 64 * 1024;
/// A dictionary may grow so large before a column goes on without one. Values of metadata repeat within a row
/// group, and many are longer than the usual limit of 1 MiB lets in: files become a fifth smaller.
const DICTIONARY_BYTES: usize = 8 * 1024 * 1024;

/// Row groups of a sorted run: what is in memory of it while runs are merged.
pub(super) const RUN_ROW_GROUPS: RowGroups = RowGroups {
    rows: 8192,
    bytes: 1024 * 1024,
};

/// How a sorted run is written, which is read once and removed.
pub(super) fn run_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_compression(zstd(ZSTD_LEVEL))
        .build()
}

/// How the file of a partition is written: encodings, compression, order, labels. Nothing in here may differ between
/// two runs that bring the same rows.
///
/// # Errors
/// Where the dataset has more columns than Parquet can count.
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
        // bounds of pages, which readers keep in memory, are for what is short and looked for
        if !matches!(column.kind, Kind::Text | Kind::TextList | Kind::TextMap) {
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::Page);
        }
        builder = match column.kind {
            // none comes twice, so a dictionary would only cost; some readers know no other encoding for text than this one
            Kind::Id => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::PLAIN)
                .set_column_compression(path.clone(), zstd(IDS_ZSTD_LEVEL))
                .set_column_data_page_size_limit(path.clone(), IDS_PAGE_BYTES)
                .set_column_bloom_filter_enabled(path, true),
            Kind::Reference => builder.set_column_bloom_filter_enabled(path, true),
            Kind::Time => times(builder, path),
            // numbers of a small dictionary, which zstd makes little smaller: readers go through them at a stroke where it
            // is left out, and where a page holds all of a row group
            Kind::Label | Kind::StrictLabel => builder
                .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
                .set_column_data_page_row_count_limit(path, RowGroups::default().rows),
            Kind::Text | Kind::TextList | Kind::TextMap => builder,
        };
    }
    if let Some(metadata) = table_options.metadata_text(dataset) {
        // hardly one comes twice
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
        // Bloom filters begin with room for so many values, and end with that for those they have
        .set_max_row_group_row_count(Some(settings.row_groups.rows.max(1)))
        .set_created_by(concat!("converse-export version ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(zstd(ZSTD_LEVEL))
        .set_sorting_columns(Some(sorting))
        .set_key_value_metadata(Some(told.collect()))
        .build())
}

/// How times are written: plainly, since fastparquet takes the differences between them for others, without an error.
fn times(builder: WriterPropertiesBuilder, path: ColumnPath) -> WriterPropertiesBuilder {
    builder
        .set_column_dictionary_enabled(path.clone(), false)
        .set_column_compression(path, zstd(TIMES_ZSTD_LEVEL))
}

fn zstd(level: i32) -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default())
}

/// What a file says of itself beside its rows.
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
        labels.push(("promoted", Promoted::told(promoted)));
    }
    let named = |(name, value)| (format!("converse_export.{name}"), value);
    labels.into_iter().map(named).collect()
}

//! Parsers of days and of values from a fixed list.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use jiff::civil::Date;

use crate::dataset::Dataset;
use crate::table::PartitionBy;

/// Parses a day.
pub(in crate::cli) fn day(text: &str) -> Result<Date, String> {
    text.trim().parse().map_err(|_| "give a day as YYYY-MM-DD".into())
}

/// Parser of a dataset's name.
pub(in crate::cli) fn dataset() -> impl TypedValueParser<Value = Dataset> {
    PossibleValuesParser::new(Dataset::ALL.map(Dataset::name)).try_map(|name| name.parse::<Dataset>())
}

/// Parser of the unit of partitions.
pub(in crate::cli) fn partition_by() -> impl TypedValueParser<Value = PartitionBy> {
    PossibleValuesParser::new(PartitionBy::ALL.map(PartitionBy::name))
        .try_map(|name| name.parse::<PartitionBy>())
}

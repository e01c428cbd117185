//! Values that are one of a few, so that what was meant can be guessed.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use jiff::civil::Date;

use crate::dataset::Dataset;
use crate::table::PartitionBy;

/// A day.
pub(in crate::cli) fn day(text: &str) -> Result<Date, String> {
    text.trim().parse().map_err(|_| "give a day as YYYY-MM-DD".into())
}

/// A dataset by its name.
pub(in crate::cli) fn dataset() -> impl TypedValueParser<Value = Dataset> {
    PossibleValuesParser::new(Dataset::ALL.map(Dataset::name)).try_map(|name| name.parse::<Dataset>())
}

/// What a partition is, by its name.
pub(in crate::cli) fn partition_by() -> impl TypedValueParser<Value = PartitionBy> {
    PossibleValuesParser::new(PartitionBy::ALL.map(PartitionBy::name))
        .try_map(|name| name.parse::<PartitionBy>())
}

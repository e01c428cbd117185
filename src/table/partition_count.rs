//! Counts of days or months.

use std::ops::AddAssign;

use serde::Serialize;

use super::PartitionBy;

/// A number of partition dates, in JSON as `days` or as `months`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionCount {
    /// A number of days.
    Days(u64),
    /// A number of months.
    Months(u64),
}

impl PartitionCount {
    /// Creates a count.
    #[must_use]
    pub fn new(by: PartitionBy, count: u64) -> Self {
        match by {
            PartitionBy::Day => Self::Days(count),
            PartitionBy::Month => Self::Months(count),
        }
    }

    /// Returns the number.
    #[must_use]
    pub fn count(&self) -> u64 {
        let (Self::Days(count) | Self::Months(count)) = self;
        *count
    }

    /// Returns the unit.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Days(_) => "days",
            Self::Months(_) => "months",
        }
    }
}

impl Default for PartitionCount {
    fn default() -> Self {
        Self::new(PartitionBy::default(), 0)
    }
}

impl AddAssign<u64> for PartitionCount {
    fn add_assign(&mut self, more: u64) {
        let (Self::Days(count) | Self::Months(count)) = self;
        *count += more;
    }
}

//! One page of a stream.

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use bytes::Bytes;

use crate::dataset::{Dataset, Decoded, Rejected, TableOptions, TypeMismatch, decode_as};
use crate::error::{Error, Result};

/// One page as the API sent it, and which of its records are new.
#[derive(Clone, Debug)]
pub struct Page {
    pub(super) dataset: Dataset,
    pub(super) body: Bytes,
    /// For each record of the body, in order, whether it belongs to this page.
    pub(super) kept: Vec<bool>,
}

impl Page {
    /// The dataset.
    #[must_use]
    pub fn dataset(&self) -> Dataset {
        self.dataset
    }

    /// The number of its records, those that cannot become rows included.
    #[must_use]
    pub fn records(&self) -> usize {
        self.kept.iter().filter(|kept| **kept).count()
    }

    /// The body of the response, decompressed. It can contain records that an earlier page has, or that lie outside
    /// the range.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Decodes the records. The batch has exactly the schema of [`TableOptions::schema`]; records that cannot become rows
    /// are in [`Decoded::rejected`]. This takes about 5 microseconds per record.
    ///
    /// # Errors
    /// [`Error::Usage`] if the options contradict each other.
    pub fn decode(&self, options: &TableOptions) -> Result<Decoded> {
        options.check()?;
        let decoded = decode_as(self.dataset, options, None, &self.body);
        let mut decoded =
            decoded.map_err(|error| Error::Internal(format!("cannot decode a page: {error}")))?;
        if self.kept.iter().all(|kept| *kept) {
            return Ok(decoded);
        }
        let is_retained = |record: usize| self.kept.get(record).copied().unwrap_or(false);
        let mut rejected = decoded.rejected.iter().map(|rejected| rejected.index).peekable();
        // rows are the records that were not rejected, in order
        let rows: Vec<bool> = (0..self.kept.len())
            .filter(|record| rejected.next_if_eq(record).is_none())
            .map(is_retained)
            .collect();
        decoded
            .mismatches
            .retain(|mismatch: &TypeMismatch| rows[mismatch.row]);
        let places: Vec<usize> = rows
            .iter()
            .scan(0, |next, kept| {
                Some(std::mem::replace(next, *next + usize::from(*kept)))
            })
            .collect();
        for mismatch in &mut decoded.mismatches {
            mismatch.row = places[mismatch.row];
        }
        decoded
            .rejected
            .retain(|rejected: &Rejected| is_retained(rejected.index));
        decoded.batch = filter_record_batch(&decoded.batch, &BooleanArray::from(rows))?;
        Ok(decoded)
    }
}

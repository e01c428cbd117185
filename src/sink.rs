//! Copies a table into another system, partition by partition, only what has changed.

use arrow::array::RecordBatchReader;

use crate::changes::{self, ChangedPartition, RemovedPartition};
use crate::error::{Error, Result, SinkError};
use crate::table::{Partition, PartitionKey, Table};

/// Another system that receives the partitions of a table: see [`Table::deliver`].
pub trait Sink {
    /// Removes all partitions. It is called first if the sink is to receive the whole table.
    ///
    /// # Errors
    /// If the sink fails. The delivery ends, and the next one repeats it.
    fn clear(&mut self) -> Result<(), SinkError>;

    /// Replaces all rows of a partition. The rows are distinct by id and sorted by time, then id; their columns are those of
    /// [`Scan::schema`](crate::Scan::schema).
    ///
    /// # Errors
    /// As [`Sink::clear`].
    fn replace(&mut self, partition: &Partition, rows: &mut dyn RecordBatchReader) -> Result<(), SinkError>;

    /// Removes a partition.
    ///
    /// # Errors
    /// As [`Sink::clear`].
    fn remove(&mut self, key: &PartitionKey) -> Result<(), SinkError>;
}

impl Table {
    /// Gives a sink each partition that was changed or removed after a delivery. `delivered` is the number that the last
    /// delivery returned, or 0. The sink gets the whole table then, and also if the changes since are no longer listed (they
    /// are for 1,000 runs). Returns the number for the next delivery; store it together with the rows.
    ///
    /// A partition may be delivered twice, but no change is missed: if a run replaces it during the delivery, the sink gets
    /// one of both versions now and the later one with the next delivery.
    ///
    /// # Errors
    /// If the table cannot be read, or the sink fails ([`Error::Sink`]).
    pub fn deliver(&self, delivered: u64, sink: &mut dyn Sink) -> Result<u64> {
        let lists = changes::since(self, delivered)?;
        let last = lists.newest;
        let Some(lists) = lists.lists.filter(|_| delivered > 0) else {
            sink.clear().map_err(Error::Sink)?;
            for partition in self.partitions()? {
                self.deliver_partition(&partition.key, sink)?;
            }
            return Ok(last);
        };
        let mut keys = Vec::new();
        for list in &lists {
            keys.extend(list.partitions.iter().map(ChangedPartition::key));
            keys.extend(list.removed.iter().map(RemovedPartition::key));
        }
        let mut keys = keys.into_iter().collect::<Result<Vec<_>>>()?;
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            self.deliver_partition(&key, sink)?;
        }
        Ok(last)
    }

    fn deliver_partition(&self, key: &PartitionKey, sink: &mut dyn Sink) -> Result<()> {
        let Some(entry) = self.entry(key)? else {
            return sink.remove(key).map_err(Error::Sink);
        };
        let mut rows = self.scan(key.dataset).partition_reader(key, &entry)?;
        let partition = Partition::new(key.clone(), entry);
        sink.replace(&partition, &mut rows).map_err(Error::Sink)
    }
}

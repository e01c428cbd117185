//! Disks that are full while a file is written: the reason is the system's, wherever in the file that is.

use jiff::civil::date;

use super::*;
use crate::dataset::{Dataset, decode};
use crate::table::{PartitionBy, PartitionDate, RowGroups};

/// A disk with so many bytes left.
#[derive(Debug)]
struct Disk(usize, i32);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 && !bytes.is_empty() {
            return Err(io::Error::from_raw_os_error(self.1));
        }
        let written = bytes.len().min(self.0);
        self.0 -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_is_full_at_any_byte_is_the_reason_of_the_error() {
    let key = PartitionKey {
        dataset: Dataset::Messages,
        bot: "r3".into(),
        date: PartitionDate::of(PartitionBy::Day, date(2023, 10, 1)),
    };
    let record =
        |id: u32| format!(r#"{{"_id":"m{id}","time":1696118400,"conversationId":"c{id}","type":"t"}}"#);
    let records: Vec<String> = (0..300).map(record).collect();
    let page = format!(r#"{{"data":[{}],"cursor":null}}"#, records.join(","));
    let batch = [decode(Dataset::Messages, page.as_bytes()).unwrap().batch];
    let rows: Vec<RowRef> = (0..300).map(|row| RowRef { batch: 0, row }).collect();
    let mut settings = Settings::new("https://api.example.com", "UTC");
    settings.row_groups = RowGroups {
        rows: 100,
        ..RowGroups::default()
    };
    let write = |left: usize, error: i32| -> Result<Written> {
        let mut writer = Writer::new(Disk(left, error), Path::new("part.parquet"), &key, &settings)?;
        writer.rows(&batch, &rows)?;
        writer.finish()
    };
    let bytes = usize::try_from(write(usize::MAX, 0).unwrap().bytes).unwrap();
    for (number, kind) in [
        (rustix::io::Errno::NOSPC, io::ErrorKind::StorageFull),
        (rustix::io::Errno::DQUOT, io::ErrorKind::QuotaExceeded),
        (rustix::io::Errno::FBIG, io::ErrorKind::FileTooLarge),
    ] {
        for left in (0..bytes).step_by(7) {
            let error = write(left, number.raw_os_error()).unwrap_err();
            let Error::Io { source, .. } = &error else {
                panic!("full after {left} of {bytes} bytes: {}", error.with_causes());
            };
            assert_eq!(source.kind(), kind);
            assert!(
                error.hint().contains("run the same command again"),
                "{}",
                error.hint()
            );
        }
    }
    write(bytes, 0).unwrap();
}

//! Keys and folders of partitions.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::partition_date::PartitionDate;
use crate::dataset::Dataset;

/// Characters of a bot's name that are not percent-encoded in paths.
const PATH_SAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Returns the folder name of a bot: `bot=<bot>`.
#[must_use]
pub fn bot_folder(bot: &str) -> String {
    format!("bot={}", utf8_percent_encode(bot, PATH_SAFE))
}

/// Parses the folder name of a bot.
pub(crate) fn bot_of(folder: &str) -> Option<String> {
    let bot = percent_decode_str(folder.strip_prefix("bot=")?)
        .decode_utf8()
        .ok()?;
    (bot_folder(&bot) == folder).then(|| bot.into_owned())
}

/// One partition of the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionKey {
    /// The dataset.
    pub dataset: Dataset,
    /// The bot, not encoded.
    pub bot: String,
    /// The day or month in the table's zone.
    #[serde(rename = "period", alias = "day")]
    pub date: PartitionDate,
}

impl PartitionKey {
    /// Returns the folder, relative to the table's folder: for example `messages/bot=r3-218210/date=2023-10-01`.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        Path::new(self.dataset.name())
            .join(bot_folder(&self.bot))
            .join(format!("{}={}", self.date.by().key(), self.date))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bots_name_is_encoded_where_a_path_needs_it() {
        assert_eq!(bot_folder("r3-218210"), "bot=r3-218210");
        assert_eq!(bot_folder("a/b=c ü%"), "bot=a%2Fb%3Dc%20%C3%BC%25");
        assert_eq!(bot_folder(".."), "bot=..");
    }
}

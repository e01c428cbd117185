//! Suggests a known word for a mistyped one.

/// Minimum similarity of a suggestion, from 0 to 1; the same as clap's.
const MIN_SIMILARITY: f64 = 0.8;

/// Returns the known word that is most similar to the given one.
pub(super) fn closest<'a>(given: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let similarity = |word: &str| strsim::jaro_winkler(&given.to_lowercase(), &word.to_lowercase());
    words
        .into_iter()
        .map(|word| (similarity(word), word))
        .filter(|(similarity, _)| *similarity > MIN_SIMILARITY)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_word_is_suggested() {
        let words = ["bot", "out", "requests-per-second", "retry-for"];
        for (given, suggested) in [
            ("bots", Some("bot")),
            ("requests_per_second", Some("requests-per-second")),
            ("retry-fro", Some("retry-for")),
            ("OUT", Some("out")),
            ("colour", None),
        ] {
            assert_eq!(closest(given, words), suggested, "{given}");
        }
    }
}

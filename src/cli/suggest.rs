//! What was meant by a word that is none.

/// So alike two words must be, from 0 to 1; as alike as clap wants its suggestions to be.
const ALIKE: f64 = 0.8;

/// The word that is most like the one that was given.
pub(super) fn closest<'a>(given: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |word: &str| strsim::jaro_winkler(&given.to_lowercase(), &word.to_lowercase());
    words
        .into_iter()
        .map(|word| (likeness(word), word))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_seen_through() {
        let words = ["bot", "out", "requests-per-second", "retry-for"];
        for (given, meant) in [
            ("bots", Some("bot")),
            ("requests_per_second", Some("requests-per-second")),
            ("retry-fro", Some("retry-for")),
            ("OUT", Some("out")),
            ("colour", None),
        ] {
            assert_eq!(closest(given, words), meant, "{given}");
        }
    }
}

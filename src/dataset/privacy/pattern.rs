//! Patterns of keys.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A key, or a path of keys with dots between them; `*` matches any characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// Error: the pattern is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give a key such as email, a path such as user.email, or either with * for any characters")]
pub struct PatternError;

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() || text.starts_with('.') || text.ends_with('.') {
            return Err(PatternError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    /// Whether it matches the key at the end of this path: by the key's name at any depth, or by as many keys as the
    /// pattern has.
    pub(super) fn meets(&self, path: &Path) -> bool {
        // compare only as many keys as the pattern has: the cost does not grow with the depth
        let keys = self.0.matches('.').count() + 1;
        let is_met = |ending: &str| glob(self.0.as_bytes(), ending.as_bytes());
        path.endings().take(keys).any(is_met) || path.parts().take(keys).any(is_met)
    }
}

/// Whether a text matches a pattern with `*`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // position of the last star, and how much of the text it matches
    let (mut pattern_at, mut text_at, mut star) = (0, 0, None);
    while text_at < text.len() {
        if pattern.get(pattern_at) == Some(&b'*') {
            star = Some((pattern_at + 1, text_at));
            pattern_at += 1;
        } else if pattern.get(pattern_at) == Some(&text[text_at]) {
            (pattern_at, text_at) = (pattern_at + 1, text_at + 1);
        } else if let Some((behind, taken)) = star {
            star = Some((behind, taken + 1));
            (pattern_at, text_at) = (behind, taken + 1);
        } else {
            return false;
        }
    }
    pattern[pattern_at..].iter().all(|rest| *rest == b'*')
}

/// The keys that lead to a value.
#[derive(Debug, Default)]
pub(super) struct Path {
    text: String,
    /// Where each key begins.
    begins: Vec<usize>,
}

impl Path {
    /// Appends a key. Returns the length that removes it again.
    pub(super) fn enter(&mut self, key: &str) -> usize {
        let before = self.text.len();
        if !self.begins.is_empty() {
            self.text.push('.');
        }
        self.begins.push(self.text.len());
        self.text.push_str(key);
        before
    }

    pub(super) fn leave(&mut self, before: usize) {
        self.text.truncate(before);
        self.begins.pop();
    }

    /// Splits the path at its dots, including those within keys.
    fn parts(&self) -> impl Iterator<Item = &str> {
        let dots = self.text.rmatch_indices('.').map(|(dot, _)| dot + 1);
        dots.filter_map(|begin| self.text.get(begin..))
    }

    /// Returns the last key, the last two with a dot, and so on up to the complete path.
    fn endings(&self) -> impl Iterator<Item = &str> {
        self.begins
            .iter()
            .rev()
            .filter_map(|begin| self.text.get(*begin..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn meets(pattern: &str, keys: &[&str]) -> bool {
        let mut path = Path::default();
        for key in keys {
            path.enter(key);
        }
        pattern.parse::<Pattern>().unwrap().meets(&path)
    }

    #[test]
    fn a_key_is_met_at_any_depth_and_a_path_where_it_ends() {
        for (pattern, keys) in [
            ("email", &["email"][..]),
            ("email", &["user", "email"]),
            ("user.email", &["user", "email"]),
            ("user.email", &["form", "user", "email"]),
            ("*email", &["user", "workEmail", "email"]),
            ("user*", &["userName"]),
            ("*mail*", &["e-mail address"]),
            ("user.*", &["user", "name"]),
            ("a.b", &["a.b"]),
            ("b", &["a.b"]),
            ("user.email", &["form.user", "email"]),
            ("*", &[""]),
            ("ключ*", &["ключи"]),
        ] {
            assert!(meets(pattern, keys), "{pattern} {keys:?}");
        }
        for (pattern, keys) in [
            ("email", &["Email"][..]),
            ("email", &["emails"]),
            ("email", &["email", "shown"]),
            ("user.email", &["email"]),
            ("user.email", &["superuser", "email"]),
            ("a*c", &["ab"]),
        ] {
            assert!(!meets(pattern, keys), "{pattern} {keys:?}");
        }
        for wrong in ["", ".", ".email", "user."] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*a".repeat(50) + "b";
        assert!(!glob(pattern.as_bytes(), "a".repeat(2000).as_bytes()));
    }

    #[test]
    fn leaving_a_key_leads_back() {
        let mut path = Path::default();
        path.enter("user");
        let inside = path.enter("email");
        path.leave(inside);
        assert_eq!(path.endings().collect::<Vec<_>>(), ["user"]);
    }
}

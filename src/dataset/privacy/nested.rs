//! Applies privacy rules within JSON text of any depth, without recursion.

use std::borrow::Cow;

use super::pattern::Path;
use super::{KeyAction, PrivacyFilter};
use crate::dataset::compact::{Writer, push_string, push_text};
use crate::dataset::json::{Value, Walk};
use crate::dataset::surrogates::{distinct_keys, has_lone};

/// An open list or object.
struct Level {
    bracket: u8,
    is_empty: bool,
    /// Length of the path without the key of this value.
    inside: Option<usize>,
}

impl PrivacyFilter {
    /// Returns the compact text of an object or a list with the rules applied; `None` if nothing is left.
    pub(super) fn nested(&self, path: &mut Path, text: &str) -> Option<String> {
        let distinct = has_lone(text).then(|| distinct_keys(text)).flatten();
        let text = distinct.as_deref().unwrap_or(text);
        let mut is_other = false;
        let mut out = String::with_capacity(text.len());
        let mut walk = Walk::new(text);
        let mut writer = Writer::default();
        let mut open: Vec<Level> = Vec::new();
        while let Some(byte) = walk.token() {
            if matches!(byte, b'}' | b']') {
                walk.step();
                out.push(char::from(byte));
                if let Some(inside) = open.pop().and_then(|level| level.inside) {
                    path.leave(inside);
                }
                continue;
            }
            let mut inside = None;
            let mut action = KeyAction::Stays;
            let is_first = open
                .last_mut()
                .is_none_or(|level| std::mem::take(&mut level.is_empty));
            let before = out.len();
            if !is_first {
                out.push(',');
            }
            if open.last().is_some_and(|level| level.bracket == b'{') {
                let key = walk.string();
                inside = Some(path.enter(&key.text()));
                action = self.action(path);
                push_string(key, &mut out);
                out.push(':');
            }
            match (action, walk.token()) {
                (KeyAction::Goes, _) => {
                    is_other = true;
                    walk.value();
                    out.truncate(before);
                    if let Some(level) = open.last_mut() {
                        level.is_empty = is_first;
                    }
                }
                (KeyAction::IsHashed, _) => {
                    let value = walk.value();
                    let mut text = String::new();
                    is_other |= value != Value::Null;
                    match writer.push(value, &mut text) {
                        true => push_text(&self.hash(&text), &mut out),
                        false => out.push_str("null"),
                    }
                }
                (KeyAction::Stays, Some(bracket @ (b'{' | b'['))) => {
                    walk.step();
                    out.push(char::from(bracket));
                    open.push(Level {
                        bracket,
                        is_empty: true,
                        inside: inside.take(),
                    });
                }
                (KeyAction::Stays, Some(b'"')) => {
                    if let Value::Text(text) = walk.value() {
                        let text = text.text();
                        let cleaned = self.text(path, &text);
                        is_other |= matches!(cleaned, Cow::Owned(_));
                        push_text(&cleaned, &mut out);
                    }
                }
                (KeyAction::Stays, _) => out.push_str(walk.bare()),
            }
            if let Some(inside) = inside {
                path.leave(inside);
            }
        }
        is_other.then_some(out)
    }
}

//! Makes promoted columns from the metadata of rows.
//!
//! A value depends only on the key's text in a map, so it is the same for pages and for rows, and for metadata as a
//! map and as JSON.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};

use serde::Serialize;

use super::TableOptions;
use super::column::entries_of;
use super::compact::Writer;
use super::decimal::Decimal;
use super::json::{self, Value};
use super::promoted::{Promoted, PromotedType};
use super::time;

/// A value that does not fit its promoted column. The column has null, and the metadata has the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeMismatch {
    /// Index of the row in its batch.
    pub row: usize,
    /// Index of the promoted column.
    pub column: usize,
}

/// Number of values that do not fit, by promoted column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TypeMismatches(BTreeMap<String, u64>);

impl TypeMismatches {
    /// Counts mismatches by column.
    pub fn of<'m>(
        table_options: &TableOptions,
        mismatches: impl IntoIterator<Item = &'m TypeMismatch>,
    ) -> Self {
        let mut counts = Self::default();
        for column in mismatches
            .into_iter()
            .filter_map(|mismatch| table_options.promote.get(mismatch.column))
        {
            *counts.0.entry(column.name.clone()).or_default() += 1;
        }
        counts
    }

    /// Returns the columns with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(column, count)| (column.as_str(), *count))
    }
}

impl AddAssign<&Self> for TypeMismatches {
    fn add_assign(&mut self, other: &Self) {
        for (column, count) in &other.0 {
            *self.0.entry(column.clone()).or_default() += count;
        }
    }
}

/// Builds the promoted columns of rows from metadata that is a map or JSON text. Returns the mismatches, too, row by
/// row.
pub(super) fn columns(metadata: &ArrayRef, promoted: &[Promoted]) -> (Vec<ArrayRef>, Vec<TypeMismatch>) {
    let mut columns: Vec<PromotedBuilder<'_>> = promoted.iter().map(PromotedBuilder::new).collect();
    let mut mismatches = Vec::new();
    let mut writer = Writer::default();
    let mut entries = Vec::new();
    for row in 0..metadata.len() {
        entries.clear();
        read(metadata, row, &mut entries);
        for (column, builder) in columns.iter_mut().enumerate() {
            let text = builder.find(&entries, &mut writer);
            if !builder.values.push(text.as_deref()) {
                mismatches.push(TypeMismatch { row, column });
            }
        }
    }
    let columns = columns.into_iter().map(|column| column.values.finish());
    (columns.collect(), mismatches)
}

/// A key of a row's metadata, and its value.
type KeyPiece<'a> = (Cow<'a, str>, Piece<'a>);

#[derive(Clone, Copy)]
enum Piece<'a> {
    Text(Option<&'a str>),
    Json(Value<'a>),
}

/// Reads the metadata entries of a row; none if it has no metadata.
fn read<'a>(metadata: &'a ArrayRef, row: usize, entries: &mut Vec<KeyPiece<'a>>) {
    if metadata.is_null(row) {
        return;
    }
    if let Some(texts) = metadata.as_string_opt::<i32>() {
        let of_json = json::entries(texts.value(row));
        entries.extend(of_json.map(|(key, value)| (key.text(), Piece::Json(value))));
    } else if let Some(maps) = metadata.as_map_opt() {
        let (keys, values, places) = entries_of(maps);
        let text = |place| values.is_valid(place).then(|| values.value(place));
        let entry = |place| (Cow::Borrowed(keys.value(place)), Piece::Text(text(place)));
        entries.extend(places(row).map(entry));
    }
}

impl<'a> Piece<'a> {
    fn text(self, writer: &mut Writer) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => text.map(Cow::Borrowed),
            Self::Json(value) => text_of(value, writer),
        }
    }

    /// Follows a path within the value, see [`within`].
    fn within(self, path: &str, writer: &mut Writer) -> Option<Option<String>> {
        match self {
            Self::Text(text) => within(text?, path, writer),
            Self::Json(value) => within_value(value, path, writer),
        }
    }
}

/// Returns the text of a value, as in a map.
fn text_of<'a>(value: Value<'a>, writer: &mut Writer) -> Option<Cow<'a, str>> {
    match value {
        Value::Null => None,
        Value::Bool(text) | Value::Number(text) => Some(Cow::Borrowed(text)),
        Value::Text(text) => Some(text.text()),
        Value::List(_) | Value::Object(_) => {
            let mut text = String::new();
            writer.push(value, &mut text);
            Some(Cow::Owned(text))
        }
    }
}

/// Follows a path within the text of a JSON object. Returns the text of the value, or null; `None` if the path leads
/// to nothing.
fn within(text: &str, path: &str, writer: &mut Writer) -> Option<Option<String>> {
    if !text.starts_with('{') {
        return None;
    }
    let Some(Value::Object(object)) = json::whole(text) else {
        return None;
    };
    let fields: Vec<_> = json::entries(object)
        .map(|(key, value)| (key.text(), value))
        .collect();
    steps(path).find_map(|(key, rest)| {
        let (_, value) = fields.iter().rev().find(|(name, _)| name == key)?;
        match rest {
            None => Some(text_of(*value, writer).map(Cow::into_owned)),
            Some(rest) => within_value(*value, rest, writer),
        }
    })
}

fn within_value(value: Value<'_>, path: &str, writer: &mut Writer) -> Option<Option<String>> {
    match value {
        Value::Object(object) => within(object, path, writer),
        Value::Text(text) => within(&text.text(), path, writer),
        _ => None,
    }
}

/// Returns the ways to split a path into a key and the rest, the longest key first.
fn steps(path: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let dots = path.rmatch_indices('.');
    let shorter = dots.map(|(dot, _)| (&path[..dot], Some(&path[dot + 1..])));
    std::iter::once((path, None)).chain(shorter)
}

/// Builds a column. It remembers the index of its key, since most rows have the same keys in the same order.
struct PromotedBuilder<'p> {
    steps: Vec<(&'p str, Option<&'p str>, usize)>,
    values: Values,
}

impl<'p> PromotedBuilder<'p> {
    fn new(promoted: &'p Promoted) -> Self {
        Self {
            steps: steps(&promoted.key).map(|(key, rest)| (key, rest, 0)).collect(),
            values: Values::new(promoted.r#type),
        }
    }

    /// Returns the text of the column's key in a row; `None` if it is null or missing.
    fn find<'a>(&mut self, entries: &[KeyPiece<'a>], writer: &mut Writer) -> Option<Cow<'a, str>> {
        for (key, rest, place) in &mut self.steps {
            let is_key = |entry: &KeyPiece<'_>| entry.0 == *key;
            if !entries.get(*place).is_some_and(is_key) {
                match entries.iter().position(is_key) {
                    Some(found) => *place = found,
                    None => continue,
                }
            }
            let piece = entries[*place].1;
            match rest {
                None => return piece.text(writer),
                Some(rest) => {
                    if let Some(found) = piece.within(rest, writer) {
                        return found.map(Cow::Owned);
                    }
                }
            }
        }
        None
    }
}

/// The values of a column.
enum Values {
    Strings(StringBuilder),
    Int64s(Int64Builder),
    Float64s(Float64Builder),
    Bools(BooleanBuilder),
    Times(TimestampMicrosecondBuilder),
    Json(StringBuilder),
}

impl Values {
    fn new(r#type: PromotedType) -> Self {
        match r#type {
            PromotedType::String => Self::Strings(StringBuilder::new()),
            PromotedType::Int64 => Self::Int64s(Int64Builder::new()),
            PromotedType::Float64 => Self::Float64s(Float64Builder::new()),
            PromotedType::Bool => Self::Bools(BooleanBuilder::new()),
            PromotedType::Timestamp => Self::Times(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            PromotedType::Json => Self::Json(StringBuilder::new()),
        }
    }

    /// Appends a text as a value of the column's type, or else null. Returns whether it fits.
    fn push(&mut self, text: Option<&str>) -> bool {
        let is_null = text.is_none();
        let fits = match self {
            Self::Strings(texts) => {
                texts.append_option(text);
                true
            }
            Self::Json(texts) => {
                match text {
                    Some(text) if json::whole(text).is_none() => {
                        texts.append_value(serde_json::Value::from(text).to_string())
                    }
                    text => texts.append_option(text),
                }
                true
            }
            Self::Int64s(numbers) => {
                let number = text.and_then(|text| Decimal::parse(text)?.as_i64());
                numbers.append_option(number);
                number.is_some()
            }
            Self::Float64s(numbers) => {
                let number = text.and_then(float64);
                numbers.append_option(number);
                number.is_some()
            }
            Self::Bools(bools) => {
                let value = text.and_then(boolean);
                bools.append_option(value);
                value.is_some()
            }
            Self::Times(times) => {
                let time = text.and_then(time::parse_text);
                times.append_option(time);
                time.is_some()
            }
        };
        fits || is_null
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Strings(mut texts) | Self::Json(mut texts) => Arc::new(texts.finish()),
            Self::Int64s(mut numbers) => Arc::new(numbers.finish()),
            Self::Float64s(mut numbers) => Arc::new(numbers.finish()),
            Self::Bools(mut bools) => Arc::new(bools.finish()),
            Self::Times(mut times) => Arc::new(times.finish()),
        }
    }
}

/// Parses the nearest number; `None` if the text is no number or out of range.
fn float64(text: &str) -> Option<f64> {
    Decimal::parse(text)?;
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn boolean(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") || is("false") {
        Some(is("true"))
    } else {
        None
    }
}

//! What a value of a map looks like: it is text, and tells no more of the JSON that it was. A value of JSON tells it.

use arrow::array::StringArray;
use serde::Serialize;

use crate::dataset::{JsonValue, json_entries, json_value};

/// A JSON type. Text that reads like a number may have been a number or a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Look {
    /// Text that is nothing else.
    String,
    /// A number without fraction and exponent.
    Integer,
    /// Any other number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An object.
    Object,
    /// A list.
    Array,
    /// A null, and no text at all.
    Null,
}

impl Look {
    /// Every type.
    pub const ALL: [Self; 7] = [
        Self::String,
        Self::Integer,
        Self::Number,
        Self::Boolean,
        Self::Object,
        Self::Array,
        Self::Null,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Object => "object",
            Self::Array => "array",
            Self::Null => "null",
        }
    }

    /// What a value looks like.
    pub(super) fn of(value: Option<&str>) -> Self {
        let Some(text) = value else { return Self::Null };
        match json_value(text) {
            Some(JsonValue::Null) | None => Self::String,
            Some(value) => Self::of_json(value),
        }
    }

    /// What a value of JSON is.
    fn of_json(value: JsonValue<'_>) -> Self {
        match value {
            JsonValue::Null => Self::Null,
            JsonValue::Bool(_) => Self::Boolean,
            JsonValue::Number(number) => {
                let is_whole = number.bytes().all(|byte| matches!(byte, b'-' | b'0'..=b'9'));
                if is_whole { Self::Integer } else { Self::Number }
            }
            JsonValue::Text(_) => Self::String,
            JsonValue::List(_) => Self::Array,
            JsonValue::Object(_) => Self::Object,
        }
    }

    /// What the values of objects are, given their texts, one after the other.
    pub(super) fn of_objects(texts: &StringArray) -> Vec<Self> {
        let objects = texts.iter().flatten();
        objects
            .flat_map(|text| json_entries(text).map(|(_, value)| Self::of_json(value)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_look_like_the_json_that_they_may_have_been() {
        for (text, look) in [
            ("", Look::String),
            ("web", Look::String),
            ("null", Look::String),
            ("True", Look::String),
            ("007", Look::String),
            ("-", Look::String),
            ("1.", Look::String),
            (".5", Look::String),
            ("1e", Look::String),
            ("1 ", Look::String),
            ("192.0.2.1", Look::String),
            ("{not json}", Look::String),
            ("{", Look::String),
            ("[1,]", Look::String),
            ("0", Look::Integer),
            ("-12", Look::Integer),
            ("123456789012345678901234567890", Look::Integer),
            ("-0.0", Look::Number),
            ("1e400", Look::Number),
            ("2.5E-3", Look::Number),
            ("true", Look::Boolean),
            (r#"{"a":[1,{}]}"#, Look::Object),
            ("{}", Look::Object),
            ("[]", Look::Array),
        ] {
            assert_eq!(Look::of(Some(text)), look, "{text}");
        }
        assert_eq!(Look::of(None), Look::Null);
    }
}

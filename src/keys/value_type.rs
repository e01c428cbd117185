//! Types of values: guessed from the text in a map, or exact in JSON.

use arrow::array::StringArray;
use serde::Serialize;

use crate::dataset::{JsonValue, json_entries, json_value};

/// A JSON type. The text of a number in a map may have been a number or a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Text that is no other type.
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
    /// Null.
    Null,
}

impl ValueType {
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

    /// Guesses the type of a value in a map.
    pub(super) fn of(value: Option<&str>) -> Self {
        let Some(text) = value else { return Self::Null };
        match json_value(text) {
            Some(JsonValue::Null) | None => Self::String,
            Some(value) => Self::of_json(value),
        }
    }

    /// Returns the type of a JSON value.
    fn of_json(value: JsonValue<'_>) -> Self {
        match value {
            JsonValue::Null => Self::Null,
            JsonValue::Bool(_) => Self::Boolean,
            JsonValue::Number(number) => {
                let is_integer = number.bytes().all(|byte| matches!(byte, b'-' | b'0'..=b'9'));
                if is_integer { Self::Integer } else { Self::Number }
            }
            JsonValue::Text(_) => Self::String,
            JsonValue::List(_) => Self::Array,
            JsonValue::Object(_) => Self::Object,
        }
    }

    /// Returns the types of all values in objects, given as JSON texts.
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
    fn types_are_guessed_from_texts() {
        for (text, expected) in [
            ("", ValueType::String),
            ("web", ValueType::String),
            ("null", ValueType::String),
            ("True", ValueType::String),
            ("007", ValueType::String),
            ("-", ValueType::String),
            ("1.", ValueType::String),
            (".5", ValueType::String),
            ("1e", ValueType::String),
            ("1 ", ValueType::String),
            ("192.0.2.1", ValueType::String),
            ("{not json}", ValueType::String),
            ("{", ValueType::String),
            ("[1,]", ValueType::String),
            ("0", ValueType::Integer),
            ("-12", ValueType::Integer),
            ("123456789012345678901234567890", ValueType::Integer),
            ("-0.0", ValueType::Number),
            ("1e400", ValueType::Number),
            ("2.5E-3", ValueType::Number),
            ("true", ValueType::Boolean),
            (r#"{"a":[1,{}]}"#, ValueType::Object),
            ("{}", ValueType::Object),
            ("[]", ValueType::Array),
        ] {
            assert_eq!(ValueType::of(Some(text)), expected, "{text}");
        }
        assert_eq!(ValueType::of(None), ValueType::Null);
    }
}

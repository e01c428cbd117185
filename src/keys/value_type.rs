//! What a value of a map types like: it is text, and tells no more of the JSON that it was. A value of JSON tells it.

use arrow::array::StringArray;
use serde::Serialize;

use crate::dataset::{JsonValue, json_entries, json_value};

/// A JSON type. Text that reads like a number may have been a number or a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
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

    /// What a value types like.
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
            assert_eq!(ValueType::of(Some(text)), look, "{text}");
        }
        assert_eq!(ValueType::of(None), ValueType::Null);
    }
}

//! What a value of a map looks like: it is text, and tells no more of the JSON that it was.

use serde::Serialize;
use serde::de::IgnoredAny;

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
        let is_json = || serde_json::from_str::<IgnoredAny>(text).is_ok();
        match text.as_bytes() {
            b"true" | b"false" => Self::Boolean,
            [b'{', .., b'}'] if is_json() => Self::Object,
            [b'[', .., b']'] if is_json() => Self::Array,
            [b'-' | b'0'..=b'9', ..] => number(text.as_bytes()).unwrap_or(Self::String),
            _ => Self::String,
        }
    }
}

/// Which of the numbers of JSON's grammar a text is, however large.
fn number(text: &[u8]) -> Option<Look> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return None;
    }
    let mut rest = &text[whole..];
    if rest.is_empty() {
        return Some(Look::Integer);
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        rest = (length > 0).then(|| &fraction[length..])?;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'-' | b'+', digits @ ..] => digits,
            digits => digits,
        };
        let length = digits(exponent);
        rest = (length > 0).then(|| &exponent[length..])?;
    }
    rest.is_empty().then_some(Look::Number)
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

//! Declarations of promoted columns: key, type and name.

use std::fmt;
use std::str::FromStr;

use arrow::datatypes::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

use super::column::json_field;

/// Type of a promoted column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromotedType {
    /// The text.
    #[default]
    String,
    /// Integers of 64 bits.
    Int64,
    /// Floating point numbers of 64 bits.
    Float64,
    /// `true` or `false`.
    Bool,
    /// Times, as in all columns.
    Timestamp,
    /// JSON text: text that is JSON is unchanged, other text becomes a JSON string.
    Json,
}

/// A metadata key with a column of its own, written as `KEY[:TYPE][=NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Promoted {
    /// The key. If no key has this name, it is a path with dots between its keys.
    pub key: String,
    /// The type of its values.
    pub r#type: PromotedType,
    /// The name of the column.
    pub name: String,
}

/// Error: the promoted columns are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct TableOptionsError {
    /// What is invalid.
    pub what: String,
    /// What is valid.
    pub hint: String,
}

/// The keys that the vendor documents, and the word for all of them.
const SYSTEM: (&str, [&str; 15]) = (
    "system",
    [
        "__sys_conversationId=conversation_id",
        "__sys_channel=channel",
        "__sys_activeIntent=active_intent",
        "__sys_userAction.type=user_action_type",
        "__sys_userAction.text=user_action_text",
        "__sys_userIp=user_ip",
        "__sys_userCountry=user_country",
        "__sys_userAgent=user_agent",
        "__sys_userAgentParsed.device.family=device",
        "__sys_userAgentParsed.os.family=os",
        "__sys_userAgentParsed.user_agent.family=browser",
        "browser_hostname",
        "browser_path",
        "browser_referrer",
        "browser_isMobile:bool=browser_is_mobile",
    ],
);
/// The word for no promoted columns.
const NONE: &str = "none";

impl Promoted {
    /// Parses promoted columns, each one as `KEY[:TYPE][=NAME]`, or `system` for all keys that the vendor documents,
    /// or only `none`.
    ///
    /// # Errors
    /// The first invalid word.
    pub fn list(words: &[impl AsRef<str>]) -> Result<Vec<Self>, TableOptionsError> {
        let words = || words.iter().map(AsRef::as_ref);
        if words().any(|word| word == NONE) {
            return match words().len() {
                1 => Ok(Vec::new()),
                _ => Err(TableOptionsError {
                    what: "cannot promote columns: `none` excludes others".into(),
                    hint: "remove `none` or the others; a key of this name is `none:string`".into(),
                }),
            };
        }
        let mut columns = Vec::new();
        for word in words() {
            if word == SYSTEM.0 {
                columns.extend(
                    SYSTEM
                        .1
                        .map(str::parse)
                        .into_iter()
                        .collect::<Result<Vec<_>, _>>()?,
                );
            } else {
                columns.push(word.parse()?);
            }
        }
        Ok(columns)
    }

    /// Formats them for messages; `none` if there are none.
    #[must_use]
    pub fn display_list(columns: &[Self]) -> String {
        match columns {
            [] => NONE.into(),
            columns => columns.iter().map(Self::to_string).collect::<Vec<_>>().join(", "),
        }
    }

    pub(super) fn field(&self) -> Field {
        let data_type = match self.r#type {
            PromotedType::Json => return json_field(&self.name),
            PromotedType::String => DataType::Utf8,
            PromotedType::Int64 => DataType::Int64,
            PromotedType::Float64 => DataType::Float64,
            PromotedType::Bool => DataType::Boolean,
            PromotedType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        };
        Field::new(&self.name, data_type, true)
    }
}

impl FromStr for Promoted {
    type Err = TableOptionsError;

    fn from_str(text: &str) -> Result<Self, TableOptionsError> {
        let (rest, name) = match text.rsplit_once('=') {
            Some((rest, name)) => (rest, Some(name)),
            None => (text, None),
        };
        let (key, r#type) = match rest.rsplit_once(':') {
            Some((key, name)) => {
                let r#type = PromotedType::ALL.into_iter().find(|r#type| r#type.name() == name);
                let r#type = r#type.ok_or_else(|| TableOptionsError {
                    what: format!("cannot promote {text}: {name} is not a type"),
                    hint: format!(
                        "give one of: {}; if the colon is part of the key, add the type after it: {rest}:string",
                        PromotedType::ALL.map(PromotedType::name).join(", ")
                    ),
                })?;
                (key, r#type)
            }
            None => (rest, PromotedType::default()),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = match name {
            Some(name) => name.to_owned(),
            None => key.replace(|c| !fits(c), "_"),
        };
        if name.is_empty() || !name.chars().all(fits) {
            return Err(TableOptionsError {
                what: format!("cannot promote {text}: {name:?} is not a valid column name"),
                hint: format!("use the letters A to Z, digits and _: '{rest}=NAME'"),
            });
        }
        Ok(Self {
            key: key.to_owned(),
            r#type,
            name,
        })
    }
}

impl fmt::Display for Promoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}={}", self.key, self.r#type.name(), self.name)
    }
}

impl TryFrom<String> for Promoted {
    type Error = TableOptionsError;

    fn try_from(text: String) -> Result<Self, TableOptionsError> {
        text.parse()
    }
}

impl From<Promoted> for String {
    fn from(promoted: Promoted) -> Self {
        promoted.to_string()
    }
}

impl PromotedType {
    /// All types.
    pub const ALL: [Self; 6] = [
        Self::String,
        Self::Int64,
        Self::Float64,
        Self::Bool,
        Self::Timestamp,
        Self::Json,
    ];

    /// Returns its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Bool => "bool",
            Self::Timestamp => "timestamp",
            Self::Json => "json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parsed(text: &str) -> Promoted {
        let promoted: Promoted = text.parse().unwrap();
        assert_eq!(promoted.to_string().parse(), Ok(promoted.clone()));
        promoted
    }

    #[test]
    fn a_column_is_a_key_a_type_and_a_name() {
        for (text, key, r#type, name) in [
            ("plan", "plan", PromotedType::String, "plan"),
            ("age:int64", "age", PromotedType::Int64, "age"),
            ("a.b c-d", "a.b c-d", PromotedType::String, "a_b_c_d"),
            ("größe:float64", "größe", PromotedType::Float64, "gr__e"),
            ("utm:source:json=utm", "utm:source", PromotedType::Json, "utm"),
            ("a=b=c", "a=b", PromotedType::String, "c"),
            ("a=b:bool=c", "a=b", PromotedType::Bool, "c"),
            ("at:timestamp=seen_at", "at", PromotedType::Timestamp, "seen_at"),
            ("=empty", "", PromotedType::String, "empty"),
            ("system:string", "system", PromotedType::String, "system"),
        ] {
            let promoted = parsed(text);
            let found = (&*promoted.key, promoted.r#type, &*promoted.name);
            assert_eq!(found, (key, r#type, name), "{text}");
        }
        for (text, what, hint) in [
            ("plan:strng", "strng is not a type", "plan:strng:string"),
            ("", "is not a valid column name", "=NAME"),
            ("a=", "is not a valid column name", "a=NAME"),
            ("a=b c", "\"b c\" is not a valid column name", "a=NAME"),
        ] {
            let error = text.parse::<Promoted>().unwrap_err();
            assert!(error.what.contains(what), "{text}: {error:?}");
            assert!(error.hint.contains(hint), "{text}: {error:?}");
        }
    }

    #[test]
    fn words_stand_for_lists() {
        let system = Promoted::list(&["system"]).unwrap();
        assert_eq!(system.len(), 15);
        assert!(system.iter().all(|column| !column.name.contains("sys")));
        let both = Promoted::list(&["system", "plan"]).unwrap();
        assert_eq!(both[..15], system);
        assert_eq!(both[15], parsed("plan"));
        assert_eq!(Promoted::list(&["none"]).unwrap(), []);
        assert!(Promoted::list(&["none", "plan"]).is_err());
        assert_eq!(Promoted::display_list(&[]), "none");
        assert_eq!(
            Promoted::display_list(&both[14..]),
            "browser_isMobile:bool=browser_is_mobile, plan:string=plan"
        );
    }
}

//! Removes the records of conversations from a page.

use super::column::Kind;
use super::json::Value;
use super::page::{self, Next};
use super::{Dataset, PageError as Error};

impl Dataset {
    /// Returns the column with the conversation of a record.
    pub fn conversation_column(self) -> Option<usize> {
        let mut columns = self.columns().iter();
        let reference = columns.position(|column| column.kind == Kind::Reference);
        reference.or((self == Self::Conversations).then_some(self.id_column()))
    }
}

/// Removes the records whose conversation `goes` from the body of a page. Returns the body and the number of removed
/// records, or `None` if there are none. A record that cannot become a row is removed if any of its values is such a
/// conversation.
///
/// # Errors
/// If the body is not a page.
pub fn strip(
    dataset: Dataset,
    body: &[u8],
    goes: impl Fn(&str) -> bool,
) -> Result<Option<(Vec<u8>, u64)>, Error> {
    strip_with(dataset, body, &goes, |rejected| names_any(rejected, &goes))
}

/// Removes records as [`strip`]. `rejected_goes` decides by the JSON text of a record that cannot become a row.
///
/// # Errors
/// If the body is not a page.
pub fn strip_with(
    dataset: Dataset,
    body: &[u8],
    goes: impl Fn(&str) -> bool,
    rejected_goes: impl Fn(&str) -> bool,
) -> Result<Option<(Vec<u8>, u64)>, Error> {
    let Some(column) = dataset.conversation_column() else {
        return Ok(None);
    };
    let field = dataset.columns()[column].field;
    let id_field = dataset.columns()[dataset.id_column()].field;
    let text = page::text(body)?;
    type Stay<'a> = (Vec<&'a str>, u64);
    let page = page::read(&text, Stay::default, |(stay, gone), walk| {
        let start = walk.position();
        let (mut id, mut conversation) = (Value::Null, Value::Null);
        if walk.next() == Some(b'{') {
            walk.open();
            while let Some(key) = walk.key() {
                let value = walk.value();
                let key = key.text();
                if key == id_field {
                    id = value;
                }
                if key == field {
                    conversation = value;
                }
            }
        } else {
            walk.value();
        }
        let record = walk.since(start);
        let is_gone =
            conversation.id().is_some_and(|id| goes(&id)) || (id.id().is_none() && rejected_goes(record));
        if is_gone {
            *gone += 1;
        } else {
            stay.push(record);
        }
    })?;
    let (cursor, (stay, gone)) = (page.cursor, page.records);
    if gone == 0 {
        return Ok(None);
    }
    let cursor = match cursor {
        Next::Cursor(cursor) => format!(r#","cursor":{}"#, serde_json::Value::from(cursor)),
        Next::End => r#","cursor":null"#.into(),
        Next::Absent => String::new(),
    };
    let body = format!(r#"{{"data":[{}]{cursor}}}"#, stay.join(","));
    Ok(Some((body.into_bytes(), gone)))
}

/// Whether a JSON record contains a text that `has` accepts, as a key or a value at any depth.
pub(crate) fn names_any(record: &str, has: impl Fn(&str) -> bool) -> bool {
    fn is_in(value: &serde_json::Value, has: &impl Fn(&str) -> bool) -> bool {
        use serde_json::Value;
        match value {
            Value::String(text) => has(text),
            Value::Number(number) => has(&number.to_string()),
            Value::Array(values) => values.iter().any(|value| is_in(value, has)),
            Value::Object(fields) => fields.iter().any(|(key, value)| has(key) || is_in(value, has)),
            Value::Null | Value::Bool(_) => false,
        }
    }
    serde_json::from_str(record).is_ok_and(|record| is_in(&record, &has))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_go_and_everything_else_stays_as_it_was() {
        let strip = |dataset, body: &str| {
            let stripped = strip(dataset, body.as_bytes(), |id| id == "x" || id == "7").unwrap();
            stripped.map(|(body, gone)| (String::from_utf8(body).unwrap(), gone))
        };
        let messages = r#"{"more": 1, "data": [ {"_id":"a","conversationId":"x"}, {"_id": "x", "n": 1e400,
            "conversationId":"y"} , 5, {"conversationId":7,"_id":null}], "cursor": "c\"1"}"#;
        let expected = "{\"data\":[{\"_id\": \"x\", \"n\": 1e400,\n            \"conversationId\":\"y\"},5],\"cursor\":\"c\\\"1\"}";
        assert_eq!(strip(Dataset::Messages, messages), Some((expected.into(), 2)));
        let conversations = r#"{"data":[{"_id":"\u0078"},{"_id":"y","conversationId":"x"}]}"#;
        let expected = r#"{"data":[{"_id":"y","conversationId":"x"}]}"#;
        assert_eq!(
            strip(Dataset::Conversations, conversations),
            Some((expected.into(), 1))
        );
        assert_eq!(
            strip(Dataset::Conversations, r#"{"data":[],"cursor":null}"#),
            None
        );
        let strange = r#"{"data":[{"_id":""},{"_id":"\ud800"}]}"#;
        assert_eq!(strip(Dataset::Conversations, strange), None, "they name nothing");
        let rejected = r#"{"data":[["x"],{"_id":"","a":{"b":[7]}},{"_id":null,"a":"an x"}],"cursor":null}"#;
        let expected = r#"{"data":[{"_id":null,"a":"an x"}],"cursor":null}"#;
        for dataset in Dataset::ALL {
            assert_eq!(strip(dataset, rejected), Some((expected.into(), 2)));
        }
        let all = r#"{"data":[{"_id":"x"}],"cursor":null}"#;
        assert_eq!(
            strip(Dataset::Conversations, all),
            Some((r#"{"data":[],"cursor":null}"#.into(), 1))
        );
    }
}

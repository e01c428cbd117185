//! A page without the records of certain conversations, as if the API had never had them.

use super::column::Kind;
use super::json::Value;
use super::page::{self, Next};
use super::{Dataset, PageError as Error};

impl Dataset {
    /// The column that tells which conversation a record belongs to.
    pub fn conversation_column(self) -> Option<usize> {
        let mut columns = self.columns().iter();
        let reference = columns.position(|column| column.kind == Kind::Reference);
        reference.or((self == Self::Conversations).then_some(self.id_column()))
    }
}

/// The body of an answer without the records whose conversation `goes`, and how many these are; `None` where there
/// are none.
pub fn strip(
    dataset: Dataset,
    body: &[u8],
    mut goes: impl FnMut(&str) -> bool,
) -> Result<Option<(Vec<u8>, u64)>, Error> {
    let Some(column) = dataset.conversation_column() else {
        return Ok(None);
    };
    let field = dataset.columns()[column].field;
    let text = page::text(body)?;
    type Stay<'a> = (Vec<&'a str>, u64);
    let page = page::read(&text, Stay::default, |(stay, gone), walk| {
        let start = walk.position();
        let mut conversation = Value::Null;
        if walk.next() == Some(b'{') {
            walk.open();
            while let Some(key) = walk.key() {
                let value = walk.value();
                if key.text() == field {
                    conversation = value;
                }
            }
        } else {
            walk.value();
        }
        let is_gone = conversation.id().is_some_and(|id| goes(&id));
        if is_gone {
            *gone += 1;
        } else {
            stay.push(walk.since(start));
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
        let any = super::strip(Dataset::Conversations, strange.as_bytes(), |_| true);
        assert_eq!(any.unwrap(), None, "no id, so none that goes");
        let all = r#"{"data":[{"_id":"x"}],"cursor":null}"#;
        assert_eq!(
            strip(Dataset::Conversations, all),
            Some((r#"{"data":[],"cursor":null}"#.into(), 1))
        );
    }
}

//! Fields of a response other than `data`: the cursor, and signs that it is no complete page.
//!
//! Some servers report an error, a timeout or a partial result with status 200. As a page, such a response would end
//! a listing too early, so any sign of it makes the response a failed attempt.

use std::borrow::Cow;

use super::super::json::{self, Quoted, Value};
use super::excerpt;

/// The fields, in the order of the response.
#[derive(Default)]
pub(super) struct Envelope<'a>(pub(super) Vec<(Quoted<'a>, Value<'a>)>);

/// Properties of the response.
#[derive(Clone, Copy)]
pub(super) struct Page {
    /// Whether it has no cursor to continue with.
    pub(super) ends: bool,
    /// Whether it has no records.
    pub(super) is_empty: bool,
}

impl<'a> Envelope<'a> {
    /// Returns the value of a field, or the last one if it is repeated.
    pub(super) fn last(&self, name: &str) -> Option<Value<'a>> {
        let mut backwards = self.0.iter().rev();
        backwards
            .find(|(key, _)| key.text() == name)
            .map(|(_, value)| *value)
    }

    /// Returns an excerpt of the first field that shows an error or an incomplete result.
    pub(super) fn sign_of_an_error(&self, page: Page) -> Option<String> {
        let sign = self
            .0
            .iter()
            .find(|(key, value)| is_sign(&key.text(), *value, page))?;
        let (key, value) = (sign.0.text(), written(sign.1));
        Some(excerpt(&format!("`{key}` is {value}")))
    }

    /// Returns the server's message: the text of `error`, of the first of `errors`, or of `message` in one of them;
    /// their JSON if there is no text; or else `message`.
    pub(super) fn message(&self) -> Option<String> {
        ["error", "errors", "message"].into_iter().find_map(|name| {
            let mut value = self.last(name)?;
            if let Value::List(list) = value {
                value = json::elements(list).next()?.value();
            }
            if let Value::Object(object) = value {
                let messages = json::entries(object).filter(|(key, _)| key.text() == "message");
                value = messages.last().map_or(value, |(_, message)| message);
            }
            let text = match value {
                Value::Text(text) => text.text(),
                Value::Null | Value::Bool(_) | Value::Object("{}") => return None,
                Value::Number(raw) | Value::List(raw) | Value::Object(raw) => Cow::Borrowed(raw),
            };
            Some(excerpt(&text)).filter(|text| !text.is_empty())
        })
    }
}

/// Whether a field shows an error or an incomplete result. Names are compared without case, `_` and `-`.
fn is_sign(name: &str, value: Value<'_>, page: Page) -> bool {
    let name: String = name
        .chars()
        .filter(|character| !matches!(character, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect();
    match name.as_str() {
        "error" | "errors" | "err" | "errormessage" | "errormsg" | "errorcode" | "errortype"
        | "exception" | "exceptions" | "fault" | "faults" | "failure" | "failures" | "failed" => {
            is_something(value)
        }
        // a number is a setting
        "timeout" => is_true(value) && !matches!(value, Value::Number(_)),
        "timedout" | "partial" | "ispartial" | "partialresult" | "partialresults" | "partialdata"
        | "incomplete" | "isincomplete" | "incompleteresult" | "incompleteresults" | "degraded"
        | "terminatedearly" | "aborted" | "cancelled" | "canceled" | "interrupted" => is_true(value),
        "success" | "ok" | "succeeded" | "issuccess" | "successful" => is_false(value),
        // a cursor makes these harmless
        "truncated" | "istruncated" | "hasmore" | "hasnext" | "hasnextpage" | "moreavailable" => {
            page.ends && is_true(value)
        }
        "complete" | "iscomplete" | "completed" => page.ends && is_false(value),
        "status" | "code" | "statuscode" | "httpstatus" | "httpcode" => is_bad_status(value, page),
        // a number can be a count
        "result" => is_bad_status(value, page) && !matches!(value, Value::Number(_)),
        "message" | "msg" | "detail" | "details" | "description" | "reason" | "warning" | "warnings"
        | "notice" | "info" | "meta" | "metadata" | "response" | "shards" | "pagination" | "paging"
        | "pageinfo" => match value {
            Value::Object(object) => has_sign(object, page),
            Value::List(list) => (page.ends || page.is_empty) && names_a_failure(list),
            Value::Text(text) => (page.ends || page.is_empty) && names_a_failure(&text.text()),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        },
        _ => false,
    }
}

/// Whether an object in the fields has a sign.
fn has_sign(object: &str, page: Page) -> bool {
    json::entries(object).any(|(key, value)| match value {
        // one level is sufficient
        Value::Object(_) => is_something(value) && key.text().to_lowercase().starts_with("error"),
        value => is_sign(&key.text(), value, page),
    })
}

/// Whether a status is not a success. An unknown text counts only if the response would end a listing without
/// records.
fn is_bad_status(value: Value<'_>, page: Page) -> bool {
    match value {
        Value::Null | Value::List(_) => false,
        Value::Bool(_) => is_false(value),
        Value::Number(number) => is_bad_code(number),
        Value::Object(object) => has_sign(object, page),
        Value::Text(text) => {
            let text = text.text().trim().to_lowercase();
            let number = text.split(' ').next().unwrap_or_default();
            if number.parse::<u16>().is_ok() {
                return is_bad_code(number);
            }
            !is_good(&text) && (names_a_failure(&text) || page.ends && page.is_empty)
        }
    }
}

/// Whether a number is an HTTP status of an error, of a partial result, or of a result that is not ready.
fn is_bad_code(number: &str) -> bool {
    let code = number.parse::<f64>().unwrap_or_default();
    code == 202.0 || (206.0..600.0).contains(&code)
}

/// Texts of a successful status.
const GOOD: [&str; 22] = [
    "ok",
    "okay",
    "success",
    "successful",
    "succeeded",
    "complete",
    "completed",
    "done",
    "finished",
    "final",
    "ready",
    "found",
    "empty",
    "none",
    "no content",
    "no_content",
    "no data",
    "no_data",
    "normal",
    "valid",
    "active",
    "true",
];

/// Whether a text means success.
pub(super) fn is_good(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    text.is_empty() || GOOD.contains(&text.as_str())
}

/// Parts of words that describe errors and incomplete results.
const BAD: [&str; 48] = [
    "error",
    "fail",
    "timeout",
    "timed out",
    "timed_out",
    "timedout",
    "time out",
    "unavailable",
    "exceed",
    "quota",
    "throttl",
    "denied",
    "unauthori",
    "forbidden",
    "try again",
    "retry",
    "exception",
    "partial",
    "incomplete",
    "overload",
    "busy",
    "expired",
    "invalid",
    "abort",
    "cancel",
    "interrupt",
    "degraded",
    "truncat",
    "internal",
    "maintenance",
    "crash",
    "could not",
    "cannot",
    "unable",
    "refused",
    "reject",
    "too many",
    "too large",
    "limit reached",
    "not ready",
    "not complete",
    "pending",
    "processing",
    "in progress",
    "in_progress",
    "running",
    "queued",
    "accepted",
];

fn names_a_failure(text: &str) -> bool {
    let mut text = text.to_lowercase();
    for harmless in ["no error", "without error", "0 error", "no fail", "0 fail"] {
        text = text.replace(harmless, "");
    }
    BAD.iter().any(|bad| text.contains(bad))
}

/// Whether an error field has a value.
fn is_something(value: Value<'_>) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(raw) => raw == "true",
        Value::Number(number) => number.parse::<f64>() != Ok(0.0),
        Value::Text(text) => {
            let text = text.text().trim().to_lowercase();
            !["", "0", "false", "no", "none", "null", "ok"].contains(&text.as_str())
        }
        Value::List(list) => json::elements(list).any(|element| element.value() != Value::Null),
        Value::Object(object) => json::entries(object).any(|(_, value)| is_something(value)),
    }
}

fn is_true(value: Value<'_>) -> bool {
    match value {
        Value::Bool(raw) => raw == "true",
        Value::Number(number) => number.parse::<f64>() != Ok(0.0),
        Value::Text(text) => ["true", "yes", "1"].contains(&text.text().trim().to_lowercase().as_str()),
        Value::Null | Value::List(_) | Value::Object(_) => false,
    }
}

fn is_false(value: Value<'_>) -> bool {
    match value {
        Value::Bool(raw) => raw == "false",
        Value::Number(number) => number.parse::<f64>() == Ok(0.0),
        Value::Text(text) => ["false", "no", "0"].contains(&text.text().trim().to_lowercase().as_str()),
        Value::Null | Value::List(_) | Value::Object(_) => false,
    }
}

/// Formats a value for messages.
fn written(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::Null => "null".into(),
        Value::Text(text) => text.text(),
        Value::Bool(raw) | Value::Number(raw) | Value::List(raw) | Value::Object(raw) => raw.into(),
    }
}

#[cfg(test)]
mod tests;

//! From an error of object_store to an error that says what to do.

use std::error::Error as _;

use super::connector::NoCredentials;
use super::provider::REPETITIONS;
use crate::display::safe;
use crate::error::{Error, Result, StoreFailure};

/// The longest reason, in characters. Servers can answer pages of HTML.
const LONGEST: usize = 300;

/// Converts an error of an operation on an object or a folder.
pub(super) fn error(doing: &'static str, place: String, error: &object_store::Error) -> Error {
    let text = error.to_string();
    let failure = classify(error, &text);
    let reason = match failure {
        StoreFailure::NoCredentials => NoCredentials.to_string(),
        _ => reason(error, &text),
    };
    Error::store(doing, place, failure, reason)
}

/// `None` where the object does not exist.
///
/// # Errors
/// All others, and a bucket that does not exist, which servers report in the same way.
pub(super) fn found<T>(
    doing: &'static str,
    place: impl FnOnce() -> String,
    result: object_store::Result<T>,
) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(object_store::Error::NotFound { ref source, .. }) if !is_no_bucket(&source.to_string()) => {
            Ok(None)
        }
        Err(ref failed) => Err(error(doing, place(), failed)),
    }
}

fn classify(error: &object_store::Error, text: &str) -> StoreFailure {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if text.contains(&NoCredentials.to_string()) {
        StoreFailure::NoCredentials
    } else if is_no_bucket(text) {
        StoreFailure::NoBucket
    } else if has(&["NoSuchUpload", "InvalidBlockList"]) {
        // an upload in parts was completed, its answer was lost, and object_store completed it again
        StoreFailure::Interrupted
    } else if has(&[
        "redirect without LOCATION",
        "PermanentRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraint",
    ]) {
        StoreFailure::WrongRegion
    } else if matches!(error, object_store::Error::Unauthenticated { .. })
        || has(&[
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "AuthenticationFailed",
            "ExpiredToken",
            "InvalidToken",
            "invalid_grant",
        ])
    {
        StoreFailure::BadCredentials
    } else if matches!(error, object_store::Error::PermissionDenied { .. }) || text.contains("403 Forbidden")
    {
        StoreFailure::Denied
    } else if matches!(error, object_store::Error::Precondition { .. }) {
        StoreFailure::Changed
    } else {
        of_connection(text)
    }
}

fn is_no_bucket(text: &str) -> bool {
    [
        "NoSuchBucket",
        "ContainerNotFound",
        "specified bucket does not exist",
    ]
    .iter()
    .any(|word| text.contains(word))
}

/// Whether the server may have done it: it answered with a status that says so, or not at all. object_store has then
/// repeated the request, unless an answer began.
fn of_connection(text: &str) -> StoreFailure {
    let status = text.split("status code: ").nth(1).and_then(|rest| rest.get(..3));
    match status {
        Some(status) if status.starts_with('5') || ["408", "409", "429"].contains(&status) => {
            StoreFailure::Unavailable
        }
        None if text.contains("HTTP error") && !text.contains(&format!("after {REPETITIONS} retries")) => {
            StoreFailure::Interrupted
        }
        None if text.contains("HTTP error") || text.contains("error response") => StoreFailure::Unavailable,
        _ => StoreFailure::Other,
    }
}

/// The code and the message that the server answered, or the innermost cause.
pub(super) fn reason(error: &object_store::Error, text: &str) -> String {
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>"))
            .map(|(inner, _)| inner.trim())
    };
    let reason = match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => {
            let mut cause: &dyn std::error::Error = error;
            if let Some(source) = error.source() {
                cause = source;
            }
            while let Some(source) = cause.source() {
                cause = source;
            }
            cause.to_string()
        }
    };
    let short: String = reason.chars().take(LONGEST).collect();
    safe(&short).into_owned()
}

//! Answers in XML.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Object;

const TYPE: [(&str, &str); 1] = [("content-type", "application/xml")];

pub(super) fn error(status: StatusCode, code: &str) -> Response {
    let message = match code {
        "NoSuchBucket" => "The specified bucket does not exist.",
        "NoSuchKey" => "The specified key does not exist.",
        "PreconditionFailed" => "At least one of the pre-conditions you specified did not hold.",
        _ => "The request cannot be served.",
    };
    let text = format!(
        "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    (status, TYPE, text).into_response()
}

pub(super) fn listing(page: &[(&String, &Object)], is_last: bool) -> Response {
    let mut text = format!(
        "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><IsTruncated>{}</IsTruncated>",
        !is_last
    );
    for (key, object) in page {
        let changed = jiff::Timestamp::from_microsecond(object.changed).unwrap_or_default();
        text += &format!(
            "<Contents><Key>{}</Key><LastModified>{changed:.3}</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
            escaped(key),
            escaped(&object.etag()),
            object.bytes.len()
        );
    }
    if let (false, Some((last, _))) = (is_last, page.last()) {
        text += &format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(last));
    }
    (TYPE, text + "</ListBucketResult>").into_response()
}

pub(super) fn element(root: &str, name: &str, value: &str) -> String {
    format!(
        "<?xml version='1.0' encoding='UTF-8'?><{root}><{name}>{}</{name}></{root}>",
        escaped(value)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

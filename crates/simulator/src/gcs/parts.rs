//! Uploads in parts: nothing is visible until they are completed.

use std::collections::{BTreeMap, HashMap};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::{Content, xml};

/// The parts of each upload that is neither completed nor aborted, by number.
#[derive(Default)]
pub(super) struct Uploads(HashMap<String, BTreeMap<u64, Bytes>>);

pub(super) fn answer(
    content: &mut Content,
    method: &Method,
    bucket: &str,
    key: &str,
    body: Bytes,
    query: &HashMap<String, String>,
) -> Response {
    let Some(id) = query.get("uploadId") else {
        content.generation += 1;
        let id = format!("upload-{}", content.generation);
        content.uploads.0.insert(id.clone(), BTreeMap::new());
        return xml::element("InitiateMultipartUploadResult", "UploadId", &id).into_response();
    };
    let Some(parts) = content.uploads.0.get_mut(id) else {
        return xml::error(StatusCode::NOT_FOUND, "NoSuchUpload");
    };
    let number = query.get("partNumber").and_then(|number| number.parse().ok());
    match (method, number) {
        (&Method::PUT, Some(number)) => {
            let etag = format!("\"{number}-{}\"", body.len());
            parts.insert(number, body);
            [("etag", etag)].into_response()
        }
        (&Method::POST, None) => {
            // the parts that the request lists have the numbers that were uploaded
            let listed = String::from_utf8_lossy(&body).matches("<PartNumber>").count();
            if listed != parts.len() {
                return xml::error(StatusCode::BAD_REQUEST, "InvalidPart");
            }
            let all: Vec<u8> = parts.values().flatten().copied().collect();
            content.uploads.0.remove(id);
            let answer = content.write(bucket, key, all.into(), &HeaderMap::new());
            let generation = answer.headers().get("x-goog-generation").cloned();
            let etag = answer.headers().get("etag").and_then(|etag| etag.to_str().ok());
            let body = xml::element("CompleteMultipartUploadResult", "ETag", etag.unwrap_or_default());
            let mut answer = body.into_response();
            if let Some(generation) = generation {
                answer.headers_mut().insert("x-goog-generation", generation);
            }
            answer
        }
        (&Method::DELETE, None) => {
            content.uploads.0.remove(id);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => xml::error(StatusCode::BAD_REQUEST, "InvalidArgument"),
    }
}

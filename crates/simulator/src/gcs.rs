//! The XML API of Google Cloud Storage, as far as an object store client needs it, over real HTTP on 127.0.0.1.
//!
//! Objects are in memory. Generations count up over the whole server, and conditions on them are checked under one lock, as
//! the service does. Credentials are ignored. Listings have small pages, so that clients have to follow them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::runtime::{Builder, Runtime};

use super::clock::{http_date, machine_us};

mod parts;
mod xml;

use parts::Uploads;

/// How many objects a page of a listing has, unless a request asks for fewer.
const PAGE: usize = 50;

/// A running server. It has a thread of its own, and stops when it is dropped.
pub struct Gcs {
    base_url: String,
    runtime: Option<Runtime>,
}

impl Gcs {
    /// Listens on a free port of 127.0.0.1, with these buckets, which are empty.
    pub fn start(buckets: &[&str]) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let content = Content {
            buckets: buckets
                .iter()
                .map(|bucket| ((*bucket).into(), BTreeMap::new()))
                .collect(),
            uploads: Uploads::default(),
            generation: 1_000,
        };
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::new(Mutex::new(content)));
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        runtime.spawn(async move { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await });
        Ok(Self {
            base_url,
            runtime: Some(runtime),
        })
    }

    /// `http://127.0.0.1:` and the port.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// A service account key, in JSON, with which clients come here and ask nobody for a token.
    #[must_use]
    pub fn service_account_key(&self) -> String {
        serde_json::json!({
            "gcs_base_url": self.base_url,
            "disable_oauth": true,
            "client_email": "nobody@example.invalid",
            "private_key": "",
            "private_key_id": "",
        })
        .to_string()
    }
}

impl Drop for Gcs {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

type Objects = BTreeMap<String, Object>;

#[derive(Default)]
struct Content {
    buckets: HashMap<String, Objects>,
    uploads: Uploads,
    generation: u64,
}

#[derive(Clone)]
struct Object {
    bytes: Bytes,
    generation: u64,
    /// In microseconds since 1970.
    changed: i64,
}

impl Object {
    fn etag(&self) -> String {
        format!("\"{:x}-{}\"", self.generation, self.bytes.len())
    }

    fn headers(&self) -> [(&'static str, String); 3] {
        [
            ("etag", self.etag()),
            ("x-goog-generation", self.generation.to_string()),
            ("last-modified", http_date(self.changed)),
        ]
    }
}

impl Content {
    /// Writes an object if the generation that the request expects is there; 0 means none.
    fn write(&mut self, bucket: &str, key: &str, bytes: Bytes, headers: &HeaderMap) -> Response {
        let objects = self.buckets.entry(bucket.to_owned()).or_default();
        let expected = number(headers, "x-goog-if-generation-match");
        let there = objects.get(key).map_or(0, |object| object.generation);
        if expected.is_some_and(|expected| expected != there) {
            return xml::error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
        }
        self.generation += 1;
        let object = Object {
            bytes,
            generation: self.generation,
            changed: machine_us(),
        };
        let answer = object.headers().into_response();
        objects.insert(key.to_owned(), object);
        answer
    }
}

type Shared = Arc<Mutex<Content>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Content> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (request, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let query = Query::<HashMap<String, String>>::try_from_uri(&request.uri)
        .map(|query| query.0)
        .unwrap_or_default();
    let path = request.uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let (Some(bucket), Some(key)) = (decoded(bucket), decoded(key)) else {
        return xml::error(StatusCode::BAD_REQUEST, "InvalidURI");
    };
    let mut content = lock(&shared);
    if !content.buckets.contains_key(&bucket) {
        return xml::error(StatusCode::NOT_FOUND, "NoSuchBucket");
    }
    let of_upload = query.contains_key("uploads") || query.contains_key("uploadId");
    match request.method {
        Method::GET if key.is_empty() => list(&content.buckets[&bucket], &query),
        Method::PUT | Method::POST | Method::DELETE if of_upload => {
            parts::answer(&mut content, &request.method, &bucket, &key, body, &query)
        }
        Method::PUT => content.write(&bucket, &key, body, &request.headers),
        Method::GET | Method::HEAD => {
            let generation = query
                .get("generation")
                .and_then(|generation| generation.parse::<u64>().ok());
            let object = content.buckets[&bucket].get(&key);
            match object.filter(|object| generation.is_none_or(|generation| generation == object.generation))
            {
                Some(object) => read(object, &request.headers),
                None => xml::error(StatusCode::NOT_FOUND, "NoSuchKey"),
            }
        }
        Method::DELETE => match content.buckets.entry(bucket).or_default().remove(&key) {
            Some(_) => StatusCode::NO_CONTENT.into_response(),
            None => xml::error(StatusCode::NOT_FOUND, "NoSuchKey"),
        },
        _ => xml::error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
    }
}

fn read(object: &Object, headers: &HeaderMap) -> Response {
    if let Some(etag) = text(headers, "if-match")
        && etag != object.etag()
    {
        return xml::error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
    }
    let length = object.bytes.len();
    let Some(range) = text(headers, header::RANGE.as_str()) else {
        return (object.headers(), Body::from(object.bytes.clone())).into_response();
    };
    let bounds = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'));
    let start = bounds.and_then(|(start, _)| start.parse::<usize>().ok());
    let end = bounds.and_then(|(_, end)| {
        if end.is_empty() {
            Some(length)
        } else {
            Some(end.parse::<usize>().ok()? + 1)
        }
    });
    match (start, end) {
        (Some(start), Some(end)) if start < length && start < end => {
            let end = end.min(length);
            let about = [("content-range", format!("bytes {start}-{}/{length}", end - 1))];
            let part = Body::from(object.bytes.slice(start..end));
            (StatusCode::PARTIAL_CONTENT, object.headers(), about, part).into_response()
        }
        _ => xml::error(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange"),
    }
}

fn list(objects: &Objects, query: &HashMap<String, String>) -> Response {
    let value = |name: &str| query.get(name).map_or("", String::as_str);
    let most = value("max-keys").parse().unwrap_or(PAGE).min(PAGE);
    let after = value("continuation-token").max(value("start-after"));
    let matching = objects
        .iter()
        .filter(|(key, _)| key.starts_with(value("prefix")) && key.as_str() > after);
    let mut page: Vec<_> = matching.take(most + 1).collect();
    let is_last = page.len() <= most;
    page.truncate(most);
    xml::listing(&page, is_last)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// Percent-decodes a part of a path, once.
fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

//! Errors are clear and quick: what is wrong with a store, and what to do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use converse_export::store::{Location, Store, StoreFailure, open, probe};
use converse_export::{Error, Severity};

use crate::scripted::{Scripted, answer};
use crate::servers::{environment, s3_options};

const EMPTY_LISTING: &str = "<ListBucketResult></ListBucketResult>";

fn opened(port: u16) -> Result<Arc<dyn Store>, Error> {
    open(&Location::parse("s3://lake/table").unwrap(), &s3_options(port))
}

fn store_failure(error: &Error) -> StoreFailure {
    match error {
        Error::Store(error) => error.failure,
        other => panic!("{other}"),
    }
}

fn code(code: &str, message: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>")
}

#[test]
fn opening_reports_what_is_wrong_with_the_bucket() {
    for (status, headers, body, failure, reason, hint) in [
        (
            "404 Not Found",
            "",
            code("NoSuchBucket", "The specified bucket does not exist"),
            StoreFailure::NoBucket,
            "NoSuchBucket: The specified bucket does not exist",
            "create the bucket",
        ),
        (
            "403 Forbidden",
            "",
            code("AccessDenied", "Access Denied"),
            StoreFailure::Denied,
            "AccessDenied: Access Denied",
            "list",
        ),
        (
            "403 Forbidden",
            "",
            code("InvalidAccessKeyId", "The key does not exist"),
            StoreFailure::BadCredentials,
            "InvalidAccessKeyId: The key does not exist",
            "renew the credentials",
        ),
        (
            "400 Bad Request",
            "",
            code("ExpiredToken", "The token has expired"),
            StoreFailure::BadCredentials,
            "ExpiredToken: The token has expired",
            "renew the credentials",
        ),
        (
            "400 Bad Request",
            "",
            code(
                "AuthorizationHeaderMalformed",
                "the region 'us-east-1' is wrong; expecting 'eu-central-1'",
            ),
            StoreFailure::WrongRegion,
            "AuthorizationHeaderMalformed: the region 'us-east-1' is wrong; expecting 'eu-central-1'",
            "AWS_REGION",
        ),
        (
            "301 Moved Permanently",
            "x-amz-bucket-region: eu-central-1\r\n",
            code("PermanentRedirect", "The bucket must be addressed elsewhere"),
            StoreFailure::WrongRegion,
            "region",
            "AWS_REGION",
        ),
        (
            "200 OK",
            "",
            "<html>\u{1b}[31mlogin".to_owned(),
            StoreFailure::Other,
            "",
            "check the store",
        ),
    ] {
        let server = Scripted::always(status, headers, &body);
        let began = Instant::now();
        let error = opened(server.port()).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("cannot open s3://lake/table: "), "{text}");
        assert!(
            text.contains(reason) && !text.contains(['\n', '\u{1b}']),
            "{text}"
        );
        assert_eq!(store_failure(&error), failure, "{text}");
        assert!(error.hint().contains(hint), "{}", error.hint());
        assert_eq!(server.requests().len(), 1, "it is final: {:?}", server.requests());
    }
}

#[test]
fn a_store_that_is_not_there_is_unavailable_within_seconds() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let overloaded = Scripted::always(
        "503 Service Unavailable",
        "",
        &code("SlowDown", "Reduce your rate"),
    );
    for port in [unused, overloaded.port()] {
        let began = Instant::now();
        let error = opened(port).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        assert_eq!(store_failure(&error), StoreFailure::Unavailable, "{error}");
        assert_eq!(error.severity(), Severity::Incomplete);
        println!("{error} after {:?}", began.elapsed());
    }
}

#[test]
fn a_missing_object_that_is_reported_as_forbidden_names_the_permission() {
    let server = Scripted::start(|head, _| {
        Some(match head.contains("list-type=2") {
            true => answer("200 OK", "", EMPTY_LISTING),
            false => answer("403 Forbidden", "", &code("AccessDenied", "Access Denied")),
        })
    });
    let store = opened(server.port()).unwrap();
    for error in [
        store.get("_export/log/1").unwrap_err(),
        store.head("_export/log/1").unwrap_err(),
        store
            .put_new("_export/log/1", Bytes::from_static(b"x"))
            .unwrap_err(),
    ] {
        assert_eq!(store_failure(&error), StoreFailure::Denied, "{error}");
        assert!(
            error.to_string().contains("s3://lake/table/_export/log/1: "),
            "{error}"
        );
        assert!(error.hint().contains("permission to list"), "{}", error.hint());
    }
}

#[test]
fn a_bucket_that_is_gone_is_no_missing_object() {
    let server = Scripted::start(|head, _| {
        Some(match head.contains("list-type=2") {
            true => answer("200 OK", "", EMPTY_LISTING),
            false => answer(
                "404 Not Found",
                "",
                &code("NoSuchBucket", "The specified bucket does not exist"),
            ),
        })
    });
    let store = opened(server.port()).unwrap();
    assert_eq!(
        store_failure(&store.get("x").unwrap_err()),
        StoreFailure::NoBucket
    );
    let written = store.put_new("x", Bytes::from_static(b"x"));
    assert_eq!(store_failure(&written.unwrap_err()), StoreFailure::NoBucket);
}

/// A server that stores objects, and ignores those conditions of writes that `ignores` names.
fn careless(ignores: &'static str) -> Scripted {
    let objects: Mutex<HashMap<String, (Vec<u8>, u64)>> = Mutex::new(HashMap::new());
    Scripted::start(move |head, body| {
        let mut objects = objects.lock().unwrap();
        let mut first = head.split(' ');
        let (method, path) = (first.next()?, first.next()?.to_owned());
        let lower = head.to_ascii_lowercase();
        let header = |name: &str| {
            let line = lower
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.filter(|_| name != ignores).map(str::to_owned)
        };
        let there = objects.get(&path).map(|(_, number)| format!("\"{number}\""));
        Some(match method {
            "GET" if head.contains("list-type=2") => answer("200 OK", "", EMPTY_LISTING),
            "GET" => match objects.get(&path) {
                Some((body, number)) => answer(
                    "200 OK",
                    &format!("ETag: \"{number}\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"),
                    std::str::from_utf8(body).unwrap(),
                ),
                None => answer("404 Not Found", "", &code("NoSuchKey", "none")),
            },
            "PUT" if header("if-none-match").is_some() && there.is_some() => answer(
                "412 Precondition Failed",
                "",
                &code("PreconditionFailed", "exists"),
            ),
            "PUT" if header("if-match").is_some_and(|expected| Some(expected) != there) => answer(
                "412 Precondition Failed",
                "",
                &code("PreconditionFailed", "changed"),
            ),
            "PUT" => {
                let number = objects.get(&path).map_or(1, |(_, number)| number + 1);
                objects.insert(path, (body.to_vec(), number));
                answer("200 OK", &format!("ETag: \"{number}\"\r\n"), "")
            }
            // it removes all objects
            _ => {
                objects.clear();
                answer(
                    "200 OK",
                    "",
                    "<DeleteResult><Deleted><Key>x</Key></Deleted></DeleteResult>",
                )
            }
        })
    })
}

#[test]
fn a_store_that_ignores_conditions_is_refused() {
    probe(opened(careless("").port()).unwrap().as_ref()).unwrap();
    for condition in ["if-none-match", "if-match"] {
        let server = careless(condition);
        let error = probe(opened(server.port()).unwrap().as_ref()).unwrap_err();
        assert_eq!(store_failure(&error), StoreFailure::NoConditions, "{error}");
        assert!(
            error
                .to_string()
                .starts_with("cannot use s3://lake/table: the store ignores "),
            "{error}"
        );
        let last = server.requests().pop().unwrap();
        assert!(last.starts_with("POST"), "the object is removed: {last}");
    }
}

#[test]
fn options_are_checked_and_never_shown() {
    let bucket = Location::parse("s3://lake").unwrap();
    let secret = "hunter2";
    for (key, value) in [
        ("aws_regoin", secret),
        ("timeout", secret),
        ("aws_conditional_put", "disabled"),
        ("azure_storage_account_key", secret),
        ("aws_allow_http", secret),
    ] {
        let options = s3_options(1).with(key, value);
        assert!(!format!("{options:?}").contains(secret));
        let error = open(&bucket, &options).unwrap_err();
        assert_eq!(error.severity(), Severity::Usage, "{key}: {error}");
        assert!(!error.to_string().contains(secret), "{error}");
    }
    let error = environment(&[]).with_text(secret).unwrap_err();
    assert!(!error.to_string().contains(secret), "{error}");
    // an address without TLS has to be permitted
    let plain = s3_options(1).with_text("aws_allow_http=false").unwrap();
    let error = open(&bucket, &plain).unwrap_err();
    assert!(
        error.to_string().contains("http://") && error.hint().contains("ALLOW_HTTP"),
        "{error}"
    );
}

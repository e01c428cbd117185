//! Without credentials there is an error at once, and no metadata address is asked.
//!
//! All requests go to a proxy of the test. The last test shows that it sees requests to metadata addresses, if there are any.

use std::time::{Duration, Instant};

use converse_export::Error;
use converse_export::store::{Location, StoreFailure, StoreOptions, open};

use crate::scripted::Scripted;
use crate::servers::environment;

/// Opens a location with all requests through the proxy; the error.
fn refused(proxy: &Scripted, url: &str, options: StoreOptions) -> Error {
    let options = options.with("proxy_url", &format!("http://127.0.0.1:{}", proxy.port()));
    let began = Instant::now();
    let error = open(&Location::parse(url).unwrap(), &options).unwrap_err();
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{url} took {:?}",
        began.elapsed()
    );
    error
}

fn proxy() -> Scripted {
    Scripted::always("404 Not Found", "", "nothing here")
}

#[test]
fn without_credentials_nobody_is_asked() {
    let proxy = proxy();
    let nowhere = tempfile::tempdir().unwrap();
    let home = nowhere.path().to_str().unwrap();
    for (url, variables, hint) in [
        ("s3://bucket/lake", vec![], "aws configure export-credentials"),
        (
            "s3://bucket/lake",
            vec![("AWS_PROFILE", "work"), ("AWS_REGION", "eu-central-1")],
            "AWS_ACCESS_KEY_ID",
        ),
        // object_store would ask the machine
        (
            "s3://bucket/lake",
            vec![("AWS_SKIP_SIGNATURE", "true")],
            "AWS_ACCESS_KEY_ID",
        ),
        (
            "s3://bucket/lake",
            vec![("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")],
            "AWS_ACCESS_KEY_ID",
        ),
        (
            "s3://bucket/lake",
            vec![("AWS_ACCESS_KEY_ID", "")],
            "AWS_ACCESS_KEY_ID",
        ),
        (
            "gs://bucket/lake",
            vec![("HOME", home)],
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        (
            "gs://bucket/lake",
            vec![("GOOGLE_SKIP_SIGNATURE", "true")],
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        (
            "az://container/lake",
            vec![("AZURE_STORAGE_ACCOUNT_NAME", "account")],
            "AZURE_STORAGE_ACCOUNT_KEY",
        ),
        (
            "az://container/lake",
            vec![("AZURE_CLIENT_ID", "id"), ("AZURE_TENANT_ID", "x")],
            "AZURE_STORAGE_ACCOUNT_KEY",
        ),
        (
            "abfss://container@account.dfs.core.windows.net/lake",
            vec![],
            "AZURE_STORAGE_ACCOUNT_KEY",
        ),
    ] {
        let error = refused(&proxy, url, environment(&variables));
        assert_eq!(
            error.to_string(),
            format!("cannot open {url}: there are no credentials")
        );
        assert!(error.hint().contains(hint), "{}", error.hint());
        let Error::Store(error) = error else {
            panic!("{error}");
        };
        assert_eq!(error.failure, StoreFailure::NoCredentials);
    }
    assert_eq!(proxy.requests(), [""; 0]);
}

#[test]
fn half_a_key_is_an_error_of_the_options() {
    let proxy = proxy();
    for (url, variable) in [
        ("s3://bucket", ("AWS_ACCESS_KEY_ID", "x")),
        ("s3://bucket", ("AWS_SECRET_ACCESS_KEY", "secret")),
        ("az://container", ("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")),
    ] {
        let error = refused(&proxy, url, environment(&[variable]));
        assert!(matches!(error, Error::Usage { .. }), "{error}");
        assert!(
            error.to_string().starts_with(&format!("cannot open {url}: ")),
            "{error}"
        );
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    assert_eq!(proxy.requests(), [""; 0]);
}

#[test]
fn a_metadata_address_that_is_configured_is_asked() {
    let proxy = proxy();
    let address = ("AWS_METADATA_ENDPOINT", "http://169.254.169.254");
    refused(&proxy, "s3://bucket", environment(&[address]));
    let requests = proxy.requests();
    assert!(
        requests.iter().any(|request| request.contains("169.254.169.254")),
        "{requests:?}"
    );
    refused(
        &proxy,
        "az://container",
        environment(&[
            ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
            ("AZURE_CREDENTIAL_TYPE", "managed_identity"),
        ]),
    );
    let requests = proxy.requests();
    let of_azure = requests
        .iter()
        .any(|request| request.contains("/metadata/identity"));
    assert!(of_azure, "{requests:?}");
}

//! Where a table is: a local folder or a URL.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::port::Store;
use super::provider::{self, Provider};
use super::{LocalStore, RemoteStore, StoreOptions, key};
use crate::error::{Error, Result};

/// Where a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of the local disk.
    Folder(PathBuf),
    /// A prefix of a bucket or container.
    Bucket(Bucket),
}

/// A prefix of a bucket or container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub(super) provider: Provider,
    /// The scheme as it was given: `abfss` and `az` are the same provider.
    pub(super) scheme: String,
    /// The bucket or container. For Azure, `container@account.host` is possible.
    pub(super) name: String,
    /// Byte for byte as in the URL, without `/` at its ends.
    pub(super) prefix: String,
}

impl Location {
    /// Reads a path, `file:///path`, `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or
    /// `abfss://container@account.dfs.core.windows.net/prefix`. A prefix is not decoded: `a%20b` is a name with a percent
    /// sign, as for other tools.
    ///
    /// # Errors
    /// If it is a URL with another scheme or in another form, or a path that a shell did not expand.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |reason: &str, hint: &str| Error::Usage {
            what: format!("cannot use {text} as a location: {reason}"),
            hint: hint.into(),
        };
        let Some((scheme, rest)) = text.split_once(":/").filter(|(scheme, _)| is_scheme(scheme)) else {
            if text == "~" || text.starts_with("~/") || text.contains("$HOME") || text.contains("${HOME}") {
                let hint = "write the path of the home folder in full, or without quotes, so that the shell expands it";
                return Err(wrong("`~` and `$HOME` are not expanded here", hint));
            }
            if text.is_empty() {
                return Err(wrong("it is empty", "name a folder or a URL"));
            }
            return Ok(Self::Folder(text.into()));
        };
        const SCHEMES: &str =
            "use a local path, or s3://, gs://, az:// or abfss:// with a bucket and a prefix";
        let rest = rest
            .strip_prefix('/')
            .ok_or_else(|| wrong("a URL has two slashes after its scheme", SCHEMES))?;
        let lower = scheme.to_ascii_lowercase();
        let provider = match lower.as_str() {
            "file" => {
                let path = rest.strip_prefix("localhost").unwrap_or(rest);
                if !path.starts_with('/') {
                    return Err(wrong(
                        "a file URL has three slashes",
                        "write file:///path, or the path alone",
                    ));
                }
                let path = percent_decode_str(path)
                    .decode_utf8()
                    .map_err(|_| wrong("it is not UTF-8", "write the path alone"))?;
                return Ok(Self::Folder(PathBuf::from(path.as_ref())));
            }
            "s3" => Provider::S3,
            "gs" => Provider::Google,
            "az" | "abfss" => Provider::Azure,
            _ => {
                return Err(wrong(
                    &format!("the scheme {scheme}:// is not supported"),
                    SCHEMES,
                ));
            }
        };
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() || name.contains(['?', '#', ':', '%']) {
            return Err(wrong("it names no bucket", SCHEMES));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if prefix.contains(['?', '#']) || key::check_folder(prefix).is_err() {
            return Err(wrong(
                "its prefix cannot be one",
                "use names separated by single slashes, without `?` and `#`; pass options separately",
            ));
        }
        Ok(Self::Bucket(Bucket {
            provider,
            scheme: lower,
            name: name.to_owned(),
            prefix: prefix.to_owned(),
        }))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "{}://{}{slash}{}", self.scheme, self.name, self.prefix)
    }
}

/// A scheme has two letters or more: one letter and a colon is no URL anywhere.
fn is_scheme(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    text.len() > 1 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_inner)
}

/// Opens the store of a location. For a bucket, one request checks that it exists and can be listed.
///
/// # Errors
/// If options or credentials are missing or wrong, or the bucket cannot be listed.
pub fn open(location: &Location, options: &StoreOptions) -> Result<Arc<dyn Store>> {
    match location {
        Location::Folder(path) => Ok(Arc::new(LocalStore::new(Path::new(path)))),
        Location::Bucket(bucket) => {
            let place = bucket.to_string();
            let store = RemoteStore::new(provider::connect(bucket, options)?, &bucket.prefix, &place);
            store.check()?;
            Ok(Arc::new(store))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_paths_or_urls_of_known_schemes() {
        for (text, shown) in [
            ("lake", "lake"),
            ("/data/s3:lake", "/data/s3:lake"),
            ("a:b", "a:b"),
            ("file:///data/a%20b", "/data/a b"),
            ("file://localhost/data", "/data"),
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("S3://bucket/a%20b/c/", "s3://bucket/a%20b/c"),
            ("gs://bucket.example.com/lake", "gs://bucket.example.com/lake"),
            ("az://container/lake", "az://container/lake"),
            (
                "abfss://container@account.dfs.core.windows.net/lake",
                "abfss://container@account.dfs.core.windows.net/lake",
            ),
        ] {
            assert_eq!(Location::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for text in [
            "",
            "~",
            "~/lake",
            "$HOME/lake",
            "${HOME}/lake",
            "s3:/bucket/lake",
            "s3a://bucket",
            "http://x/y",
            "file://x/y",
            "s3://",
            "s3:///lake",
            "s3://bucket//lake",
            "s3://bucket/a/../b",
            "s3://bucket/lake?region=x",
            "hdfs://x",
            "wasb://c@a/b",
            "file:/data",
            "file://data",
        ] {
            let error = Location::parse(text).unwrap_err();
            assert_eq!(error.severity(), crate::error::Severity::Usage, "{text}");
            assert!(error.to_string().starts_with("cannot use "), "{error}");
        }
    }
}

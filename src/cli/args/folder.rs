//! Parses local folders of the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use url::Url;

use super::reason_with_hint;

/// URL schemes that are also recognised without `//`.
const SCHEMES: [&str; 31] = [
    "s3", "s3a", "s3n", "gs", "gcs", "az", "azure", "abfs", "abfss", "adl", "wasb", "wasbs", "hdfs",
    "webhdfs", "viewfs", "dbfs", "oss", "oci", "cos", "obs", "r2", "b2", "minio", "swift", "http", "https",
    "ftp", "sftp", "ssh", "smb", "nfs",
];

const LOCAL: &str = "give a local folder, such as ./lake or file:///data/lake";

/// Parser of a local folder or file: a path, or `file:///path`.
pub(in crate::cli) fn local() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path.to_str() {
        Some(text) => read(text),
        // a path that is not UTF-8 is not a URL
        None => Ok(path),
    })
}

/// Whether a value is not a path that can be resolved against a folder.
pub(in crate::cli) fn is_no_path(text: &str) -> bool {
    text == "-" || scheme(text).is_some() || unexpanded(text)
}

fn read(text: &str) -> Result<PathBuf, String> {
    if unexpanded(text) {
        return Err(reason_with_hint(
            "the shell has not expanded `~` or `$`",
            "give the full path, or remove the quotation marks",
        ));
    }
    match scheme(text) {
        None => Ok(PathBuf::from(OsString::from(text))),
        Some(name) if name == "file" => of_file(text.trim()),
        Some(name) => Err(reason_with_hint(&format!("{name}: is not a local folder"), LOCAL)),
    }
}

/// Returns the path of a `file:` URL.
fn of_file(text: &str) -> Result<PathBuf, String> {
    let relative = || reason_with_hint("a file: URL needs an absolute path", LOCAL);
    let rest = text.get(5..).unwrap_or_default();
    if !rest.starts_with('/') {
        return Err(relative());
    }
    let url = Url::parse(text).map_err(|_| relative())?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(reason_with_hint(
            "a file: URL cannot contain ? or #",
            "write ? as %3F and # as %23, or give the plain path",
        ));
    }
    url.to_file_path().map_err(|()| relative())
}

/// Returns the scheme of a text in lower case: any scheme before `:/`, a known one before `:`. A single letter is a drive.
fn scheme(text: &str) -> Option<String> {
    let (name, rest) = text.trim_start().split_once(':')?;
    let mut letters = name.chars();
    let is_name = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
    let name = name.to_ascii_lowercase();
    let is_scheme = name == "file" || SCHEMES.contains(&name.as_str()) || rest.starts_with('/');
    (is_name && name.len() > 1 && is_scheme).then_some(name)
}

/// Whether a text contains something that a shell expands: `~`, `~/…`, `~name/…`, `$NAME`, `${NAME}`, `$(…)`.
fn unexpanded(text: &str) -> bool {
    let is_variable = |part: &str| {
        part.strip_prefix('$')
            .and_then(|rest| rest.chars().next())
            .is_some_and(|first| first.is_ascii_alphabetic() || "_{(".contains(first))
    };
    let text = text.trim_start();
    text.starts_with('~') || text.contains("${") || text.contains("$(") || text.split('/').any(is_variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_absolute_file_addresses_are_folders() {
        for (text, path) in [
            ("lake", "lake"),
            ("./lake", "./lake"),
            ("/data/lake", "/data/lake"),
            ("./s3:/lake", "./s3:/lake"),
            ("lake:2023", "lake:2023"),
            ("data/a:/b", "data/a:/b"),
            ("price$/a$", "price$/a$"),
            ("file:///data/lake", "/data/lake"),
            ("FILE:///data/lake", "/data/lake"),
            ("file:/data/lake", "/data/lake"),
            ("file://localhost/data/lake", "/data/lake"),
            ("file:///data/my%20lake", "/data/my lake"),
        ] {
            assert_eq!(read(text), Ok(PathBuf::from(path)), "{text}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for (text, why) in [
            ("s3://bucket/lake", "s3: is not a local folder"),
            ("S3://bucket/lake", "s3: is not a local folder"),
            ("s3:bucket", "s3: is not a local folder"),
            (" s3://bucket", "s3: is not a local folder"),
            ("gs://bucket", "gs: is not a local folder"),
            ("az://container", "az: is not a local folder"),
            (
                "abfss://c@account.dfs.core.windows.net/x",
                "abfss: is not a local folder",
            ),
            ("hdfs:/lake", "hdfs: is not a local folder"),
            ("dbfs:/lake", "dbfs: is not a local folder"),
            ("https://example.com/lake", "https: is not a local folder"),
            ("custom+x://lake", "custom+x: is not a local folder"),
            ("file://lake", "needs an absolute path"),
            ("file:lake", "needs an absolute path"),
            ("file://./lake", "needs an absolute path"),
            ("file:///lake?x=1", "cannot contain ? or #"),
            ("file:///lake#1", "cannot contain ? or #"),
            ("~", "shell"),
            ("~/lake", "shell"),
            ("~me/lake", "shell"),
            ("$HOME/lake", "shell"),
            ("${HOME}/lake", "shell"),
            ("/data/$USER/lake", "shell"),
            ("/data/lake-${ENV}", "shell"),
            ("$(pwd)/lake", "shell"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why) && error.contains("give"), "{text}: {error}");
            assert!(is_no_path(text), "{text}");
        }
    }
}

//! Flags of the privacy rules.

use std::path::PathBuf;

use clap::Args;

use crate::dataset::{Pattern, PrivacyOptions, Secret};
use crate::error::{Error, Result};

/// The environment variable of the hash secret.
pub(in crate::cli) const SECRET_VARIABLE: &str = "CONVERSE_EXPORT_HASH_SECRET";

/// Privacy rules, applied to rows before they are written.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct PrivacyArgs {
    /// Remove a key with its value
    ///
    /// Applies to metadata and extra, to JSON inside them, to out_msg and to user_input. PATTERN is a key at any depth
    /// (email), or the end of a path of keys (user.email); * matches any characters (*_email). May be repeated. Privacy
    /// flags are fixed by the table's first run; `rebuild` adds rules.
    #[arg(long, value_name = "PATTERN", hide_short_help = true, help_heading = PRIVACY)]
    drop_key: Vec<Pattern>,
    /// Replace the value of a key by a hash
    ///
    /// HMAC-SHA-256 of its text in hex, with the secret in CONVERSE_EXPORT_HASH_SECRET. Equal values have equal hashes in all
    /// datasets and runs. PATTERN as for --drop-key.
    #[arg(long, value_name = "PATTERN", hide_short_help = true, help_heading = PRIVACY)]
    hash_key: Vec<Pattern>,
    /// Read the hash secret from a file
    #[arg(long, value_name = "PATH", hide_short_help = true, help_heading = PRIVACY)]
    hash_secret_file: Option<PathBuf>,
    /// Set the last part of IP addresses to zero
    ///
    /// 203.0.113.77 becomes 203.0.113.0, 2001:db8:1:2::3 becomes 2001:db8:1::. In all texts except ids.
    #[arg(long, hide_short_help = true, help_heading = PRIVACY)]
    mask_ip: bool,
}

/// Refuses a pattern that begins with the name of a column, which matches nothing.
fn check_pattern(flag: &str, pattern: &Pattern) -> Result<()> {
    let text = pattern.to_string();
    match ["metadata.", "extra."]
        .iter()
        .find_map(|column| text.strip_prefix(column))
    {
        None => Ok(()),
        Some(key) => Err(Error::Usage {
            what: format!("cannot use {flag} {pattern}: a pattern has no column name"),
            hint: format!("give {flag} {key}; for keys within one of that name, {flag} '*{pattern}'"),
        }),
    }
}

const PRIVACY: &str = "Privacy";

impl PrivacyArgs {
    /// Returns the requested rules, with the secret if there is one.
    pub(in crate::cli) fn asked(&self) -> Result<PrivacyOptions> {
        let given = |patterns: &[Pattern]| (!patterns.is_empty()).then(|| patterns.to_vec());
        for (flag, patterns) in [("--drop-key", &self.drop_key), ("--hash-key", &self.hash_key)] {
            patterns
                .iter()
                .try_for_each(|pattern| check_pattern(flag, pattern))?;
        }
        Ok(PrivacyOptions {
            drop_keys: given(&self.drop_key),
            hash_keys: given(&self.hash_key),
            mask_ip: self.mask_ip,
            secret: self.secret()?,
        })
    }

    fn secret(&self) -> Result<Option<Secret>> {
        let usage = |what: String| Error::Usage {
            what,
            hint: format!(
                "set {SECRET_VARIABLE}, or give --hash-secret-file with a file that contains only the secret"
            ),
        };
        let (text, place) = match &self.hash_secret_file {
            Some(path) => {
                let text = std::fs::read(path);
                let unreadable = |error| {
                    usage(format!(
                        "cannot read --hash-secret-file {}: {error}",
                        path.display()
                    ))
                };
                (text.map_err(unreadable)?, path.display().to_string())
            }
            None => match std::env::var_os(SECRET_VARIABLE).filter(|secret| !secret.is_empty()) {
                Some(text) => (text.into_encoded_bytes(), SECRET_VARIABLE.to_owned()),
                None => return Ok(None),
            },
        };
        let secret = Secret::new(text.trim_ascii_end());
        secret
            .map(Some)
            .ok_or_else(|| usage(format!("the hash secret in {place} is empty")))
    }
}

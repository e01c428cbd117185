//! The flags that tell what is taken out of rows.

use std::path::PathBuf;

use clap::Args;

use crate::dataset::{Pattern, RulesAsked, Secret};
use crate::error::{Error, Result};

/// Where the secret of hashed values comes from, unless a file is given.
pub(in crate::cli) const SECRET_VARIABLE: &str = "CONVERSE_EXPORT_HASH_SECRET";

/// What is taken out of rows before they are written.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct PrivacyArgs {
    /// Leave a key out, with its value
    ///
    /// Of metadata, of extra, and of JSON anywhere within them, in out_msg and in user_input. PATTERN is a key, at any
    /// depth (email), or the end of a path of keys (user.email); * stands for any characters (*_email). May be given
    /// several times. As all privacy flags it is fixed by a table's first run; `rebuild` adds rules.
    #[arg(long, value_name = "PATTERN", hide_short_help = true, help_heading = PRIVACY)]
    drop_key: Vec<Pattern>,
    /// Put a hash in the place of a key's value
    ///
    /// HMAC-SHA-256 of its text, in hex, with the secret that CONVERSE_EXPORT_HASH_SECRET holds: equal values stay equal,
    /// across datasets and runs. PATTERN as for --drop-key.
    #[arg(long, value_name = "PATTERN", hide_short_help = true, help_heading = PRIVACY)]
    hash_key: Vec<Pattern>,
    /// Read the secret of hashes from a file
    #[arg(long, value_name = "PATH", hide_short_help = true, help_heading = PRIVACY)]
    hash_secret_file: Option<PathBuf>,
    /// Make the last part of IP addresses zero, wherever they stand
    ///
    /// 203.0.113.77 becomes 203.0.113.0, 2001:db8:1:2::3 becomes 2001:db8:1::. In all text but ids.
    #[arg(long, hide_short_help = true, help_heading = PRIVACY)]
    mask_ip: bool,
}

/// Whether a pattern can meet anything that it seems to be meant for.
fn meets(flag: &str, pattern: &Pattern) -> Result<()> {
    let told = pattern.to_string();
    match ["metadata.", "extra."]
        .iter()
        .find_map(|column| told.strip_prefix(column))
    {
        None => Ok(()),
        Some(key) => Err(Error::Usage {
            what: format!("{flag} {pattern} would meet nothing: keys stand without the name of their column"),
            hint: format!("give {flag} {key}; for keys within one of that name, {flag} '*{pattern}'"),
        }),
    }
}

const PRIVACY: &str = "Privacy";

impl PrivacyArgs {
    /// The rules that are asked for, with the secret where there is one.
    pub(in crate::cli) fn asked(&self) -> Result<RulesAsked> {
        let given = |patterns: &[Pattern]| (!patterns.is_empty()).then(|| patterns.to_vec());
        for (flag, patterns) in [("--drop-key", &self.drop_key), ("--hash-key", &self.hash_key)] {
            patterns.iter().try_for_each(|pattern| meets(flag, pattern))?;
        }
        Ok(RulesAsked {
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
                "set {SECRET_VARIABLE}, or give --hash-secret-file with a file that holds only the secret"
            ),
        };
        let (text, place) = match &self.hash_secret_file {
            Some(path) => {
                let text = std::fs::read(path);
                let unreadable = |error| {
                    usage(format!(
                        "--hash-secret-file {} cannot be read: {error}",
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
            .ok_or_else(|| usage(format!("there is no secret in {place}")))
    }
}

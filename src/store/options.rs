//! How to reach an object store: the environment of the process, and options that take precedence over it.

use std::fmt;

use crate::error::{Error, Result};

/// The environment variables that object stores use, and explicit options. `Debug` shows no values, since some are secret.
#[derive(Clone, Default)]
pub struct StoreOptions {
    environment: Vec<(String, String)>,
    given: Vec<(String, String)>,
}

impl StoreOptions {
    /// The environment of this process, without explicit options.
    #[must_use]
    pub fn from_env() -> Self {
        // others are not UTF-8, and no option is
        let variables = std::env::vars_os();
        Self::new(
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// These variables in place of the environment of the process.
    #[must_use]
    pub fn new(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            environment: environment.into_iter().collect(),
            given: Vec::new(),
        }
    }

    /// Adds an option. Names are those of object_store, for example `aws_region`, or of the variables, in any case. The last
    /// of several values counts.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.given.push((key.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Adds an option of the form `KEY=VALUE`.
    ///
    /// # Errors
    /// If it has another form.
    pub fn with_text(self, text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok(self.with(key.trim(), value)),
            // the text may be a secret
            _ => Err(Error::Usage {
                what: "cannot use an option of the store: it has no `=` after a name".into(),
                hint: "write it as KEY=VALUE, for example aws_region=eu-central-1".into(),
            }),
        }
    }

    /// The value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let mut matching = self.environment.iter().filter(|(own, _)| own == name);
        matching
            .next_back()
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The variables whose names have one of these beginnings, in lower case.
    pub(super) fn variables(&self, beginnings: &[&str]) -> impl Iterator<Item = (String, &str)> {
        self.environment
            .iter()
            .filter(move |(name, _)| beginnings.iter().any(|beginning| name.starts_with(beginning)))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
    }

    /// The explicit options.
    pub(super) fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        self.given
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.given.iter().map(|(key, _)| key).collect();
        f.debug_struct("StoreOptions")
            .field("given", &names)
            .finish_non_exhaustive()
    }
}

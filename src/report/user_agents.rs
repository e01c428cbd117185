//! Devices and browsers by `__sys_userAgentParsed`.

use hashbrown::HashMap;
use serde::Deserialize;

/// Parsed user agents that are kept: there are few, each in very many rows.
const MAX_KNOWN: usize = 4_096;

/// What is known of a user agent.
#[derive(Default)]
pub(super) struct UserAgent {
    pub(super) device: Option<String>,
    pub(super) browser: Option<String>,
}

/// The documented part of `__sys_userAgentParsed`; anything else counts as absent.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Parsed {
    device: serde_json::Value,
    user_agent: serde_json::Value,
}

/// User agents that are parsed, by their text.
#[derive(Default)]
pub(super) struct UserAgents {
    known: HashMap<String, UserAgent>,
}

impl UserAgents {
    pub(super) fn of(&mut self, text: &str) -> &UserAgent {
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known
            .entry_ref(text)
            .or_insert_with(|| UserAgent::parse(text))
    }
}

impl UserAgent {
    fn parse(text: &str) -> Self {
        let parsed: Parsed = serde_json::from_str(text).unwrap_or_default();
        let family = |value: &serde_json::Value| Some(value.get("family")?.as_str()?.to_owned());
        Self {
            device: family(&parsed.device),
            browser: family(&parsed.user_agent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_says_what_is_documented_or_nothing() {
        let mut agents = UserAgents::default();
        let text =
            r#"{"device":{"family":"iPhone"},"os":{},"user_agent":{"family":"Mobile Safari","major":"16"}}"#;
        for _ in 0..2 {
            let agent = agents.of(text);
            assert_eq!(agent.device.as_deref(), Some("iPhone"));
            assert_eq!(agent.browser.as_deref(), Some("Mobile Safari"));
        }
        for odd in [
            "",
            "null",
            "[]",
            r#"{"device":"iPhone","user_agent":{"family":7}}"#,
        ] {
            let agent = agents.of(odd);
            assert!(agent.device.is_none() && agent.browser.is_none(), "{odd}");
        }
    }
}

//! Kinds of failed attempts.

use std::fmt;
use std::time::Duration;

use super::TlsError;

/// Why an attempt returned no page. Texts of the server or the system never contain the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server responded with a status other than success.
    Status {
        /// The HTTP status.
        status: u16,
        /// The time after which the server accepts a retry.
        retry_after: Option<Duration>,
        /// The server's message, shortened.
        excerpt: String,
    },
    /// The connection failed, for example because it was refused.
    Connect(String),
    /// The name of the API's host cannot be resolved.
    Dns(String),
    /// The proxy cannot be reached, or cannot reach the API: its address without credentials, and the reason.
    Proxy(String),
    /// The TLS handshake failed.
    Tls(TlsError),
    /// No response, or no progress of its body, in time.
    Timeout,
    /// The connection was closed before the end of the response.
    ConnectionLost(String),
    /// A complete response with a status of success that is not a page of the Export API.
    BadPage(String),
    /// The body is larger than the limit.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A redirect to another host, which must not receive the key.
    Redirect {
        /// The address.
        to: String,
    },
    /// Redirects within the API's host that do not end.
    RedirectLoop {
        /// The last address.
        to: String,
    },
}

impl Failure {
    /// Whether a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => match status {
                408 | 425 | 429 => true,
                501 | 505 => false,
                status => (500..600).contains(status),
            },
            Self::Connect(_)
            | Self::Dns(_)
            | Self::Proxy(_)
            | Self::Timeout
            | Self::ConnectionLost(_)
            | Self::BadPage(_) => true,
            Self::Tls(_) | Self::TooLarge { .. } | Self::Redirect { .. } | Self::RedirectLoop { .. } => false,
        }
    }

    /// Whether the server was not reached.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Dns(_) | Self::Proxy(_))
    }

    /// Whether the server refused the request because of its rate limit.
    #[must_use]
    pub fn is_rate_limited(&self) -> bool {
        matches!(self, Self::Status { status: 429, .. })
    }

    /// Whether this response to a cursor may mean that the cursor expired. Servers use different statuses for that,
    /// so any refusal counts. The first page of the window, requested again, shows whether key, bot and range are
    /// valid.
    #[must_use]
    pub fn may_be_expired_cursor(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 400..=499,
                ..
            }
        ) && !self.is_transient()
    }

    /// Whether this response to the first page of a range may mean that the range is too long. Refusals of key,
    /// permissions, bot and rate have other statuses.
    #[must_use]
    pub fn may_be_refused_range(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 400 | 413 | 414 | 416 | 422,
                ..
            }
        )
    }

    /// Whether the response is larger than the client accepts or the server supports. A retry with the same size
    /// cannot succeed.
    #[must_use]
    pub fn is_page_too_large(&self) -> bool {
        matches!(self, Self::Status { status: 413, .. } | Self::TooLarge { .. })
    }

    /// Whether a page with fewer records may succeed. Cloudflare responds with 520 and 524 instead of 502 and 504.
    #[must_use]
    pub fn may_be_page_too_large(&self) -> bool {
        self.is_page_too_large()
            || matches!(
                self,
                Self::Timeout
                    | Self::ConnectionLost(_)
                    | Self::Status {
                        status: 500 | 502 | 504 | 520 | 524,
                        ..
                    }
            )
    }

    /// Whether the server reports an error of its own.
    #[must_use]
    pub fn is_server_error(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 500..=599,
                ..
            }
        )
    }

    /// Returns the time after which the server accepts a retry.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns what the user can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Status { status: 401, .. } => {
                "check the API key: a site admin finds it in the settings of the dashboard"
            }
            // response of an AWS gateway to an unknown path
            Self::Status {
                status: 403, excerpt, ..
            } if excerpt.contains("Missing Authentication Token") => {
                "check the base URL and its path: a gateway sends this response for an unknown path; then check the API key"
            }
            Self::Status { status: 403, .. } => {
                "check the API key; if it is right, ask a site admin whether it has permission to export, and whether the plan includes the Export API"
            }
            Self::Status { status: 404, .. } => {
                "check the bot (its name or id, such as r3-218210) and the base URL"
            }
            Self::Status {
                status: 400 | 422, ..
            } => "check bot and range against the server's message, and try a shorter range",
            Self::Status { status: 402, .. } => {
                "ask a site admin or the vendor whether the plan includes the Export API"
            }
            Self::Status { status: 407, .. } => {
                "the proxy requires credentials: check user and password in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY"
            }
            Self::Status { status: 429, .. } => {
                "another job may use the same key: run again later, or reduce the requests per second"
            }
            Self::Status {
                status: 300..=399, ..
            } => "check the base URL",
            Self::Status { .. } if self.is_transient() => {
                "run the same command again later: fetched pages are kept"
            }
            Self::Status { .. } => {
                "read the server's message, check the base URL, and report it to the vendor if it remains"
            }
            Self::Connect(_) => "check the base URL and the network; if a proxy is required, set HTTPS_PROXY",
            Self::Dns(_) => {
                "check the name in the base URL, and the network; if a proxy is required, set HTTPS_PROXY"
            }
            Self::Proxy(_) => {
                "check the proxy settings (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY), or name the API's host in NO_PROXY"
            }
            Self::Tls(why) => why.hint(),
            Self::Timeout | Self::ConnectionLost(_) => "run the same command again: fetched pages are kept",
            Self::BadPage(_) => {
                "check the base URL: it may be the address of a login page or a proxy. If it is the Export API, report the message to the vendor"
            }
            Self::TooLarge { .. } => "reduce the records per page, or raise the maximum bytes per page",
            Self::Redirect { .. } => "if you trust the other address with the key, use it as the base URL",
            Self::RedirectLoop { .. } => {
                "check scheme and path of the base URL, and report it to the vendor if they are right"
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, excerpt, .. } => {
                let meaning = match status {
                    400 | 422 => "the API rejected the request",
                    401 => "the API refused the key",
                    403 => "the API refused access: the key is wrong, or has no permission for this export",
                    404 => "the API does not know this bot or address",
                    407 => "the proxy requires credentials",
                    408 => "the API timed out",
                    429 => "the API refused the request because of its rate limit",
                    300..=399 => "the API responded with an invalid redirect",
                    500..=599 => "the API failed",
                    _ => "the API responded with an error",
                };
                write!(f, "{meaning} (status {status}")?;
                if excerpt.is_empty() {
                    f.write_str(")")
                } else {
                    write!(f, ": {excerpt})")
                }
            }
            Self::Connect(why) => write!(f, "no connection to the API ({why})"),
            Self::Dns(why) => write!(f, "the name of the API's host cannot be resolved ({why})"),
            Self::Proxy(why) => write!(f, "no connection to the API through the proxy {why}"),
            Self::Tls(why) => write!(f, "no secure connection to the API ({why})"),
            Self::Timeout => f.write_str("the API did not respond in time"),
            Self::ConnectionLost(why) => write!(f, "the response was cut off ({why})"),
            Self::BadPage(why) => write!(f, "the response is not a page of the Export API ({why})"),
            Self::TooLarge { limit } => write!(f, "the response is larger than {limit} bytes"),
            Self::Redirect { to } => write!(f, "the API redirects to {to}, which must not receive the key"),
            Self::RedirectLoop { to } => write!(f, "the API redirects in circles, at last to {to}"),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> Failure {
        Failure::Status {
            status,
            retry_after: None,
            excerpt: String::new(),
        }
    }

    #[test]
    fn any_refusal_of_a_cursor_is_doubted_but_those_that_heal() {
        let doubted: Vec<u16> = (100..600)
            .filter(|code| status(*code).may_be_expired_cursor())
            .collect();
        let expected: Vec<u16> = (400..500)
            .filter(|code| ![408, 425, 429].contains(code))
            .collect();
        assert_eq!(doubted, expected);
        assert!(!Failure::Timeout.may_be_expired_cursor());
        assert!(!Failure::BadPage("no".into()).may_be_expired_cursor());
    }

    #[test]
    fn a_refused_range_is_no_refused_key_bot_or_rate() {
        let ranges: Vec<u16> = (100..600)
            .filter(|code| status(*code).may_be_refused_range())
            .collect();
        assert_eq!(ranges, [400, 413, 414, 416, 422]);
        for other in [
            Failure::Timeout,
            Failure::ConnectionLost("reset".into()),
            Failure::BadPage("no".into()),
            Failure::TooLarge { limit: 1 },
        ] {
            assert!(!other.may_be_refused_range(), "{other}");
        }
    }

    #[test]
    fn what_a_smaller_page_may_heal_is_listed() {
        let heavy: Vec<u16> = (100..600)
            .filter(|code| status(*code).may_be_page_too_large())
            .collect();
        assert_eq!(heavy, [413, 500, 502, 504, 520, 524]);
        for failure in [Failure::Timeout, Failure::ConnectionLost("reset".into())] {
            assert!(
                failure.may_be_page_too_large() && !failure.is_page_too_large(),
                "{failure}"
            );
        }
        assert!(Failure::TooLarge { limit: 1 }.is_page_too_large());
        assert!(!Failure::Connect("refused".into()).may_be_page_too_large());
        assert!(!Failure::BadPage("no".into()).may_be_page_too_large());
    }

    #[test]
    fn only_what_may_heal_is_to_be_run_again() {
        for code in (300..600).filter(|code| *code != 429) {
            let failure = status(code);
            assert_eq!(
                failure.hint().contains("again later"),
                failure.is_transient(),
                "{code}"
            );
        }
    }
}

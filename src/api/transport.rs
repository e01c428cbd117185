//! Why no answer came at all: who on the way to the API is at fault, as far as the connection's error tells.

use std::error::Error;
use std::fmt;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{CertificateError, Error as Tls, InvalidMessage};

use super::Failure;
use super::response_meta::shortened;

/// What kept a connection from being safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The certificate is of no authority that this machine trusts.
    UnknownIssuer,
    /// The certificate is for other names.
    WrongName,
    /// By this machine's clock the certificate is not valid any more, or not yet.
    ///
    /// When it is valid, and what time this machine believes it is.
    NotValidNow(String),
    /// What answers does not speak TLS.
    NotTls,
    /// This machine knows no authority to trust.
    NoTrustedRoots,
    /// Something else, in the words of TLS.
    Other(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIssuer => f.write_str("its certificate is of nobody that this machine trusts"),
            Self::WrongName => f.write_str("its certificate is for other names"),
            Self::NotValidNow(times) => write!(f, "its certificate is {times}"),
            Self::NotTls => f.write_str("what answers there does not speak TLS"),
            Self::NoTrustedRoots => f.write_str("this machine has no certificates to trust"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl TlsError {
    /// What a person can do about it.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::UnknownIssuer => {
                "check --base-url; where a company's proxy looks into connections, name its certificate's file in SSL_CERT_FILE"
            }
            Self::WrongName => "check the name in --base-url",
            Self::NotValidNow(_) => "check this machine's clock; if it is right, tell the vendor",
            Self::NotTls => "check scheme and port in --base-url",
            Self::NoTrustedRoots => {
                "install the system's certificates (ca-certificates), or name a file of them in SSL_CERT_FILE"
            }
            Self::Other(_) => "check --base-url, the system's clock and its certificates",
        }
    }

    fn of(error: &Tls) -> Self {
        let second = |time: &UnixTime| {
            let second = i64::try_from(time.as_secs()).ok();
            let at = second.and_then(|second| Timestamp::from_second(second).ok());
            at.map_or_else(|| "?".to_owned(), |at| at.to_string())
        };
        let clock = |valid: String, now: &UnixTime| {
            let now = second(now);
            Self::NotValidNow(format!("valid {valid}, and this machine's clock says {now}"))
        };
        match error {
            Tls::InvalidCertificate(CertificateError::UnknownIssuer) => Self::UnknownIssuer,
            Tls::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Self::WrongName,
            Tls::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
                clock(format!("until {}", second(not_after)), time)
            }
            Tls::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => {
                clock(format!("from {} on", second(not_before)), time)
            }
            Tls::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            other => Self::Other(shortened(&other.to_string())),
        }
    }
}

/// What an error of the connection means. `proxy` is the one that stands on the way, if any.
pub(super) fn failure(error: &reqwest::Error, proxy: Option<&str>) -> Failure {
    if error.is_timeout() {
        return Failure::Timeout;
    }
    let why = innermost(error);
    if !error.is_connect() {
        return Failure::ConnectionLost(why);
    }
    if let Some(error) = causes(error).find_map(tls) {
        return Failure::Tls(TlsError::of(error));
    }
    let said = |words: &str| causes(error).any(|cause| cause.to_string().contains(words));
    if said("proxy authorization required") {
        return Failure::Status {
            status: 407,
            retry_after: None,
            excerpt: String::new(),
        };
    }
    if let Some(proxy) = proxy {
        let why = match why.as_str() {
            "tunnel error: unsuccessful" => "it leads to no such address".to_owned(),
            _ => why,
        };
        return Failure::Proxy(format!("{proxy} ({why})"));
    }
    if said("dns error") {
        return Failure::Dns(why);
    }
    Failure::Connect(why)
}

/// What an error at the preparation of connections means.
pub(super) fn unprepared(error: &(dyn Error + 'static)) -> Failure {
    let why = innermost(error);
    if why.contains("No CA certificates") {
        Failure::Tls(TlsError::NoTrustedRoots)
    } else {
        Failure::Connect(why)
    }
}

/// An error of TLS, which the system's own error type may be wrapped around, more than once.
fn tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Tls> {
    let wrapped = || tls(error.downcast_ref::<std::io::Error>()?.get_ref()?);
    error.downcast_ref().or_else(wrapped)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The last cause of an error: what the system said, without the URL around it.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let last = causes(error).last().map(ToString::to_string);
    shortened(&last.unwrap_or_default())
}

//! Classifies errors of the connection.

use std::error::Error;
use std::fmt;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{CertificateError, Error as Tls, InvalidMessage};

use super::Failure;
use super::response_meta::shortened;

/// Why a TLS connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// This machine does not trust the issuer of the certificate.
    UnknownIssuer,
    /// The certificate is for other names.
    WrongName,
    /// The certificate is not valid at the time of this machine's clock. The text has both times.
    NotValidNow(String),
    /// The server does not use TLS.
    NotTls,
    /// This machine has no trusted certificates.
    NoTrustedRoots,
    /// Another error of the TLS library.
    Other(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIssuer => f.write_str("this machine does not trust the issuer of its certificate"),
            Self::WrongName => f.write_str("its certificate is for other names"),
            Self::NotValidNow(times) => write!(f, "its certificate is {times}"),
            Self::NotTls => f.write_str("the server does not use TLS"),
            Self::NoTrustedRoots => f.write_str("this machine has no trusted certificates"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl TlsError {
    /// Returns what the user can do.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::UnknownIssuer => {
                "check the base URL; if a proxy of your company inspects connections, name its certificate file in SSL_CERT_FILE"
            }
            Self::WrongName => "check the name in the base URL",
            Self::NotValidNow(_) => "check this machine's clock; if it is right, report it to the vendor",
            Self::NotTls => "check scheme and port of the base URL",
            Self::NoTrustedRoots => {
                "install the system's certificates (ca-certificates), or name a file with certificates in SSL_CERT_FILE"
            }
            Self::Other(_) => "check the base URL, and the clock and certificates of this machine",
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
            Self::NotValidNow(format!("valid {valid}, and this machine's clock shows {now}"))
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

/// Classifies an error of the connection. `proxy` is the proxy in use, if any.
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
            "tunnel error: unsuccessful" => "it cannot reach this address".to_owned(),
            _ => why,
        };
        return Failure::Proxy(format!("{proxy} ({why})"));
    }
    if said("dns error") {
        return Failure::Dns(why);
    }
    Failure::Connect(why)
}

/// Classifies an error of the client's preparation.
pub(super) fn unprepared(error: &(dyn Error + 'static)) -> Failure {
    let why = innermost(error);
    if why.contains("No CA certificates") {
        Failure::Tls(TlsError::NoTrustedRoots)
    } else {
        Failure::Connect(why)
    }
}

/// Finds a TLS error, which may be wrapped in system errors.
fn tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Tls> {
    let wrapped = || tls(error.downcast_ref::<std::io::Error>()?.get_ref()?);
    error.downcast_ref().or_else(wrapped)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Returns the last cause of an error: the system's message without the URL.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let last = causes(error).last().map(ToString::to_string);
    shortened(&last.unwrap_or_default())
}

//! Hints of errors, with the flags of the command line.

use crate::api::{Failure, RequestError, TlsError};
use crate::error::Error;

/// Returns what the user can do about an error. The hints of the library name things, this one names flags.
pub(super) fn of(error: &Error) -> String {
    let failure = match error {
        Error::Connection(failure) => failure,
        Error::Fetch { source, .. } => match source {
            RequestError::MustWait { .. } => return error.hint(),
            RequestError::Failed { failure }
            | RequestError::GaveUp { failure, .. }
            | RequestError::CursorExpired { failure }
            | RequestError::PageTooLarge { failure }
            | RequestError::ResponseLost { failure } => failure,
        },
        _ => return error.hint(),
    };
    with_flags(failure).map_or_else(|| error.hint(), str::to_owned)
}

fn with_flags(failure: &Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::Status { status, .. } => match status {
            404 => "check --bot (the bot's name or id, such as r3-218210) and --base-url",
            400 | 422 => {
                "check --bot, --start and --end against the server's message, and try a shorter range"
            }
            429 => "another job may use the same key: run again later, or reduce --requests-per-second",
            300..=399 => "check --base-url",
            status if ![401, 402, 403, 407].contains(status) && !failure.is_transient() => {
                "read the server's message, check --base-url, and report it to the vendor if it remains"
            }
            _ => return None,
        },
        Failure::Connect(_) => "check --base-url and the network; if a proxy is required, set HTTPS_PROXY",
        Failure::Dns(_) => {
            "check the name in --base-url, and the network; if a proxy is required, set HTTPS_PROXY"
        }
        Failure::BadPage(_) => {
            "check --base-url: it may be the address of a login page or a proxy. If it is the Export API, report the message to the vendor"
        }
        Failure::TooLarge { .. } => "reduce --per-page, or raise --max-page-bytes",
        Failure::Redirect { .. } => "if you trust the other address with the key, set it as --base-url",
        Failure::RedirectLoop { .. } => {
            "check scheme and path of --base-url, and report it to the vendor if they are right"
        }
        Failure::Tls(TlsError::UnknownIssuer) => {
            "check --base-url; if a proxy of your company inspects connections, name its certificate file in SSL_CERT_FILE"
        }
        Failure::Tls(TlsError::WrongName) => "check the name in --base-url",
        Failure::Tls(TlsError::NotTls) => "check scheme and port of --base-url",
        Failure::Tls(TlsError::Other(_)) => {
            "check --base-url, and the clock and certificates of this machine"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_of_the_library_name_no_flag_and_those_of_the_program_do() {
        let status = |status| Failure::Status {
            status,
            retry_after: None,
            excerpt: String::new(),
        };
        let failures = [
            status(404),
            status(400),
            status(429),
            status(302),
            status(418),
            status(501),
            Failure::Connect("refused".into()),
            Failure::Dns("unknown".into()),
            Failure::BadPage("html".into()),
            Failure::TooLarge { limit: 1 },
            Failure::Redirect {
                to: "http://a".into(),
            },
            Failure::RedirectLoop {
                to: "http://a".into(),
            },
            Failure::Tls(TlsError::UnknownIssuer),
            Failure::Tls(TlsError::WrongName),
            Failure::Tls(TlsError::NotTls),
            Failure::Tls(TlsError::Other("?".into())),
        ];
        for failure in failures {
            assert!(!failure.hint().contains("--"), "{failure}: {}", failure.hint());
            let error = Error::Connection(failure);
            let hint = of(&error);
            assert!(hint.contains("--"), "{hint}");
        }
        for failure in [status(401), status(403), status(500), Failure::Timeout] {
            let error = Error::Connection(failure);
            assert_eq!(of(&error), error.hint());
        }
    }
}

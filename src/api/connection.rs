//! How to reach the API, and how far the key may go.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use url::{Host, Url};

use super::{ApiKey, Failure, RetryPolicy, transport};

/// The largest page accepted by default.
pub const DEFAULT_PAGE_BYTES: u64 = 256 * 1024 * 1024;
/// The most bytes of pages in memory at a time by default.
const DEFAULT_BUFFERED_BYTES: u64 = 64 * 1024 * 1024;

/// How to reach the API.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The API's root; paths of endpoints are appended.
    pub base_url: Url,
    /// Whether `base_url` may be plain HTTP on another machine, where everybody on the way can read the key.
    pub allow_http: bool,
    /// Sent with every request to `base_url`'s host, and to no other.
    pub key: ApiKey,
    /// The largest body accepted, in bytes, after decompression.
    pub max_page_bytes: u64,
    /// The most bytes of bodies held at a time, over all requests; one body may exceed it.
    pub max_buffered_bytes: u64,
    /// The longest silence while an answer is awaited or read; less than 16 KiB within it, and not the end, is as
    /// good as silence.
    pub read_timeout: Duration,
    /// How long to go on asking for a page.
    pub retry_policy: RetryPolicy,
}

impl Connection {
    /// A connection with the usual limits.
    #[must_use]
    pub fn new(base_url: Url, key: ApiKey) -> Self {
        Self {
            base_url,
            allow_http: false,
            key,
            max_page_bytes: DEFAULT_PAGE_BYTES,
            max_buffered_bytes: DEFAULT_BUFFERED_BYTES,
            read_timeout: Duration::from_secs(60),
            retry_policy: RetryPolicy::default(),
        }
    }

    /// Whether requests do not leave this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_local(&self.base_url)
    }

    /// Connections that are kept and reused. Proxies come from the environment; one on another machine does not
    /// get what stays on this one.
    pub(super) fn open(&self) -> Result<reqwest::Client, Failure> {
        let tls = self.tls().map_err(|error| transport::unprepared(&error))?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("converse-export/", env!("CARGO_PKG_VERSION")))
            .redirect(same_origin())
            .connect_timeout(Duration::from_secs(15))
            .tcp_nodelay(true)
            .tls_backend_preconfigured(tls);
        if !self.uses_proxies() {
            builder = builder.no_proxy();
        }
        builder.build().map_err(|error| transport::unprepared(&error))
    }

    /// TLS with the system's certificates. The crypto provider is of these connections alone: a library must not choose
    /// the default of the process.
    fn tls(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = if self.base_url.scheme() == "http" && self.proxy().is_none() {
            // these connections never use TLS, and reading the system's certificates takes longer than a page does
            builder.with_root_certificates(RootCertStore::empty())
        } else {
            builder.with_platform_verifier()?
        };
        let mut tls = builder.with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(tls)
    }

    fn uses_proxies(&self) -> bool {
        !self.is_local() || PROXIES.iter().all(|variable| is_unset_or_local(variable))
    }

    /// The address of the proxy that stands on the way to the API, without its credentials.
    pub(super) fn proxy(&self) -> Option<String> {
        if !self.uses_proxies() {
            return None;
        }
        let proxy = Matcher::from_system().intercept(&self.base_url.as_str().parse().ok()?)?;
        let (host, port) = (proxy.uri().host()?, proxy.uri().port_u16());
        Some(port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }
}

/// The variables that name proxies.
const PROXIES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

fn is_unset_or_local(variable: &str) -> bool {
    let Ok(proxy) = std::env::var(variable) else {
        return true;
    };
    let url = Url::parse(&proxy).ok().filter(Url::has_host);
    let url = url.or_else(|| Url::parse(&format!("http://{proxy}")).ok());
    proxy.is_empty() || url.is_some_and(|url| is_local(&url))
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Follows redirects within one origin only, since the key's header would be sent along.
fn same_origin() -> Policy {
    Policy::custom(|attempt| {
        let from = attempt.previous().first().map(Url::origin);
        if from == Some(attempt.url().origin()) && attempt.previous().len() < 5 {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

//! How to reach the API, and which hosts receive the key.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use url::{Host, Url};

use super::{ApiKey, Failure, RetryPolicy, transport};

/// Default maximum size of a page in bytes.
pub const DEFAULT_PAGE_BYTES: u64 = 256 * 1024 * 1024;
/// Default maximum of bytes of bodies in memory.
const DEFAULT_BUFFERED_BYTES: u64 = 64 * 1024 * 1024;

/// How to reach the API.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Base URL of the API; the paths of endpoints are appended.
    pub base_url: Url,
    /// Whether `base_url` may be plain HTTP to another machine, which exposes the key to the network.
    pub allow_http: bool,
    /// The API key. It is sent only to the host of `base_url`.
    pub key: ApiKey,
    /// Maximum size of a body in bytes, decompressed.
    pub max_page_bytes: u64,
    /// Maximum bytes of bodies in memory, over all requests. One body may exceed it.
    pub max_buffered_bytes: u64,
    /// Maximum time without progress while a response is awaited or read. Less than 16 KiB within this time, without
    /// the end of the body, counts as no progress.
    pub read_timeout: Duration,
    /// How long to retry a page.
    pub retry_policy: RetryPolicy,
}

impl Connection {
    /// Creates a connection with the default limits.
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

    /// Whether requests stay on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_local(&self.base_url)
    }

    /// Creates the HTTP client. Proxies come from the environment. Requests to this machine do not go through a proxy
    /// on another one.
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

    /// TLS with the system's certificates. The crypto provider is that of these connections only: a library must not
    /// set the default of the process.
    fn tls(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = if self.base_url.scheme() == "http" && self.proxy().is_none() {
            // these connections never use TLS, and reading the system's certificates takes longer than a page
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

    /// Returns the address of the proxy for the API, without credentials.
    pub(super) fn proxy(&self) -> Option<String> {
        if !self.uses_proxies() {
            return None;
        }
        let proxy = Matcher::from_system().intercept(&self.base_url.as_str().parse().ok()?)?;
        let (host, port) = (proxy.uri().host()?, proxy.uri().port_u16());
        Some(port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }
}

/// Environment variables of proxies.
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

/// Follows redirects within one origin only, since they include the key.
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

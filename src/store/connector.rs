//! HTTP connections to object stores: TLS with the provider that the API client uses, limits of time, and no request to a
//! metadata address unless it was configured.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

/// Addresses that give credentials to programs on a machine of a cloud. Elsewhere a request to them hangs.
const METADATA: [&str; 5] = [
    "169.254.169.254",
    "[fd00:ec2::254]",
    "metadata.google.internal",
    "metadata",
    "169.254.170.2",
];

/// The time of a request until the headers of its response, without its body.
const REQUEST: Duration = Duration::from_secs(20);
/// The slowest upload, in bytes per second.
const SLOWEST: u64 = 128 * 1_024;

/// The longest time of one request with a body of so many bytes.
pub(super) fn limit(bytes: u64) -> Duration {
    REQUEST + Duration::from_secs(bytes / SLOWEST)
}

/// Whether the value of an option means yes, as object_store reads it.
pub(super) fn is_true(value: &str) -> bool {
    ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str())
}

/// Makes the HTTP clients of a store.
#[derive(Debug)]
pub(super) struct Connector {
    /// Whether a metadata address was configured.
    pub(super) may_ask_metadata: bool,
    /// Whether the store is reached without TLS.
    pub(super) is_plain: bool,
    /// Whether the store is on this machine, so that no proxy of the environment is used.
    pub(super) is_local: bool,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = self
            .client(options)
            .map_err(|source| object_store::Error::Generic {
                store: "HTTP",
                source,
            })?;
        Ok(HttpClient::new(Guarded {
            client,
            may_ask_metadata: self.may_ask_metadata,
        }))
    }
}

impl Connector {
    /// Without compression of responses, whose sizes must be those of the objects, and without redirects.
    fn client(
        &self,
        options: &ClientOptions,
    ) -> Result<reqwest::Client, Box<dyn std::error::Error + Send + Sync>> {
        let option = |key| options.get_config_value(&key);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("converse-export/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(self.tls()?)
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .https_only(!option(ClientConfigKey::AllowHttp).is_some_and(|value| is_true(&value)))
            .http1_only()
            .no_gzip()
            .no_zstd();
        if let Some(proxy) = option(ClientConfigKey::ProxyUrl) {
            let except = option(ClientConfigKey::ProxyExcludes).unwrap_or_default();
            let except = reqwest::NoProxy::from_string(&except);
            builder = builder.proxy(reqwest::Proxy::all(proxy)?.no_proxy(except));
        } else if self.is_local {
            builder = builder.no_proxy();
        }
        Ok(builder.build()?)
    }

    /// The crypto provider is of these connections alone: a library must not choose the default of the process.
    fn tls(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = if self.is_plain {
            // these connections never use TLS, and a container may have no certificates
            builder.with_root_certificates(RootCertStore::empty())
        } else {
            builder.with_platform_verifier()?
        };
        let mut tls = builder.with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(tls)
    }
}

/// A client that checks where a request goes, and ends it in time.
#[derive(Debug)]
struct Guarded {
    client: reqwest::Client,
    may_ask_metadata: bool,
}

impl HttpService for Guarded {
    fn call<'life0, 'async_trait>(
        &'life0 self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default();
            if !self.may_ask_metadata && METADATA.contains(&host) {
                return Err(HttpError::new(HttpErrorKind::Unknown, NoCredentials));
            }
            let limit = limit(request.body().content_length() as u64);
            tokio::time::timeout(limit, HttpService::call(&self.client, request))
                .await
                .unwrap_or_else(|elapsed| Err(HttpError::new(HttpErrorKind::Timeout, elapsed)))
        })
    }
}

/// Credentials would have to come from a metadata address.
#[derive(Debug)]
pub(super) struct NoCredentials;

impl fmt::Display for NoCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there are no credentials, and no metadata address is configured")
    }
}

impl std::error::Error for NoCredentials {}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use object_store::aws::AmazonS3Builder;
    use object_store::azure::MicrosoftAzureBuilder;
    use object_store::gcp::GoogleCloudStorageBuilder;
    use object_store::path::Path;
    use object_store::{ObjectStore, ObjectStoreExt};

    use super::*;
    use crate::store::runtime;

    /// Without the check of credentials in `provider.rs`, clients ask the machine: this is refused, too.
    #[test]
    fn no_client_comes_to_a_metadata_address() {
        // all that gets through ends here
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
        proxy.set_nonblocking(true).unwrap();
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_proxy_url(format!("http://{}", proxy.local_addr().unwrap()));
        let connector = || Connector {
            may_ask_metadata: false,
            is_plain: true,
            is_local: false,
        };
        let s3 = AmazonS3Builder::new()
            .with_bucket_name("bucket")
            .with_client_options(options.clone())
            .with_http_connector(connector())
            .build();
        let azure = MicrosoftAzureBuilder::new()
            .with_account("account")
            .with_container_name("container")
            .with_client_options(options.clone())
            .with_http_connector(connector())
            .build();
        let google = GoogleCloudStorageBuilder::new()
            .with_bucket_name("bucket")
            .with_client_options(options)
            .with_http_connector(connector())
            .build();
        let mut stores: Vec<Arc<dyn ObjectStore>> = vec![Arc::new(s3.unwrap()), Arc::new(azure.unwrap())];
        // on a machine where gcloud is logged in, it has other credentials
        stores.extend(google.ok().map(|store| Arc::new(store) as Arc<dyn ObjectStore>));
        for store in stores {
            let read = runtime::run(Duration::from_secs(5), async move {
                store.get(&Path::from("x")).await
            });
            let error = read.expect("it ends in time").unwrap_err();
            assert!(error.to_string().contains(&NoCredentials.to_string()), "{error}");
        }
        assert!(proxy.accept().is_err(), "nobody came");
    }
}

//! Connects to S3, Google Cloud Storage and Azure Blob Storage.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use url::{Host, Url};

use super::StoreOptions;
use super::connector::{Connector, is_true};
use super::location::Bucket;
use crate::error::{Error, Result, StoreFailure};

/// Who runs a store, or whose API it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    S3,
    Google,
    Azure,
}

const NO_S3_CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a profile or SSO run \
    `eval \"$(aws configure export-credentials --format env)\"`; for the role of a machine set \
    AWS_METADATA_ENDPOINT=http://169.254.169.254";
const NO_GOOGLE_CREDENTIALS: &str = "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account, or run \
    `gcloud auth application-default login`; for the account of a machine set \
    GCE_METADATA_HOST=metadata.google.internal";
const NO_AZURE_CREDENTIALS: &str = "set AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or AZURE_USE_AZURE_CLI=true \
    after `az login`; for the identity of a machine set AZURE_CREDENTIAL_TYPE=managed_identity";

/// Options that this program does not support, and why.
const UNSUPPORTED: [(&str, &str); 3] = [
    ("aws_conditional_put", "conditional writes are necessary"),
    (
        "google_skip_signature",
        "a table is never written without credentials",
    ),
    ("google_base_url", "use gcs_base_url of the service account key"),
];

/// Options of connections that are supported. Limits of time are fixed, so that nothing hangs.
const OF_CONNECTIONS: [&str; 3] = ["allow_http", "proxy_url", "proxy_excludes"];

/// Why an option is not supported, if it is not.
fn unsupported(name: &str) -> Option<&'static str> {
    let known = UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == name);
    let is_refused = name.parse::<ClientConfigKey>().is_ok() && !OF_CONNECTIONS.contains(&name);
    known
        .map(|(_, reason)| *reason)
        .or(is_refused.then_some("it is not supported"))
}

/// Connects to the store of a bucket. No request is made.
///
/// # Errors
/// If an option is wrong, or there are no credentials.
pub(super) fn connect(bucket: &Bucket, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>> {
    match bucket.provider {
        Provider::S3 => s3(bucket, options),
        Provider::Google => google(bucket, options),
        Provider::Azure => azure(bucket, options),
    }
}

/// How often a request is repeated, for at most 40 s.
pub(super) const REPETITIONS: usize = 6;

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            // a pause is drawn between the first one and this multiple of the one before
            base: 4.0,
        },
        max_retries: REPETITIONS,
        retry_timeout: Duration::from_secs(40),
    }
}

fn s3(bucket: &Bucket, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>> {
    use AmazonS3ConfigKey as K;
    let settings = settings::<K>(bucket, options, &["AWS_"])?;
    let builder = settings
        .into_iter()
        .fold(AmazonS3Builder::new(), |builder, (key, value)| {
            builder.with_config(key, value)
        });
    let has = |keys: &[K]| keys.iter().all(|key| builder.get_config_value(key).is_some());
    let metadata = has(&[K::MetadataEndpoint]) || has(&[K::ContainerCredentialsRelativeUri]);
    // half a key is an error of its own
    let has_credentials = has(&[K::AccessKeyId])
        || has(&[K::SecretAccessKey])
        || has(&[K::WebIdentityTokenFile, K::RoleArn])
        || has(&[K::ContainerCredentialsFullUri, K::ContainerAuthorizationTokenFile]);
    if !has_credentials && !metadata {
        return Err(no_credentials(bucket, NO_S3_CREDENTIALS));
    }
    let endpoint = builder
        .get_config_value(&K::S3Endpoint)
        .or_else(|| builder.get_config_value(&K::Endpoint));
    let allows = builder.get_config_value(&K::Client(ClientConfigKey::AllowHttp));
    let connector = connector(bucket, endpoint.as_deref(), allows.as_deref(), metadata)?;
    let builder = builder.with_bucket_name(&bucket.name).with_retry(retries());
    built(bucket, builder.with_http_connector(connector).build())
}

fn google(bucket: &Bucket, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>> {
    use GoogleConfigKey as K;
    let mut settings = settings::<K>(bucket, options, &["GOOGLE_"])?;
    let has = |settings: &[(K, String)], keys: &[K]| settings.iter().any(|(key, _)| keys.contains(key));
    let keys = [
        K::ServiceAccount,
        K::ServiceAccountKey,
        K::ApplicationCredentials,
        K::BearerToken,
    ];
    if !has(&settings, &keys)
        && let Some(home) = options.variable("HOME")
    {
        let file = Path::new(home).join(".config/gcloud/application_default_credentials.json");
        if file.is_file() {
            settings.push((K::ApplicationCredentials, file.to_string_lossy().into_owned()));
        }
    }
    let metadata = ["GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"]
        .iter()
        .any(|name| options.variable(name).is_some());
    if !has(&settings, &keys) && !metadata {
        return Err(no_credentials(bucket, NO_GOOGLE_CREDENTIALS));
    }
    let builder = settings
        .into_iter()
        .fold(GoogleCloudStorageBuilder::new(), |builder, (key, value)| {
            builder.with_config(key, value)
        });
    let key = builder.get_config_value(&K::ServiceAccountKey);
    let endpoint = key.and_then(|key| {
        let key: serde_json::Value = serde_json::from_str(&key).ok()?;
        key.get("gcs_base_url")?.as_str().map(str::to_owned)
    });
    // an address without TLS comes from the key file alone, which is explicit enough
    let connector = connector(bucket, endpoint.as_deref(), Some("true"), metadata)?;
    let builder = builder.with_bucket_name(&bucket.name).with_retry(retries());
    built(bucket, builder.with_http_connector(connector).build())
}

fn azure(bucket: &Bucket, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>> {
    use AzureConfigKey as K;
    let mut settings = settings::<K>(bucket, options, &["AZURE_"])?;
    if let Some(endpoint) = options.variable("IDENTITY_ENDPOINT") {
        settings.insert(0, (K::MsiEndpoint, endpoint.to_owned()));
    }
    let builder = settings
        .into_iter()
        .fold(MicrosoftAzureBuilder::new(), |builder, (key, value)| {
            builder.with_config(key, value)
        });
    let value = |key: K| builder.get_config_value(&key);
    let has = |keys: &[K]| keys.iter().all(|key| value(*key).is_some());
    let is_emulator = value(K::UseEmulator).is_some_and(|value| is_true(&value));
    let metadata = has(&[K::MsiEndpoint]) || value(K::CredentialType).as_deref() == Some("managed_identity");
    let has_credentials = is_emulator
        || has(&[K::AccessKey])
        || has(&[K::SasKey])
        || has(&[K::Token])
        || has(&[K::ClientId, K::ClientSecret, K::AuthorityId])
        || has(&[K::ClientId, K::FederatedTokenFile, K::AuthorityId])
        || has(&[
            K::FabricTokenServiceUrl,
            K::FabricWorkloadHost,
            K::FabricSessionToken,
            K::FabricClusterIdentifier,
        ])
        || value(K::UseAzureCli).is_some_and(|value| is_true(&value));
    if !has_credentials && !metadata {
        return Err(no_credentials(bucket, NO_AZURE_CREDENTIALS));
    }
    let emulator = options
        .variable("AZURITE_BLOB_STORAGE_URL")
        .unwrap_or("http://127.0.0.1:10000");
    let endpoint = if is_emulator {
        Some(emulator.to_owned())
    } else {
        value(K::Endpoint)
    };
    let allows = if is_emulator {
        Some("true".into())
    } else {
        value(K::Client(ClientConfigKey::AllowHttp))
    };
    let connector = connector(bucket, endpoint.as_deref(), allows.as_deref(), metadata)?;
    let builder = match bucket.name.contains('@') {
        true => builder.with_url(format!("{}://{}", bucket.scheme, bucket.name)),
        false => builder.with_container_name(&bucket.name),
    };
    built(
        bucket,
        builder
            .with_retry(retries())
            .with_http_connector(connector)
            .build(),
    )
}

/// The variables of the environment that are options, then the explicit options.
///
/// # Errors
/// If an explicit option is unknown or not supported.
fn settings<K: FromStr + AsRef<str>>(
    bucket: &Bucket,
    options: &StoreOptions,
    beginnings: &[&str],
) -> Result<Vec<(K, String)>> {
    let variables = options
        .variables(beginnings)
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| Some((name.parse::<K>().ok()?, value.to_owned())));
    let mut settings: Vec<_> = variables
        .filter(|(key, _)| unsupported(key.as_ref()).is_none())
        .collect();
    for (name, value) in options.given() {
        let wrong = |reason: String| Error::Usage {
            what: format!("cannot open {bucket} with the option {name}: {reason}"),
            hint: "see the configuration keys of the Rust crate object_store, for example aws_region".into(),
        };
        let key: K = name
            .parse()
            .map_err(|_| wrong("there is no such option".into()))?;
        if let Some(reason) = unsupported(key.as_ref()) {
            return Err(wrong(reason.into()));
        }
        settings.push((key, value.to_owned()));
    }
    Ok(settings)
}

/// `endpoint` is the address that was configured in place of the provider's own.
///
/// # Errors
/// If it has no TLS and that is not permitted.
fn connector(
    bucket: &Bucket,
    endpoint: Option<&str>,
    allows_http: Option<&str>,
    may_ask_metadata: bool,
) -> Result<Connector> {
    let endpoint = endpoint.and_then(|endpoint| Url::parse(endpoint).ok());
    let is_plain = endpoint
        .as_ref()
        .is_some_and(|endpoint| endpoint.scheme() == "http");
    if is_plain && !allows_http.is_some_and(is_true) {
        return Err(Error::Usage {
            what: format!("cannot open {bucket}: the address of the store begins with http://"),
            hint: "use https://, or set AWS_ALLOW_HTTP=true or AZURE_ALLOW_HTTP=true if nobody else can read this network"
                .into(),
        });
    }
    let is_local = endpoint
        .as_ref()
        .and_then(Url::host)
        .is_some_and(|host| match host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        });
    Ok(Connector {
        may_ask_metadata,
        is_plain,
        is_local,
    })
}

fn no_credentials(bucket: &Bucket, hint: &'static str) -> Error {
    let failure = StoreFailure::NoCredentials;
    let mut error = Error::store("open", bucket.to_string(), failure, "there are no credentials");
    if let Error::Store(error) = &mut error {
        error.own_hint = Some(hint);
    }
    error
}

fn built<S: ObjectStore>(bucket: &Bucket, built: object_store::Result<S>) -> Result<Arc<dyn ObjectStore>> {
    match built {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(Error::Usage {
            what: format!(
                "cannot open {bucket}: {}",
                super::failure::reason(&error, &error.to_string())
            ),
            hint: "correct the options of the store or the variables of the environment".into(),
        }),
    }
}

//! The SDK's client: how it is configured, and how it is replaced when a failure can be healed.
//!
//! Every attempt of every operation goes through [`Connection::call`], which enters the runtime, makes one attempt,
//! and a second one only after a remedy of [`super::heal`].

use std::error::Error;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Credentials, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use tokio::runtime::Handle;

use super::failure::Failure;
use super::heal::{Remedy, remedy};
use super::http_client::{self, CONNECT_TIMEOUT, HttpClientError};
use super::interceptor::{BucketHeaders, RangeAnswers, RealKeys};
use super::options::{S3Options, StaticCredentials};
use crate::real::in_runtime::InRuntime;

/// Where requests go until the service says otherwise; also what most other services want signatures for.
const REGION_FALLBACK: &str = "us-east-1";

/// Credentials that were refreshed less than this long ago are not refreshed again: they are wrong, not stale.
const REFRESH_PAUSE: Duration = Duration::from_secs(30);

/// The way to the bucket.
pub(super) struct Connection {
    handle: Handle,
    options: S3Options,
    http: SharedHttpClient,
    current: RwLock<Arc<Current>>,
    /// Held while a remedy replaces `current`: a thousand requests with one expired token refresh it once.
    healing: tokio::sync::Mutex<()>,
}

/// A client and what it was built from.
pub(super) struct Current {
    pub(super) client: Client,
    pub(super) region: String,
    /// The endpoint that was configured; `None`: AWS's own.
    pub(super) endpoint_url: Option<String>,
    pub(super) sign_payloads: bool,
    /// When a refused request last made us load the credentials anew.
    credentials_refreshed: Option<Instant>,
}

impl Current {
    pub(super) fn is_private(&self) -> bool {
        self.endpoint_url.as_deref().is_none_or(is_https)
    }
}

impl Connection {
    /// Loads the configuration and credentials' sources; sends nothing to the bucket yet.
    pub(super) async fn open(options: S3Options, handle: Handle) -> Result<Self, HttpClientError> {
        let ca_bundle = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from);
        let http = http_client::build(ca_bundle.as_deref())?;
        let current = InRuntime::new(handle.clone(), load(&options, &http, options.region.clone())).await;
        Ok(Self {
            handle,
            options,
            http,
            current: RwLock::new(Arc::new(current)),
            healing: tokio::sync::Mutex::new(()),
        })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(super) fn options(&self) -> &S3Options {
        &self.options
    }

    pub(super) fn current(&self) -> Arc<Current> {
        // Only whole values are ever stored, so a poisoned lock holds a good one.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One attempt of `operation`, and a second one if the first failed for a reason that could be healed.
    pub(super) async fn call<T, E, F>(&self, operation: impl Fn(Arc<Current>) -> F + Send + Sync) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        T: Send,
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        InRuntime::new(self.handle.clone(), async {
            let current = self.current();
            let failure = match operation(current.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => Failure::of(&error, unix_seconds()),
            };
            match self.heal(&current, &failure).await {
                None => Err(failure),
                Some(healed) => operation(healed).await.map_err(|error| Failure::of(&error, unix_seconds())),
            }
        })
        .await
    }

    /// The client to repeat with, if repeating may help.
    async fn heal(&self, failed: &Arc<Current>, failure: &Failure) -> Option<Arc<Current>> {
        let remedy = remedy(failure, &failed.region, unix_seconds())?;
        if remedy == Remedy::RepeatWithCorrectedClock {
            return Some(failed.clone());
        }
        let _healing = self.healing.lock().await;
        // While waiting for the lock another request may have healed the same ill already.
        let current = self.current();
        if !Arc::ptr_eq(&current, failed) {
            return Some(current);
        }
        let (region, credentials_refreshed) = match remedy {
            Remedy::RepeatWithCorrectedClock => return Some(current),
            Remedy::MoveTo { region } => {
                tracing::warn!(from = current.region, to = region, "the bucket is in another region; following it");
                (region, current.credentials_refreshed)
            }
            Remedy::RefreshCredentials => {
                let fixed = self.options.anonymous || self.options.credentials.is_some();
                if fixed || current.credentials_refreshed.is_some_and(|at| at.elapsed() < REFRESH_PAUSE) {
                    return None;
                }
                tracing::info!(reason = failure.error.message, "loading credentials anew");
                (current.region.clone(), Some(Instant::now()))
            }
        };
        // Everything is loaded anew, as the SDK remembers the profile files that it has read.
        let loaded = load(&self.options, &self.http, Some(region)).await;
        let healed = Arc::new(Current { credentials_refreshed, ..loaded });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = healed.clone();
        Some(healed)
    }
}

/// Builds a client from the options, the environment and the profile. `region` overrides what those say.
async fn load(options: &S3Options, http: &SharedHttpClient, region: Option<String>) -> Current {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    match region {
        Some(region) => loader = loader.region(Region::new(region)),
        // Other services than AWS's have no instance metadata to tell a region, but would make us wait for it.
        None if has_own_endpoint(options) => {
            let mut profile = ProfileFileRegionProvider::builder();
            if let Some(name) = &options.profile {
                profile = profile.profile_name(name);
            }
            let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(profile.build())
                .or_else(Region::new(REGION_FALLBACK));
            loader = loader.region(chain);
        }
        None => {}
    }
    if options.anonymous {
        loader = loader.no_credentials();
    } else if let Some(StaticCredentials { access_key_id, secret_access_key }) = &options.credentials {
        loader = loader.credentials_provider(Credentials::new(access_key_id, secret_access_key, None, None, "given"));
    }
    // Left alone when false, so that the environment's and the profile's settings count.
    if options.dual_stack {
        loader = loader.use_dual_stack(true);
    }
    if options.fips {
        loader = loader.use_fips(true);
    }
    let sdk = loader.load().await;
    let region = sdk.region().map_or(REGION_FALLBACK, |region| region.as_ref()).to_owned();
    let endpoint_url = options.endpoint_url.clone().or_else(|| configured_endpoint(&sdk));
    Current {
        client: Client::from_conf(client_config(options, &sdk, &region, endpoint_url.as_deref())),
        sign_payloads: options
            .sign_payloads
            .unwrap_or_else(|| endpoint_url.as_deref().is_some_and(|url| !is_https(url))),
        region,
        endpoint_url,
        credentials_refreshed: None,
    }
}

fn client_config(options: &S3Options, sdk: &SdkConfig, region: &str, endpoint_url: Option<&str>) -> aws_sdk_s3::Config {
    // The SDK takes an algorithm that a request names for a wish only, which it does not grant where nothing is required.
    let checksums = match options.protection.checksum {
        Some(_) => RequestChecksumCalculation::WhenSupported,
        None => RequestChecksumCalculation::WhenRequired,
    };
    let mut config = aws_sdk_s3::config::Builder::from(sdk)
        .region(Region::new(region.to_owned()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(checksums)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .force_path_style(options.path_style(endpoint_url))
        .accelerate(options.transfer_acceleration)
        .use_arn_region(true)
        .interceptor(RealKeys)
        .interceptor(RangeAnswers);
    config.set_endpoint_url(endpoint_url.map(str::to_owned));
    if options.anonymous {
        config = config.allow_no_auth();
    }
    if let Some(headers) = BucketHeaders::wanted(options) {
        config = config.interceptor(headers);
    }
    config.build()
}

/// Whether it is certain, before any configuration is loaded, that requests do not go to AWS.
fn has_own_endpoint(options: &S3Options) -> bool {
    let named = |variable| std::env::var_os(variable).is_some_and(|url| !url.is_empty());
    options.endpoint_url.is_some() || named("AWS_ENDPOINT_URL_S3") || named("AWS_ENDPOINT_URL")
}

/// The endpoint that the environment or the profile names for S3, or for every service. Asked for the same way as the
/// SDK does it by itself, because how the bucket is addressed depends on it.
fn configured_endpoint(sdk: &SdkConfig) -> Option<String> {
    let key =
        ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok()?;
    sdk.service_config().and_then(|config| config.load_config(key)).or_else(|| sdk.endpoint_url().map(str::to_owned))
}

fn is_https(url: &str) -> bool {
    url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
}

/// The local wall clock. The SDK has its own correction of it.
fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}

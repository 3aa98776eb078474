//! The HTTP client beneath the SDK: one connection a request, trust store, proxy, pool.
//!
//! One client lives as long as the store, through every refresh of credentials and change of region, so that its pooled
//! connections do too. It has no deadline but the one for connecting: how long to wait for an answer is the core's.
//!
//! It speaks HTTP/1.1 only. The SDK's own client offers HTTP/2, which some services accept; there all bodies share one
//! connection's window, and a body that is paused on purpose (an anchor) could stop every other one.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::error::{BoxError, ConnectorError};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

/// How long looking a name up and shaking hands, TLS's included, may take before the attempt counts as
/// [`crate::env::store::ErrorKind::Unreachable`].
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Idle connections are closed before services do it: a request sent into a connection that the other side is just
/// closing costs a failed attempt.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// After this long without a byte the kernel asks whether the other side is still there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// After this long without any of what was sent being acknowledged the connection is broken: many bodies side by side may take
/// long, and one whose line is dead is not to take as long. Linux has it count for [`TCP_KEEPALIVE`]'s questions, too, and one of
/// them may get lost.
const TCP_UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(90);
/// So often it asks again.
const TCP_KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// Variables that name a proxy.
const PROXY_VARIABLES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpClientError {
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, io::Error),
    #[error("{0} holds no usable PEM certificate: {1}")]
    Parse(PathBuf, String),
    #[error("{0}")]
    Tls(#[from] rustls::Error),
}

/// A client for the whole SDK, credential providers included. `ca_bundle` replaces the system's trusted certificates, as
/// `AWS_CA_BUNDLE` does for AWS's other tools. `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are honoured, at the price of
/// the SDK's client, which may speak HTTP/2 with services that do.
pub(super) fn build(ca_bundle: Option<&Path>) -> Result<SharedHttpClient, HttpClientError> {
    let bundle = ca_bundle.map(CaBundle::read).transpose()?;
    if PROXY_VARIABLES.iter().any(|name| std::env::var_os(name).is_some_and(|proxy| !proxy.is_empty())) {
        return Ok(through_proxy(bundle));
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    let tls = match bundle {
        Some(bundle) => tls.with_root_certificates(bundle.roots),
        None => match tls.clone().with_native_roots() {
            Ok(tls) => tls,
            // Not fatal: the endpoint may be a plain one.
            Err(error) => {
                tracing::warn!(%error, "found no trusted CA certificates on this system");
                tls.with_root_certificates(RootCertStore::empty())
            }
        },
    };
    let mut tcp = TcpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    tcp.set_keepalive_interval(Some(TCP_KEEPALIVE_EVERY));
    tcp.set_tcp_user_timeout(Some(TCP_UNACKNOWLEDGED_MAX));
    // No ALPN protocol is offered, so the other side answers in HTTP/1.1.
    let connector = InTime(HttpsConnector::from((tcp, tls.with_no_client_auth())));
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .build(connector);
    let connector = SharedHttpConnector::new(Http1 { client });
    Ok(http_client_fn(move |_settings, _components| connector.clone()))
}

fn through_proxy(bundle: Option<CaBundle>) -> SharedHttpClient {
    let trust_store = match bundle {
        None => TrustStore::default(),
        Some(bundle) => TrustStore::empty().with_pem_certificate(bundle.pem),
    };
    // Building a context only moves its parts; it has no way to fail in this version.
    let context = TlsContext::builder().with_trust_store(trust_store).build().unwrap_or_default();
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().pool_idle_timeout(IDLE_TIMEOUT).proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.tls_provider(Provider::rustls(CryptoMode::AwsLc)).tls_context(context.clone()).build()
    })
}

/// hyper as the SDK wants it.
#[derive(Debug)]
struct Http1 {
    client: Client<InTime<HttpsConnector<TcpConnector>>, SdkBody>,
}

impl HttpConnector for Http1 {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let answer = self.client.request(request);
        HttpConnectorFuture::new(async move {
            match answer.await {
                Ok(answer) => HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                    .map_err(|error| ConnectorError::other(error.into(), None)),
                // Which error it is shows in its chain of sources; see `failure`.
                Err(error) => Err(ConnectorError::io(error.into())),
            }
        })
    }
}

/// A connector that gives up after [`CONNECT_TIMEOUT`].
#[derive(Clone, Debug)]
struct InTime<C>(C);

impl<C> Service<http::Uri> for InTime<C>
where
    C: Service<http::Uri>,
    C::Future: Send + 'static,
    C::Response: 'static,
    C::Error: Into<BoxError>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()).into()),
            }
        })
    }
}

/// Certificates of which it is certain that the TLS library takes every one.
#[derive(Debug)]
struct CaBundle {
    pem: Vec<u8>,
    roots: RootCertStore,
}

impl CaBundle {
    fn read(path: &Path) -> Result<Self, HttpClientError> {
        let pem = std::fs::read(path).map_err(|error| HttpClientError::Read(path.into(), error))?;
        let refused = |reason: String| HttpClientError::Parse(path.into(), reason);
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| refused(error.to_string()))?;
            roots.add(certificate).map_err(|error| refused(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(refused("it has none".into()));
        }
        Ok(Self { pem, roots })
    }
}

#[cfg(test)]
mod tests {
    use super::{HttpClientError, build};

    #[test]
    fn a_ca_bundle_that_cannot_be_read_or_parsed_is_an_error_and_no_panic() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing.pem");
        assert!(matches!(build(Some(&missing)), Err(HttpClientError::Read(..))));
        let broken = directory.path().join("broken.pem");
        for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&broken, text).unwrap();
            assert!(matches!(build(Some(&broken)), Err(HttpClientError::Parse(..))), "{text}");
        }
    }
}

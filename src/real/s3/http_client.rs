//! The HTTP client beneath the SDK: trust store, proxy, connection pool.
//!
//! One client lives as long as the store, through every refresh of credentials and change of region, so that its pooled
//! connections do too. It has no deadline but the one for connecting: how long to wait for an answer is the core's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// How long a TCP and TLS handshake may take before the attempt counts as [`crate::env::store::ErrorKind::Unreachable`].
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Idle connections are closed before services do it: a request sent into a connection that the other side is just
/// closing costs a failed attempt.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// A bundle of CA certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaBundleError {
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("{0} holds no usable PEM certificate: {1}")]
    Parse(PathBuf, String),
}

/// A client for the whole SDK, credential providers included. `ca_bundle` replaces the system's trusted certificates, as
/// `AWS_CA_BUNDLE` does for AWS's other tools. `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are honoured.
pub(super) fn build(ca_bundle: Option<&Path>) -> Result<SharedHttpClient, CaBundleError> {
    let trust_store = match ca_bundle {
        None => TrustStore::default(),
        Some(path) => TrustStore::empty().with_pem_certificate(checked_bundle(path)?),
    };
    let context = TlsContext::builder().with_trust_store(trust_store).build();
    // Building a context only moves its parts; it has no way to fail in this version.
    let context = context.unwrap_or_default();
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().pool_idle_timeout(IDLE_TIMEOUT).proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.tls_provider(Provider::rustls(CryptoMode::AwsLc)).tls_context(context.clone()).build()
    }))
}

/// The file's bytes, once it is certain that the TLS library takes every certificate in them: it would panic otherwise.
fn checked_bundle(path: &Path) -> Result<Vec<u8>, CaBundleError> {
    let pem = std::fs::read(path).map_err(|error| CaBundleError::Read(path.into(), error))?;
    let refused = |reason: String| CaBundleError::Parse(path.into(), reason);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refused("it has none".into()));
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::{CaBundleError, build};

    #[test]
    fn a_ca_bundle_that_cannot_be_read_or_parsed_is_an_error_and_no_panic() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing.pem");
        assert!(matches!(build(Some(&missing)), Err(CaBundleError::Read(..))));
        let broken = directory.path().join("broken.pem");
        for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&broken, text).unwrap();
            assert!(matches!(build(Some(&broken)), Err(CaBundleError::Parse(..))), "{text}");
        }
    }
}

//! Who may ask, and under which host name. Counts the requests by operation: this is where s3s names them.

use std::sync::Arc;

use s3s::access::{S3Access, S3AccessContext};
use s3s::host::{S3Host, VirtualHost};
use s3s::{S3Result, s3_error};

use super::Shared;

/// Lets in whoever has signed, or everybody.
pub(super) struct Doorkeeper(pub(super) Arc<Shared>);

#[async_trait::async_trait]
impl S3Access for Doorkeeper {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        if request.credentials().is_none() && !self.0.options.anonymous {
            return Err(s3_error!(AccessDenied, "the request is not signed"));
        }
        self.0.stats.request(request.s3_op().name());
        Ok(())
    }
}

/// `<bucket>.localhost` names a bucket; any other host is addressed by path.
pub(super) struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
        Ok(match name.strip_suffix(".localhost") {
            Some(bucket) => VirtualHost::new("localhost").with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}

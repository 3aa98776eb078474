//! The first contact with the bucket, and how its failure is told to the person who mounts.

use aws_sdk_s3::types::EncodingType;
use tokio::runtime::Handle;

use super::connection::Connection;
use super::failure::Failure;
use super::http_client::HttpClientError;
use super::options::S3Options;
use crate::env::store::ErrorKind;

/// Why the bucket cannot be used. Each is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no bucket was named")]
    NoBucketNamed,
    #[error(
        "found no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile, run where a role is \
         attached, or ask for unsigned requests if the bucket is public"
    )]
    NoCredentials,
    #[error("the service refused the credentials for bucket {bucket:?} ({reason})")]
    BadCredentials { bucket: String, reason: String },
    #[error("bucket {bucket:?} does not exist{at}")]
    NoSuchBucket { bucket: String, at: String },
    #[error("bucket {bucket:?} is not in region {region}, and following it elsewhere did not help ({reason})")]
    WrongRegion { bucket: String, region: String, reason: String },
    #[error("these credentials may not list bucket {bucket:?} under prefix {prefix:?} ({reason})")]
    AccessDenied { bucket: String, prefix: String, reason: String },
    #[error("cannot reach {endpoint} ({reason})")]
    Unreachable { endpoint: String, reason: String },
    #[error("cannot set up TLS, see AWS_CA_BUNDLE: {0}")]
    Tls(String),
    #[error("bucket {bucket:?}{at} cannot be used ({reason})")]
    Other { bucket: String, at: String, reason: String },
}

impl From<HttpClientError> for ConnectError {
    fn from(error: HttpClientError) -> Self {
        Self::Tls(error.to_string())
    }
}

/// Opens the connection and lists at most one key under the mount's prefix.
pub(super) async fn connect(options: S3Options, handle: Handle) -> Result<Connection, ConnectError> {
    if options.bucket.is_empty() {
        return Err(ConnectError::NoBucketNamed);
    }
    let connection = Connection::open(options, handle).await?;
    let probe = connection.call(|current| {
        let options = connection.options();
        // As every listing here: the first key may hold what XML cannot carry.
        let list =
            current.client.list_objects_v2().bucket(&options.bucket).max_keys(1).encoding_type(EncodingType::Url);
        let prefix = Some(options.prefix.clone()).filter(|prefix| !prefix.is_empty());
        list.set_prefix(prefix).send()
    });
    match probe.await {
        Ok(_) => Ok(connection),
        Err(failure) => Err(explain(&connection, failure)),
    }
}

fn explain(connection: &Connection, failure: Failure) -> ConnectError {
    let options = connection.options();
    let current = connection.current();
    let bucket = options.bucket.clone();
    let at = current.endpoint_url.as_deref().map(|url| format!(" at {}", without_user(url))).unwrap_or_default();
    let reason = failure.error.to_string();
    match failure.error.kind {
        ErrorKind::BadCredentials if failure.no_credentials => ConnectError::NoCredentials,
        ErrorKind::BadCredentials => ConnectError::BadCredentials { bucket, reason },
        ErrorKind::NoSuchBucket | ErrorKind::NotFound => ConnectError::NoSuchBucket { bucket, at },
        ErrorKind::WrongRegion => ConnectError::WrongRegion { bucket, region: current.region.clone(), reason },
        ErrorKind::AccessDenied => ConnectError::AccessDenied { bucket, prefix: options.prefix.clone(), reason },
        ErrorKind::Unreachable | ErrorKind::NoAnswer => {
            let endpoint = current
                .endpoint_url
                .as_deref()
                .map_or_else(|| format!("the S3 service of region {}", current.region), without_user);
            ConnectError::Unreachable { endpoint, reason }
        }
        ErrorKind::NoSuchUpload
        | ErrorKind::NotModified
        | ErrorKind::PreconditionFailed
        | ErrorKind::Conflict
        | ErrorKind::InvalidRange
        | ErrorKind::Archived
        | ErrorKind::Throttled
        | ErrorKind::Unavailable
        | ErrorKind::BrokenBody
        | ErrorKind::InvalidAnswer
        | ErrorKind::InvalidRequest
        | ErrorKind::Unsupported => ConnectError::Other { bucket, at, reason },
    }
}

/// The URL without `user:password@`, which some people put there.
fn without_user(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_user;

    #[test]
    fn a_password_in_the_endpoint_is_not_repeated_in_messages() {
        assert_eq!(without_user("http://me:secret@host:9000/a@b"), "http://host:9000/a@b");
        assert_eq!(without_user("http://host:9000"), "http://host:9000");
    }
}

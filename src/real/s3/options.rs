//! What must be known to reach one bucket, and how the bucket is addressed.

use std::fmt;
use std::net::IpAddr;

use super::protection::Protection;

/// How to reach one bucket. Everything but the bucket's name has a default that suits AWS; what is `None` here is looked
/// for in the environment, the profile and the metadata service, in the SDK's usual order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Options {
    /// A bucket's name, an access point's alias, or the ARN of an access point.
    pub bucket: String,
    /// The prefix under which the mount lives, or empty. Only used to try, at connect, whether it may be listed; the keys
    /// of requests are full keys.
    pub prefix: String,
    /// `None`: the environment's or the profile's; failing that, what the service says of the bucket.
    pub region: Option<String>,
    /// The base URL of another S3 service, like `http://127.0.0.1:9000`. `None`: `AWS_ENDPOINT_URL_S3`,
    /// `AWS_ENDPOINT_URL`, the profile's `endpoint_url`, else AWS.
    pub endpoint_url: Option<String>,
    /// Which profile of `~/.aws/config` to use.
    pub profile: Option<String>,
    /// Whether the bucket goes into the URL's path (`true`) or into its host name. `None`: into the path if the endpoint's
    /// host is an address or a bare name, where no name below it can exist, or if the bucket's name has dots, which no
    /// wildcard certificate covers; else into the host name.
    pub force_path_style: Option<bool>,
    /// Sign with these instead of what the default chain finds: for services that this process itself runs.
    pub credentials: Option<StaticCredentials>,
    /// Send requests unsigned (`--no-sign-request` elsewhere): for public buckets.
    pub anonymous: bool,
    /// Agree to be charged for requests and transfer from a requester-pays bucket.
    pub requester_pays: bool,
    /// Account id that must own the bucket, else every request is refused.
    pub expected_bucket_owner: Option<String>,
    /// Use endpoints that answer on IPv6 as well.
    pub dual_stack: bool,
    /// Use FIPS 140 endpoints.
    pub fips: bool,
    /// Use the bucket's Transfer Acceleration endpoint.
    pub transfer_acceleration: bool,
    /// Whether to hash and sign the bodies of uploads: a pass of SHA-256 over every byte, at about a CPU second per GiB.
    /// `None`: only where no TLS protects them. Wanted with TLS too where a bucket policy refuses `UNSIGNED-PAYLOAD`.
    pub sign_payloads: Option<bool>,
    /// What every new object is given.
    pub protection: Protection,
}

impl S3Options {
    /// Options for `bucket` with every default.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), ..Self::default() }
    }

    /// Whether this is a directory bucket (S3 Express One Zone), which lists in no order.
    pub fn is_directory_bucket(&self) -> bool {
        // The suffix is reserved by AWS: no other bucket may bear it.
        self.bucket.ends_with("--x-s3")
    }

    /// Whether to put the bucket into the path, given the endpoint that was found (`None`: AWS's own).
    pub(super) fn path_style(&self, endpoint_url: Option<&str>) -> bool {
        if let Some(forced) = self.force_path_style {
            return forced;
        }
        // An ARN has no path style at all, and is not a DNS name to begin with.
        if self.bucket.starts_with("arn:") || self.transfer_acceleration {
            return false;
        }
        self.bucket.contains('.') || endpoint_url.is_some_and(has_no_names_below)
    }
}

/// A key pair given by hand. Does not expire, and does not show its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticCredentials {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl fmt::Debug for StaticCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticCredentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Whether no DNS name can exist below the URL's host: it is an address, or a bare name like `localhost` or `minio`.
fn has_no_names_below(url: &str) -> bool {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host_and_port.starts_with('[') {
        return true;
    }
    let host = host_and_port.split_once(':').map_or(host_and_port, |(host, _)| host);
    host.parse::<IpAddr>().is_ok() || !host.trim_end_matches('.').contains('.')
}

#[cfg(test)]
mod tests {
    use super::S3Options;

    fn path_style(bucket: &str, endpoint: Option<&str>) -> bool {
        S3Options::new(bucket).path_style(endpoint)
    }

    #[test]
    fn aws_buckets_go_into_the_host_name() {
        assert!(!path_style("films", None));
        assert!(!path_style("films", Some("https://s3.eu-west-1.amazonaws.com")));
        assert!(!path_style("arn:aws:s3:eu-west-1:123456789012:accesspoint/films", None));
    }

    #[test]
    fn a_dotted_bucket_goes_into_the_path_because_no_certificate_covers_it() {
        assert!(path_style("films.example.org", None));
    }

    #[test]
    fn endpoints_below_which_no_name_can_exist_get_the_bucket_in_the_path() {
        for url in [
            "http://127.0.0.1:9000",
            "http://[::1]:9000/",
            "http://localhost:9000",
            "https://minio/base",
            "http://10.1.2.3",
            "HTTP://user@localhost:1",
        ] {
            assert!(path_style("films", Some(url)), "{url}");
        }
        assert!(!path_style("films", Some("https://storage.example.org:443/path/1.2")));
    }

    #[test]
    fn what_the_user_says_wins() {
        let never = S3Options { force_path_style: Some(false), ..S3Options::new("films") };
        assert!(!never.path_style(Some("http://127.0.0.1:9000")));
        let always = S3Options { force_path_style: Some(true), ..S3Options::new("films") };
        assert!(always.path_style(None));
    }

    #[test]
    fn a_directory_bucket_is_known_by_its_suffix() {
        assert!(S3Options::new("films--euw1-az1--x-s3").is_directory_bucket());
        assert!(!S3Options::new("films--x-s3-not").is_directory_bucket());
    }
}

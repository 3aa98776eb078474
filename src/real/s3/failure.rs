//! What one failed attempt means: the SDK's error and the server's answer, made into one [`StoreError`].
//!
//! Messages hold the server's code and words or the transport's; never a URL, a header or anything else that could hold
//! a signature.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use crate::env::store::{ErrorKind, StoreError};

/// One failed attempt, with what is needed to decide whether something here can be put right ([`super::heal`]).
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// The HTTP status, where there was an answer.
    pub(super) status: Option<u16>,
    /// S3's error code, where the answer had a body that told it. Answers to HEAD have none.
    pub(super) code: Option<String>,
    /// The region that the server says is the bucket's.
    pub(super) bucket_region: Option<String>,
    /// The answer's `Date`, in seconds since 1970.
    pub(super) server_unix_seconds: Option<i64>,
    /// That there are no credentials to sign with, rather than refused ones.
    pub(super) no_credentials: bool,
}

impl Failure {
    /// `now`: seconds since 1970, for a `Retry-After` that names a date.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>, now: i64) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        match error.raw_response() {
            Some(response) => Self::of_answer(error, response, now),
            None => Self::without_answer(error),
        }
    }

    /// A request that could not even be made.
    pub(super) fn before_sending(kind: ErrorKind, message: String) -> Self {
        Self {
            error: StoreError::new(kind, message),
            status: None,
            code: None,
            bucket_region: None,
            server_unix_seconds: None,
            no_credentials: false,
        }
    }

    /// What a batch's answer says of one of its keys.
    pub(super) fn of_one_key(code: Option<&str>, message: Option<&str>) -> StoreError {
        let message = format!("{}: {}", code.unwrap_or_default(), message.unwrap_or_default());
        // There is no status for one key; what is not known by its code is a plain refusal.
        StoreError::new(classify(400, code), message)
    }

    fn of_answer<E>(error: &SdkError<E, HttpResponse>, response: &HttpResponse, now: i64) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name);
        let code = error.code().filter(|code| !code.is_empty());
        let deletes_marker = header("x-amz-delete-marker") == Some("true");
        // S3 says which error it is, except to HEAD. A page without a code is somebody else's: that a load balancer knows
        // no backend says nothing about the object.
        let page = response.body().bytes().is_some_and(|body| !body.is_empty());
        let stray = code.is_none() && page && matches!(status, 404 | 412);
        let kind = match status {
            405 if deletes_marker => ErrorKind::NotFound,
            _ if stray => ErrorKind::InvalidAnswer,
            _ => classify(status, code),
        };
        let words = error.message().unwrap_or_default();
        let message = match (code, words) {
            (Some(code), "") => format!("HTTP {status} {code}"),
            (Some(code), words) => format!("HTTP {status} {code}: {words}"),
            (None, _) if (200..300).contains(&status) => format!("HTTP {status}: {}", chain(error)),
            (None, "") => format!("HTTP {status}"),
            (None, words) => format!("HTTP {status}: {words}"),
        };
        let retry_after = header("retry-after").and_then(|value| retry_after(value, now));
        Self {
            error: StoreError { kind, message, retry_after },
            status: Some(status),
            code: code.map(str::to_owned),
            bucket_region: header("x-amz-bucket-region")
                .filter(|region| !region.is_empty())
                .map(str::to_owned)
                .or_else(|| region_in_words(code, words)),
            server_unix_seconds: header("date").and_then(http_date),
            no_credentials: false,
        }
    }

    fn without_answer<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> Self {
        let credentials = find::<CredentialsError>(error);
        let no_credentials = matches!(credentials, Some(CredentialsError::CredentialsNotLoaded(_)));
        let kind = match error {
            _ if no_credentials => ErrorKind::BadCredentials,
            // The provider itself could not be reached, or answered nonsense: that may pass.
            _ if credentials.is_some() => ErrorKind::Unreachable,
            SdkError::ConstructionFailure(_) => ErrorKind::InvalidRequest,
            // The only deadline that the SDK is given is the one for connecting.
            SdkError::TimeoutError(_) => ErrorKind::Unreachable,
            SdkError::DispatchFailure(failure) if failure.is_user() => ErrorKind::InvalidRequest,
            SdkError::DispatchFailure(failure) if failure.is_timeout() || never_connected(error) => {
                ErrorKind::Unreachable
            }
            _ => ErrorKind::NoAnswer,
        };
        Self { no_credentials, ..Self::before_sending(kind, chain(error)) }
    }
}

/// The kind of an answer, by S3's code where there is one, else by the status.
fn classify(status: u16, code: Option<&str>) -> ErrorKind {
    code.and_then(|code| by_code(status, code)).unwrap_or_else(|| by_status(status))
}

/// Codes that say more than their status does, or that come with status 200 (copy and complete).
/// docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and what compatible stores say instead.
fn by_code(status: u16, code: &str) -> Option<ErrorKind> {
    Some(match code {
        "NoSuchKey" | "NoSuchVersion" => ErrorKind::NotFound,
        // The answer to a GET of a delete marker by its version id, where the header does not say so.
        "MethodNotAllowed" if status == 405 => ErrorKind::NotFound,
        "NoSuchBucket" | "NoSuchAccessPoint" => ErrorKind::NoSuchBucket,
        "NoSuchUpload" => ErrorKind::NoSuchUpload,
        "NotModified" => ErrorKind::NotModified,
        "PreconditionFailed" => ErrorKind::PreconditionFailed,
        "ConditionalRequestConflict" | "OperationAborted" => ErrorKind::Conflict,
        "InvalidRange" => ErrorKind::InvalidRange,
        "InvalidObjectState" => ErrorKind::Archived,
        "AccessDenied" | "AccountProblem" | "AllAccessDisabled" => ErrorKind::AccessDenied,
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "InvalidSecurity"
        | "RequestTimeTooSkewed"
        | "RequestExpired"
        | "NotSignedUp"
        | "UnrecognizedClientException" => ErrorKind::BadCredentials,
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "IllegalLocationConstraintException"
        | "AuthorizationHeaderMalformed" => ErrorKind::WrongRegion,
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestThrottled"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded" => ErrorKind::Throttled,
        // The service saw other bytes than were sent, or waited in vain for them: the next attempt may do better.
        "RequestTimeout"
        | "IncompleteBody"
        | "BadDigest"
        | "XAmzContentSHA256Mismatch"
        | "InternalError"
        | "ServiceUnavailable" => ErrorKind::Unavailable,
        "NotImplemented" => ErrorKind::Unsupported,
        _ => return None,
    })
}

fn by_status(status: u16) -> ErrorKind {
    match status {
        304 => ErrorKind::NotModified,
        300..=399 => ErrorKind::WrongRegion,
        401 => ErrorKind::BadCredentials,
        403 => ErrorKind::AccessDenied,
        404 => ErrorKind::NotFound,
        405 | 501 => ErrorKind::Unsupported,
        408 => ErrorKind::Unavailable,
        409 => ErrorKind::Conflict,
        412 => ErrorKind::PreconditionFailed,
        416 => ErrorKind::InvalidRange,
        429 => ErrorKind::Throttled,
        400..=499 => ErrorKind::InvalidRequest,
        500..=599 => ErrorKind::Unavailable,
        // A success that could not be understood, or that held an error nobody knows.
        _ => ErrorKind::InvalidAnswer,
    }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(value: &str, now: i64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let seconds = http_date(value)?.saturating_sub(now);
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

fn http_date(value: &str) -> Option<i64> {
    DateTime::from_str(value, Format::HttpDate).ok().map(|date| date.secs())
}

/// Services that leave the header out say "the region 'a' is wrong; expecting 'b'".
fn region_in_words(code: Option<&str>, words: &str) -> Option<String> {
    if code != Some("AuthorizationHeaderMalformed") {
        return None;
    }
    let (_, rest) = words.split_once("expecting '")?;
    let (region, _) = rest.split_once('\'')?;
    (!region.is_empty()).then(|| region.to_owned())
}

/// Whether it is certain that no connection was made, so that nothing was sent.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    find::<hyper_util::client::legacy::Error>(error).is_some_and(hyper_util::client::legacy::Error::is_connect)
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

/// The words of the error and of its sources, each once.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !words.contains(&next) {
            words.push_str(": ");
            words.push_str(&next);
        }
        source = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{by_status, classify, region_in_words, retry_after};
    use crate::env::store::ErrorKind;
    use std::time::Duration;

    #[test]
    fn answers_without_a_code_are_told_by_their_status() {
        for (status, kind) in [
            (304, ErrorKind::NotModified),
            (301, ErrorKind::WrongRegion),
            (307, ErrorKind::WrongRegion),
            (400, ErrorKind::InvalidRequest),
            (401, ErrorKind::BadCredentials),
            (403, ErrorKind::AccessDenied),
            (404, ErrorKind::NotFound),
            (409, ErrorKind::Conflict),
            (412, ErrorKind::PreconditionFailed),
            (416, ErrorKind::InvalidRange),
            (429, ErrorKind::Throttled),
            (500, ErrorKind::Unavailable),
            (501, ErrorKind::Unsupported),
            (502, ErrorKind::Unavailable),
            (503, ErrorKind::Unavailable),
            (504, ErrorKind::Unavailable),
            (200, ErrorKind::InvalidAnswer),
        ] {
            assert_eq!(by_status(status), kind, "{status}");
        }
    }

    #[test]
    fn a_code_says_more_than_its_status() {
        for (status, code, kind) in [
            (404, "NoSuchBucket", ErrorKind::NoSuchBucket),
            (404, "NoSuchUpload", ErrorKind::NoSuchUpload),
            (404, "NoSuchVersion", ErrorKind::NotFound),
            (405, "MethodNotAllowed", ErrorKind::NotFound),
            (403, "InvalidObjectState", ErrorKind::Archived),
            (403, "SignatureDoesNotMatch", ErrorKind::BadCredentials),
            (400, "ExpiredToken", ErrorKind::BadCredentials),
            (400, "AuthorizationHeaderMalformed", ErrorKind::WrongRegion),
            (400, "RequestTimeout", ErrorKind::Unavailable),
            (409, "OperationAborted", ErrorKind::Conflict),
            (503, "SlowDown", ErrorKind::Throttled),
            (503, "ServiceUnavailable", ErrorKind::Unavailable),
            (200, "InternalError", ErrorKind::Unavailable),
            (200, "SlowDown", ErrorKind::Throttled),
            (403, "SomethingNew", ErrorKind::AccessDenied),
        ] {
            assert_eq!(classify(status, Some(code)), kind, "{status} {code}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(" 7 ", 0), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 20), Some(Duration::from_secs(40)));
        assert_eq!(retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 100), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", 0), None);
    }

    #[test]
    fn the_region_is_found_in_the_words_where_the_header_is_missing() {
        let words = "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'";
        assert_eq!(region_in_words(Some("AuthorizationHeaderMalformed"), words).as_deref(), Some("eu-west-1"));
        assert_eq!(region_in_words(Some("AccessDenied"), words), None);
    }
}

//! Which failures this side can put right before the core hears of them.
//!
//! Only those that cannot fail differently by waiting: a wrong clock, an expired token, another region. Each is tried
//! once a request. All of them mean that the request was refused before it was looked at, so repeating it is safe for
//! mutations too. Pure: [`super::connection`] carries the remedies out.

use super::failure::Failure;

/// Beyond this many seconds between the server's clock and ours, a refused signature is put down to the clock. S3 itself
/// tolerates 15 minutes.
const SKEW_SECONDS_SUSPECT: u64 = 4 * 60;

/// What to do before the one repetition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Sign for this region, and address it.
    MoveTo { region: String },
    /// Load the credentials anew, from wherever they come.
    RefreshCredentials,
    /// Nothing: the SDK has noted the server's clock from the failed answer and signs by it from now on.
    RepeatWithCorrectedClock,
}

/// `region`: the one that the failed attempt was signed for. `now`: seconds since 1970 by the local clock.
pub(super) fn remedy(failure: &Failure, region: &str, now: i64) -> Option<Remedy> {
    let status = failure.status?;
    let code = failure.code.as_deref();
    if let (301 | 302 | 307 | 308 | 400 | 403, Some(other)) = (status, failure.bucket_region.as_deref())
        && other != region
    {
        return Some(Remedy::MoveTo { region: other.to_owned() });
    }
    let skewed = failure.server_unix_seconds.is_some_and(|server| server.abs_diff(now) > SKEW_SECONDS_SUSPECT);
    match (status, code) {
        (_, Some("RequestTimeTooSkewed")) => Some(Remedy::RepeatWithCorrectedClock),
        // A HEAD's bare 403 may be any refusal; with clocks apart it is most likely the clock's.
        (403, Some("SignatureDoesNotMatch" | "RequestExpired") | None) if skewed => {
            Some(Remedy::RepeatWithCorrectedClock)
        }
        (
            _,
            Some(
                "ExpiredToken"
                | "ExpiredTokenException"
                | "InvalidToken"
                | "TokenRefreshRequired"
                | "InvalidAccessKeyId"
                | "RequestExpired"
                | "UnrecognizedClientException",
            ),
        ) => Some(Remedy::RefreshCredentials),
        // A HEAD's bare 400: S3 answers so to an expired token, and has little else to refuse in a HEAD.
        (400, None) => Some(Remedy::RefreshCredentials),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Remedy, remedy};
    use crate::env::store::{ErrorKind, StoreError};
    use crate::real::s3::failure::Failure;

    fn failure(status: u16, code: Option<&str>) -> Failure {
        Failure {
            error: StoreError::from(ErrorKind::AccessDenied),
            status: Some(status),
            code: code.map(str::to_owned),
            bucket_region: None,
            server_unix_seconds: Some(1000),
            no_credentials: false,
        }
    }

    #[test]
    fn a_bucket_elsewhere_is_followed_to_its_region_but_not_in_circles() {
        let elsewhere = Failure { bucket_region: Some("eu-west-1".into()), ..failure(301, Some("PermanentRedirect")) };
        assert_eq!(remedy(&elsewhere, "us-east-1", 1000), Some(Remedy::MoveTo { region: "eu-west-1".into() }));
        assert_eq!(remedy(&elsewhere, "eu-west-1", 1000), None);
        assert_eq!(remedy(&failure(301, None), "us-east-1", 1000), None);
    }

    #[test]
    fn a_missing_object_says_nothing_of_regions() {
        let missing = Failure { bucket_region: Some("eu-west-1".into()), ..failure(404, Some("NoSuchKey")) };
        assert_eq!(remedy(&missing, "us-east-1", 1000), None);
    }

    #[test]
    fn a_wrong_clock_is_corrected() {
        let now_bare = |now| remedy(&failure(403, None), "r", now);
        assert_eq!(
            remedy(&failure(403, Some("RequestTimeTooSkewed")), "r", 1000),
            Some(Remedy::RepeatWithCorrectedClock)
        );
        assert_eq!(now_bare(5000), Some(Remedy::RepeatWithCorrectedClock));
        assert_eq!(now_bare(1010), None);
        assert_eq!(remedy(&failure(403, Some("AccessDenied")), "r", 5000), None);
    }

    #[test]
    fn an_expired_token_is_refreshed() {
        for code in [Some("ExpiredToken"), Some("InvalidAccessKeyId"), None] {
            assert_eq!(remedy(&failure(400, code), "r", 1000), Some(Remedy::RefreshCredentials), "{code:?}");
        }
    }

    #[test]
    fn without_an_answer_there_is_nothing_to_put_right() {
        assert_eq!(remedy(&Failure { status: None, ..failure(400, Some("ExpiredToken")) }, "r", 1000), None);
    }
}

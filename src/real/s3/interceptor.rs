//! What is added to every request and checked of every answer, whatever the operation.

use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;

use super::names::real_uri;
use super::options::S3Options;

/// Headers that concern the bucket as such.
#[derive(Clone, Debug)]
pub(super) struct BucketHeaders {
    requester_pays: bool,
    expected_bucket_owner: Option<String>,
}

impl BucketHeaders {
    /// `None` if none are wanted.
    pub(super) fn wanted(options: &S3Options) -> Option<Self> {
        let wanted = options.requester_pays || options.expected_bucket_owner.is_some();
        wanted.then(|| Self {
            requester_pays: options.requester_pays,
            expected_bucket_owner: options.expected_bucket_owner.clone(),
        })
    }
}

#[dyn_dispatch_hint]
impl Intercept for BucketHeaders {
    fn name(&self) -> &'static str {
        "BucketHeaders"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        if self.requester_pays {
            headers.insert("x-amz-request-payer", "requester");
        }
        if let Some(owner) = &self.expected_bucket_owner {
            headers.try_insert("x-amz-expected-bucket-owner", owner.clone())?;
            if headers.contains_key("x-amz-copy-source") {
                headers.try_insert("x-amz-source-expected-bucket-owner", owner.clone())?;
            }
        }
        Ok(())
    }
}

/// Puts the keys into the requests for which [`super::names::sent_key`] sent a stand-in, before the request is signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct RealKeys;

#[dyn_dispatch_hint]
impl Intercept for RealKeys {
    fn name(&self) -> &'static str {
        "RealKeys"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        if let Some(uri) = real_uri(request.uri()) {
            request.set_uri(uri)?;
        }
        Ok(())
    }
}

/// Refuses a partial answer that does not say which part it is. The SDK's output does not tell a 200 from a 206, and a
/// 206 taken for a 200 would pass for the whole object.
#[derive(Clone, Copy, Debug)]
pub(super) struct RangeAnswers;

#[dyn_dispatch_hint]
impl Intercept for RangeAnswers {
    fn name(&self) -> &'static str {
        "RangeAnswers"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        match response.status().as_u16() == 206 && !response.headers().contains_key("content-range") {
            true => Err("a partial answer without Content-Range".into()),
            false => Ok(()),
        }
    }
}

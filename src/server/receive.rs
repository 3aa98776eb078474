//! Takes a request's body into memory and checks it: length, Content-MD5, checksums in headers and trailers.

use aws_smithy_types::base64;
use futures_util::StreamExt;
use http::HeaderMap;
use md5::{Digest as _, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::{Checksum as Computed, StreamingBlob};
use s3s::{S3Request, S3Result, TrailingHeaders, s3_error};

use crate::bucket::{Checksum, Content, ContentBuilder, DigestKind};

/// The checksums S3 knows, by the header or trailer that carries them.
pub(super) const CHECKSUM_HEADERS: [&str; 5] = [
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
];

/// What the request says about its body.
pub(super) struct Declared {
    length: Option<u64>,
    md5: Option<String>,
    /// Those of [`CHECKSUM_HEADERS`] that are given or announced, with the value if it is known already.
    checksums: Vec<(&'static str, Option<String>)>,
    trailers: Option<TrailingHeaders>,
}

impl Declared {
    pub(super) fn by<T>(request: &S3Request<T>, length: Option<i64>, md5: Option<String>) -> Self {
        let text = |name: &str| header(&request.headers, name);
        let announced = text("x-amz-trailer").unwrap_or_default().to_ascii_lowercase();
        let checksums = CHECKSUM_HEADERS
            .into_iter()
            .filter_map(|name| match text(name) {
                Some(value) => Some((name, Some(value))),
                None => announced.split(',').any(|trailer| trailer.trim() == name).then_some((name, None)),
            })
            .collect();
        let length = length.and_then(|length| u64::try_from(length).ok());
        Self { length, md5, checksums, trailers: request.trailing_headers.clone() }
    }

    /// Answers one of the checksums, if there are any.
    fn check(&self, computed: &Computed) -> S3Result<Option<Checksum>> {
        let mut checked = None;
        for &(name, ref given) in &self.checksums {
            let trailing = || self.trailers.as_ref()?.read(|headers| header(headers, name)).flatten();
            let Some(given) = given.clone().or_else(trailing) else {
                return Err(s3_error!(InvalidRequest, "the announced trailer {name} is missing"));
            };
            if computed_value(computed, name) != Some(&given) {
                return Err(s3_error!(BadDigest, "{name} does not fit the body"));
            }
            checked = Some(Checksum { header: name, value: given });
        }
        Ok(checked)
    }
}

/// Reads `body` to its end. Answers a checksum that it was sent with, too.
pub(super) async fn receive(
    body: Option<StreamingBlob>,
    declared: Declared,
    digest: DigestKind,
) -> S3Result<(Content, Option<Checksum>)> {
    let mut content = ContentBuilder::new(digest, declared.length.unwrap_or(0));
    let names: Vec<&str> = declared.checksums.iter().map(|(name, _)| *name).collect();
    let mut checksums = hasher(&names);
    let mut md5 = declared.md5.as_ref().map(|_| Md5::new());
    let mut size = 0;
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| s3_error!(IncompleteBody, "{error}"))?;
            size += chunk.len() as u64;
            content.push(&chunk);
            checksums.update(&chunk);
            if let Some(md5) = &mut md5 {
                md5.update(&chunk);
            }
        }
    }
    if declared.length.is_some_and(|length| length != size) {
        return Err(s3_error!(IncompleteBody, "{size} bytes came"));
    }
    if md5.map(|md5| base64::encode(md5.finalize())) != declared.md5 {
        return Err(s3_error!(BadDigest, "Content-MD5 does not fit the body"));
    }
    let checked = declared.check(&checksums.finalize())?;
    Ok((content.finish(), checked))
}

/// For the checksums whose headers these are.
pub(super) fn hasher(names: &[&str]) -> ChecksumHasher {
    let wants = |name: &str| names.contains(&name);
    ChecksumHasher {
        crc32: wants("x-amz-checksum-crc32").then(Crc32::new),
        crc32c: wants("x-amz-checksum-crc32c").then(Crc32c::new),
        crc64nvme: wants("x-amz-checksum-crc64nvme").then(Crc64Nvme::new),
        sha1: wants("x-amz-checksum-sha1").then(Sha1::new),
        sha256: wants("x-amz-checksum-sha256").then(Sha256::new),
    }
}

pub(super) fn computed_value<'a>(computed: &'a Computed, name: &str) -> Option<&'a String> {
    match name {
        "x-amz-checksum-crc32" => computed.checksum_crc32.as_ref(),
        "x-amz-checksum-crc32c" => computed.checksum_crc32c.as_ref(),
        "x-amz-checksum-crc64nvme" => computed.checksum_crc64nvme.as_ref(),
        "x-amz-checksum-sha1" => computed.checksum_sha1.as_ref(),
        "x-amz-checksum-sha256" => computed.checksum_sha256.as_ref(),
        _ => None,
    }
}

pub(super) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.trim().to_owned())
}

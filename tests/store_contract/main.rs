//! The store contract: one suite of cases, run on every [`holdfast::env::Store`] there is.
//!
//! The cases stand in `cases`, every one in the table of `suite`; the stores in `backends`. A case names a rule of
//! `src/env/store.rs` or of the S3 API reference. A store that breaks one on purpose or by age is listed with the reason
//! in its backend's deviations, and the suite fails when a listed case passes, so that such lists only shrink.

#![allow(clippy::disallowed_methods)]

mod backends;
mod cases;
mod suite;

use holdfast::real::{ChecksumKind, CustomerKey, Encryption, Protection};

use backends::{http::Http, memory::Memory, moto::Moto};

#[test]
fn the_bucket_in_memory_keeps_the_contract() {
    suite::run(&Memory);
}

#[test]
fn the_same_bucket_over_http_keeps_the_contract() {
    suite::run(&Http::start());
}

#[test]
fn it_does_with_objects_that_are_encrypted_by_the_clients_key_and_carry_checksums() {
    let encryption = Encryption::Customer(CustomerKey::new([7; 32]));
    suite::run(&Http::protecting(Protection { encryption, acl: None, checksum: Some(ChecksumKind::Crc64Nvme) }));
}

#[test]
fn s3_over_http_against_moto_keeps_the_contract() {
    if let Some(moto) = Moto::start() {
        suite::run(&moto);
    }
}

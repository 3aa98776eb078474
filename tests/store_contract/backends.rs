//! The stores that the contract is tried on.

pub mod http;
pub mod memory;
pub mod moto;

use holdfast::env::Store;

/// A maker of empty buckets.
pub trait Backend {
    type Store: Store + Sync;

    const NAME: &'static str;

    /// Cases that this store is known to fail, each with the reason.
    const DEVIATIONS: &'static [(&'static str, &'static str)] = &[];

    /// A new, empty bucket; `versioned`: one that keeps versions.
    fn bucket(&self, versioned: bool) -> Self::Store;
}

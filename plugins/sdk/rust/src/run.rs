//! The run that this call is. Off wasm it is always the first one, with the seed 0.

#[cfg(target_family = "wasm")]
use crate::bindings::pigeon::plugin::run as host;

/// Which execution of this item by this worker place it is, from 0.
#[must_use]
pub fn iteration() -> u32 {
    host::iteration()
}

/// The worker place that the run belongs to, from 0. Always 0 in a job of many items.
#[must_use]
pub fn worker() -> u32 {
    host::worker()
}

/// The run's own seed. The same run of the same job has the same one, wherever and whenever it runs.
#[must_use]
pub fn seed() -> u64 {
    host::seed()
}

#[cfg(not(target_family = "wasm"))]
mod host {
    pub(super) fn iteration() -> u32 {
        0
    }
    pub(super) fn worker() -> u32 {
        0
    }
    pub(super) fn seed() -> u64 {
        0
    }
}

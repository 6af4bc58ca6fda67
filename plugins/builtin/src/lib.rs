//! The built-in validators, built from source by the ordinary build and embedded as bytes.
//!
//! They are components like any other: nothing here, nor in the host, gives them a way that a published plugin does
//! not have. Their source is the workspace in `plugins/`; `build.rs` builds it.

/// A validator that comes with Pigeon.
#[derive(Clone, Copy)]
pub struct BuiltIn {
    /// Its name, the same as in its metadata.
    pub name: &'static str,
    /// The component.
    pub component: &'static [u8],
}

/// All built-in validators, in the order in which lists show them.
pub static BUILT_IN: &[BuiltIn] = include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// The built-in validator of this name.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|built_in| built_in.name == name)
}

/// A guest that does everything a guest should not: the deed is chosen by the option `do`.
#[cfg(feature = "hostile")]
pub static HOSTILE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostile.wasm"));

/// The same guest, whose metadata asks for a fresh instance a run.
#[cfg(feature = "hostile")]
pub static HOSTILE_FRESH: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostile-fresh.wasm"));

/// The same guest as a `batch-validator`.
#[cfg(feature = "hostile")]
pub static HOSTILE_BATCH: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostile-batch.wasm"));

impl std::fmt::Debug for BuiltIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuiltIn").field("name", &self.name).field("bytes", &self.component.len()).finish()
    }
}

//! The embedded store: a directory with one SQLite file, and files by digest beside it.
//!
//! ```text
//! DIR/pigeon.db        plugins, jobs, chunks of items, outcomes (WAL, synchronous=FULL)
//! DIR/bodies/HEX       components and large items, by SHA-256
//! DIR/locks/           kernel locks: one a job, one for the directory, one for `bodies`
//! ```

use std::path::Path;

use crate::Result;

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Options {
    /// Who else may use the directory.
    pub access: Access,
}

/// Who may use a state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Any number of processes; each job has one owner among them.
    #[default]
    Shared,
    /// This process alone.
    Alone,
}

/// The embedded store. See the [module](self).
#[derive(Debug)]
pub struct SqliteStore {}

impl SqliteStore {
    /// Open the store in `dir`, and make it if there is none. Takes some milliseconds on the calling thread.
    ///
    /// Fails with [`Busy`](crate::StoreError::Busy) if another process uses the directory alone (or at all, if this one
    /// wants it alone), and with [`NewerSchema`](crate::StoreError::NewerSchema) if a newer version wrote it.
    pub fn open(_dir: &Path, _options: Options) -> Result<Self> {
        Err(crate::StoreError::Closed)
    }
}

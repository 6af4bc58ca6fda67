//! The embedded store: it does what every store does, and what only it promises.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod conformance;

use pigeon_store::{Options, SqliteStore};
use tempfile::TempDir;

fn open() -> (SqliteStore, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (SqliteStore::open(dir.path(), Options::default()).unwrap(), dir)
}

conformance::suite!(open());

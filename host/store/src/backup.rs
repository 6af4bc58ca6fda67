//! Backups: a copy of all that is kept as of one moment, as a tar archive, and the way back.

use std::{
    io::{Read, Write},
    path::Path,
};

use crate::{Result, StoreError};

/// A copy of all that is kept, on the same disk. It goes when this is dropped.
#[derive(Debug)]
pub struct Backup {}

impl Backup {
    /// Write it as a tar archive, which [`restore`] understands. Blocks.
    pub fn write_to(&self, _archive: &mut dyn Write) -> Result<()> {
        Err(StoreError::Archive { what: "it was not written".to_owned() })
    }
}

/// Make a state directory of an archive. `dir` is made; it may be there, but has to be empty. It gets its name when it is
/// whole. Blocks.
pub fn restore(_archive: &mut dyn Read, _dir: &Path) -> Result<()> {
    Err(StoreError::Archive { what: "it was not read".to_owned() })
}

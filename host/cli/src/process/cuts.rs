//! What of a job's input could not be taken: bad standard input, files that changed, streams that were lost.
//!
//! The job is sealed with what came, and would then look like a whole one. So what is missing is written down in the
//! state directory before that, and told by every later report.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use pigeon_api::JobId;
use serde::{Deserialize, Serialize};

use crate::{exit::Failed, input::InputError};

/// A part of the input that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cut {
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl From<&InputError> for Cut {
    fn from(error: &InputError) -> Self {
        let because = std::error::Error::source(error).map(ToString::to_string);
        Self { message: error.to_string(), because, hint: error.hint() }
    }
}

impl From<Cut> for Failed {
    fn from(cut: Cut) -> Self {
        let mut failed = Failed::usage(cut.message);
        if let Some(because) = cut.because {
            failed = failed.caused_by(because);
        }
        match cut.hint {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }
}

/// All that is missing of one job's input, and where that is written down.
#[derive(Debug, Clone)]
pub(super) struct Cuts {
    folder: PathBuf,
    pub(super) cuts: Vec<Cut>,
}

impl Cuts {
    /// Nothing is missing yet.
    pub(super) fn none(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("notes"), cuts: Vec::new() }
    }

    /// What was written down of a job.
    ///
    /// # Errors
    /// If that is there and cannot be read.
    pub(super) fn read(state_dir: &Path, job: JobId) -> Result<Self, Failed> {
        let mut cuts = Self::none(state_dir);
        let path = cuts.path(job);
        let failed = || Failed::machinery(format!("failed to read {}", path.display()));
        match fs::read(&path) {
            Ok(bytes) => cuts.cuts = serde_json::from_slice(&bytes).map_err(|error| failed().caused_by(error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed().caused_by(error)),
        }
        Ok(cuts)
    }

    /// Say that something is missing; once is enough.
    pub(super) fn add(&mut self, error: &InputError) {
        let cut = Cut::from(error);
        if !self.cuts.contains(&cut) {
            self.cuts.push(cut);
        }
    }

    /// Write down what is missing, if anything is: as a whole or not at all.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub(super) fn write(&self, job: JobId) -> Result<(), Failed> {
        if self.cuts.is_empty() {
            return Ok(());
        }
        let path = self.path(job);
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            let new = path.with_extension("new");
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec(&self.cuts)?)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| Failed::machinery(format!("failed to write {}", path.display())).caused_by(error))
    }

    fn path(&self, job: JobId) -> PathBuf {
        self.folder.join(format!("{job}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let job: JobId = "0198f3c2-7d4e-7c11-9a51-0a4d2b8f6e01".parse().unwrap();
        assert!(Cuts::read(dir.path(), job).unwrap().cuts.is_empty());
        let mut cuts = Cuts::none(dir.path());
        for _ in 0..2 {
            cuts.add(&InputError::Changed { given: "a".to_owned() });
        }
        assert_eq!(cuts.cuts.len(), 1);
        cuts.write(job).unwrap();
        assert_eq!(Cuts::read(dir.path(), job).unwrap().cuts, cuts.cuts);
        fs::write(dir.path().join(format!("notes/{job}.json")), "[").unwrap();
        Cuts::read(dir.path(), job).unwrap_err();
    }
}

//! What a server that runs says of itself in its state folder (`run.json`), for commands on the same machine.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{exit::Failed, pid::ProcessId};

/// A server that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Its process.
    #[serde(flatten)]
    pub(crate) process: ProcessId,
    /// The version of its program.
    pub(crate) version: String,
    /// Where its API is, as a URL.
    pub(crate) api: String,
    /// Where agents of this machine connect: `HOST:PORT`.
    pub(crate) agents: String,
}

impl Running {
    /// The one that runs in this state folder, if one does.
    ///
    /// # Errors
    /// If it cannot be told.
    pub(crate) fn read(state_dir: &Path) -> Result<Option<Self>, Failed> {
        let path = path(state_dir);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Failed::usage(format!("failed to read {}", path.display()))
                    .caused_by(error)
                    .hint("may this user look into the state folder of the server?"));
            }
        };
        // One that is cut off was being written when the machine went down.
        let running: Option<Self> = serde_json::from_slice(&bytes).ok();
        Ok(running.filter(|running| running.process.is_alive()))
    }

    /// Say it: as a whole or not at all.
    pub(super) fn write(&self, state_dir: &Path) -> io::Result<()> {
        let path = path(state_dir);
        let new = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        fs::rename(new, path)
    }

    /// Say that none runs any more.
    pub(super) fn forget(state_dir: &Path) {
        // What is left there names a process that has ended.
        let _ = fs::remove_file(path(state_dir));
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("run.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_that_runs_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Running::read(dir.path()).unwrap(), None);
        let running = Running {
            process: ProcessId::of_self().unwrap(),
            version: "0.1.0".to_owned(),
            api: "http://127.0.0.1:1".to_owned(),
            agents: "127.0.0.1:2".to_owned(),
        };
        running.write(dir.path()).unwrap();
        assert_eq!(Running::read(dir.path()).unwrap(), Some(running.clone()));

        // Another process has its number now.
        let text = fs::read_to_string(path(dir.path())).unwrap();
        let started = text.lines().find(|line| line.contains("started")).unwrap();
        fs::write(path(dir.path()), text.replace(started, "  \"started\": 1,")).unwrap();
        assert_eq!(Running::read(dir.path()).unwrap(), None);
        fs::write(path(dir.path()), "{").unwrap();
        assert_eq!(Running::read(dir.path()).unwrap(), None);
        Running::forget(dir.path());
        assert!(!path(dir.path()).exists());
    }
}

//! What is known of a cluster, and where it lies.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::find;
use crate::{
    dirs::{self, quoted},
    exit::Failed,
    pid::ProcessId,
    screen::Screen,
};

/// Where a cluster lies.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    /// Whether it was named.
    given: bool,
}

/// What is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cluster {
    /// The server, once one was started.
    pub(super) server: Option<ProcessId>,
    /// Where it listened last: it does so again, so that the agents find it.
    pub(super) api: Option<SocketAddr>,
    pub(super) hub: Option<SocketAddr>,
    /// By name.
    pub(super) agents: BTreeMap<String, Member>,
    /// The context that was in use before this cluster's.
    pub(super) before: Option<String>,
    /// How many agents there are to be, as was said last.
    #[serde(default)]
    pub(super) wanted: Option<u16>,
    /// How many slots each of them is to have, if that was said then.
    #[serde(default)]
    pub(super) slots: Option<u16>,
}

/// An agent, and what it was started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) process: ProcessId,
    pub(super) hub: SocketAddr,
    pub(super) slots: u16,
    /// Memory of its guests, in bytes.
    pub(super) memory: u64,
}

/// Held by whoever is at work on the cluster.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Place {
    /// From what was given and the environment.
    ///
    /// # Errors
    /// If neither says where.
    pub(super) fn new(given: Option<PathBuf>) -> Result<Self, Failed> {
        let named = given.is_some();
        let dir = given.or_else(|| dirs::state().map(|dir| dir.join("up"))).ok_or_else(|| {
            Failed::usage("failed to find a folder for the cluster").hint("set HOME, or say where with --state-dir")
        })?;
        let dir = std::path::absolute(dir)
            .map_err(|error| Failed::usage("failed to find the current folder").caused_by(error))?;
        Ok(Self { dir, given: named })
    }

    pub(super) fn server(&self) -> PathBuf {
        self.dir.join("server")
    }

    pub(super) fn agent(&self, name: &str) -> PathBuf {
        self.dir.join("agents").join(name)
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{name}.log"))
    }

    /// Where to look for what somebody of it said last.
    pub(super) fn log_is(&self, name: &str) -> String {
        format!("its log is {}", self.log(name).display())
    }

    /// This command with the flags that name the same cluster.
    pub(super) fn command(&self, command: &str) -> String {
        if self.given {
            format!("{command} --state-dir {}", quoted(&self.dir.to_string_lossy()))
        } else {
            command.to_owned()
        }
    }

    /// Make it, for this user alone.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn make(&self) -> Result<(), Failed> {
        let make = |dir: &Path| DirBuilder::new().recursive(true).mode(0o700).create(dir);
        let made =
            make(&self.dir).and_then(|()| make(&self.dir.join("logs"))).and_then(|()| make(&self.dir.join("agents")));
        made.map_err(|error| self.failed("make", error))
    }

    /// Be the only one at work on it.
    ///
    /// # Errors
    /// If somebody else is.
    pub(super) fn lock(&self) -> Result<Lock, Failed> {
        let path = self.dir.join("up.lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(|error| self.failed("lock", error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock { _file: file }),
            Err(Errno::WOULDBLOCK) => {
                Err(Failed::usage(format!("another `pigeon up` or `pigeon down` is at work in {}", self.dir.display()))
                    .hint("wait until it is done, and say it again"))
            }
            Err(errno) => Err(self.failed("lock", errno.into())),
        }
    }

    /// What is known of it; nothing if it was never up. Where that is lost, what runs is looked for.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn read(&self, screen: &Screen) -> Result<Cluster, Failed> {
        let path = self.dir.join("up.json");
        let known = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| format!("cannot be understood ({error})")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err("is missing".to_owned()),
            Err(error) => return Err(self.failed("read", error)),
        };
        known.or_else(|why| {
            let found = find::cluster(self);
            let nothing = found == Cluster::default();
            if path.exists() || !nothing {
                let count = found.agents.len() + usize::from(found.server.is_some());
                let path = path.display();
                screen.warn(&format!("{path} {why}; processes of the cluster that were found all the same: {count}"));
            }
            Ok(found)
        })
    }

    /// Keep it: as a whole or not at all.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub(super) fn write(&self, cluster: &Cluster) -> Result<(), Failed> {
        let path = self.dir.join("up.json");
        let write = || -> io::Result<()> {
            let new = path.with_extension("new");
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec_pretty(cluster)?)?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(|error| self.failed("write to", error))
    }

    fn failed(&self, what: &str, error: io::Error) -> Failed {
        Failed::machinery(format!("failed to {what} {}", self.dir.display()))
            .caused_by(error)
            .hint("see that this user may write there, or name another folder with --state-dir")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::Colours;

    #[test]
    fn what_is_kept_is_read_again_and_one_works_on_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let screen = Screen::new(Colours::Never);
        let place = Place::new(Some(dir.path().join("up"))).unwrap();
        place.make().unwrap();
        assert_eq!(place.read(&screen).unwrap(), Cluster::default());
        let member = Member {
            process: ProcessId::of_self().unwrap(),
            hub: "127.0.0.1:1".parse().unwrap(),
            slots: 2,
            memory: 1 << 30,
        };
        let cluster = Cluster {
            server: ProcessId::of_self(),
            api: Some("127.0.0.1:2".parse().unwrap()),
            hub: Some(member.hub),
            agents: [("worker-1".to_owned(), member)].into(),
            before: Some("prod".to_owned()),
            wanted: Some(1),
            slots: None,
        };
        place.write(&cluster).unwrap();
        assert_eq!(place.read(&screen).unwrap(), cluster);

        // What is damaged is no dead end.
        fs::write(place.dir.join("up.json"), "{").unwrap();
        assert_eq!(place.read(&screen).unwrap(), Cluster::default());

        let lock = place.lock().unwrap();
        let refused = place.lock().unwrap_err();
        assert!(refused.to_string().contains("is at work in"), "{refused}");
        drop(lock);
        place.lock().unwrap();
    }
}

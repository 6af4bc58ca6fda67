//! Processes of a cluster, found by their arguments: for where nobody knows any more which they are.

use std::{
    fs,
    net::SocketAddr,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use super::cluster::{Cluster, Member, Place};
use crate::pid::ProcessId;

/// What runs of the cluster in this place.
pub(super) fn cluster(place: &Place) -> Cluster {
    let mut cluster = Cluster::default();
    // Who cannot tell whose a process is takes none for its own.
    let Some(us) = Whose::of("self") else { return cluster };
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some((pid, line)) = pid.and_then(|pid| Some((pid, fs::read(entry.path().join("cmdline")).ok()?))) else {
            continue;
        };
        let Some(found) = found(place, &line) else { continue };
        // Anybody may give a program such arguments, and a container may have a folder of the same path.
        if !is_ours(Whose::of(&pid.to_string()).as_ref(), &us) {
            continue;
        }
        // It has its arguments still, so this is it, or one that began anew with the very same.
        let Some(process) = ProcessId::of(pid) else { continue };
        match found {
            Found::Server => cluster.server = Some(process),
            Found::Agent { name, hub, slots, memory } => {
                cluster.agents.insert(name, Member { process, hub, slots, memory });
            }
        }
    }
    cluster
}

/// Whose a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Whose {
    user: u32,
    /// The namespace in which its paths mean what they mean.
    mounts: PathBuf,
}

impl Whose {
    /// That which /proc has under this name; nothing if it has ended, or may not be looked at, as another user's may not.
    fn of(process: &str) -> Option<Self> {
        let dir = Path::new("/proc").join(process);
        Some(Self { user: fs::metadata(&dir).ok()?.uid(), mounts: fs::read_link(dir.join("ns/mnt")).ok()? })
    }
}

/// Whether we started it, or may as well have: paths mean to it what they mean to us, and it is our user's.
fn is_ours(whose: Option<&Whose>, us: &Whose) -> bool {
    whose == Some(us)
}

/// What a process of the cluster is.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Server,
    Agent { name: String, hub: SocketAddr, slots: u16, memory: u64 },
}

/// What a process with these arguments is in it, each ended by a zero; nothing if it is none of its processes.
fn found(place: &Place, line: &[u8]) -> Option<Found> {
    let args: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let raw = |flag: &str| {
        let at = args.iter().position(|arg| *arg == flag.as_bytes())?;
        args.get(at + 1).copied()
    };
    let text = |flag: &str| std::str::from_utf8(raw(flag)?).ok();
    let lives_in = |dir: &Path| raw("--state-dir") == Some(dir.as_os_str().as_bytes());
    match args.get(1).copied()? {
        b"serve" if lives_in(&place.server()) => Some(Found::Server),
        b"agent" => {
            let name = text("--name").filter(|name| lives_in(&place.agent(name)))?.to_owned();
            let hub = text("--hub")?.parse().ok()?;
            Some(Found::Agent {
                name,
                hub,
                slots: text("--slots")?.parse().ok()?,
                memory: text("--memory")?.parse().ok()?,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_others_are_none_of_the_cluster() {
        let us = Whose::of("self").unwrap();
        assert_eq!(us.user, rustix::process::geteuid().as_raw());
        assert!(is_ours(Whose::of(&std::process::id().to_string()).as_ref(), &us));
        assert!(!is_ours(Some(&Whose { user: us.user + 1, ..us.clone() }), &us), "another user's");
        assert!(!is_ours(Some(&Whose { mounts: "mnt:[1]".into(), ..us.clone() }), &us), "of a container");
        assert!(!is_ours(Whose::of("0").as_ref(), &us), "nobody's");
    }

    #[test]
    fn only_processes_of_the_very_cluster_are_found() {
        let place = Place::new(Some("/srv/up".into())).unwrap();
        let found = |args: &str| super::found(&place, args.replace(' ', "\0").as_bytes());
        assert_eq!(found("pigeon serve --state-dir /srv/up/server --listen 127.0.0.1:0 "), Some(Found::Server));
        let agent = "pigeon agent --hub 127.0.0.1:7 --name worker-1 --slots 2 --memory 9 --state-dir";
        let worker = Found::Agent { name: "worker-1".into(), hub: "127.0.0.1:7".parse().unwrap(), slots: 2, memory: 9 };
        assert_eq!(found(&format!("{agent} /srv/up/agents/worker-1 ")), Some(worker));
        for other in [
            "",
            "pigeon serve --state-dir /srv/up2/server ",
            "pigeon serve --state-dir",
            "tail -f /srv/up/server ",
            &format!("{agent} /srv/up/agents/worker-2 "),
            "pigeon agent --name worker-1 --state-dir /srv/up/agents/worker-1 ",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }
}

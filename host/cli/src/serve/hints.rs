//! What to do about a server that cannot begin.

use std::{error::Error, io, net::SocketAddr, path::Path};

use pigeon_control::{ControlError, rest::RestError};

/// Of the state folder, by what the system says.
pub(super) fn folder(dir: &Path, kind: io::ErrorKind) -> String {
    let why = match kind {
        _ if dir.exists() && !dir.is_dir() => "it is there, and is no folder",
        _ if dir.is_symlink() && !dir.exists() => "it is a link that leads nowhere",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is mounted to be read only",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "there is no room on the disk",
        _ => "see that this user may read and write there",
    };
    format!("{why}; --state-dir names another folder")
}

/// Of the control host.
pub(super) fn control(error: &ControlError, dir: &Path, hub: SocketAddr) -> String {
    match error {
        ControlError::Hub(_) => place(error, hub, "--listen"),
        _ => match (error.hint(), system(error)) {
            (Some(hint), _) => hint.to_owned(),
            (None, Some(kind)) => folder(dir, kind),
            (None, None) => "PIGEON_LOG=debug says more".to_owned(),
        },
    }
}

/// Of the API.
pub(super) fn api(error: &RestError) -> String {
    match error {
        RestError::Plain { .. } => "leave api.tls at auto, or listen on 127.0.0.1".to_owned(),
        RestError::Listen { listen, .. } => place(error, *listen, "--api-listen"),
        RestError::Certificate(_) => "PIGEON_LOG=debug says more".to_owned(),
    }
}

/// Of an address that cannot be listened on.
fn place(error: &(dyn Error + 'static), at: SocketAddr, flag: &str) -> String {
    match system(error) {
        Some(io::ErrorKind::AddrInUse) => {
            format!("is another server on {at}? {flag} names another place, port 0 any that is free")
        }
        Some(io::ErrorKind::PermissionDenied) => format!(
            "ports below 1024 are for root, or take the capability CAP_NET_BIND_SERVICE; {flag} names another place"
        ),
        Some(io::ErrorKind::AddrNotAvailable) => format!(
            "this machine has no address {}; 0.0.0.0 means all that it has, and {flag} names another place",
            at.ip()
        ),
        _ => format!("{flag} names another place"),
    }
}

/// What the system says about it.
fn system(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_place_is_told_of_by_what_is_wrong_with_it() {
        let at: SocketAddr = "192.0.2.1:80".parse().unwrap();
        for (kind, told) in [
            (io::ErrorKind::AddrInUse, "is another server on 192.0.2.1:80? --listen names another place"),
            (io::ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE"),
            (io::ErrorKind::AddrNotAvailable, "this machine has no address 192.0.2.1"),
            (io::ErrorKind::OutOfMemory, "--listen names another place"),
        ] {
            let error = RestError::Listen { listen: at, source: kind.into() };
            assert!(place(&error, at, "--listen").contains(told), "{kind}: {}", place(&error, at, "--listen"));
        }
        assert!(api(&RestError::Plain { listen: at }).contains("127.0.0.1"));
    }

    #[test]
    fn a_folder_is_told_of_by_what_is_there_instead() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "").unwrap();
        symlink("nowhere", &link).unwrap();
        for (path, kind, told) in [
            (file, io::ErrorKind::AlreadyExists, "is no folder"),
            (link, io::ErrorKind::AlreadyExists, "leads nowhere"),
            (dir.path().join("new"), io::ErrorKind::ReadOnlyFilesystem, "read only"),
            (dir.path().join("new"), io::ErrorKind::PermissionDenied, "this user may read and write there"),
        ] {
            let hint = folder(&path, kind);
            assert!(hint.contains(told) && hint.contains("--state-dir"), "{hint}");
        }
    }
}

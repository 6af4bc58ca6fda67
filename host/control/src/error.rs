//! Errors of the control host, and how they look to a client.

use pigeon_api::{ApiError, ErrorKind};
use pigeon_hub::ca::CaError;
use pigeon_store::StoreError;

/// The control host could not be brought up, or not be kept up.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The state directory cannot be used.
    #[error("failed to open the state directory {path}")]
    State {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The certificates of this control host cannot be made.
    #[error("failed to make the control host's certificates")]
    Certificates(#[from] pigeon_hub::ca::CaError),
    /// The hub cannot be brought up.
    #[error("failed to start the hub")]
    Hub(#[from] pigeon_hub::HubError),
    /// A file that this control host keeps to itself cannot be used.
    #[error("failed to {attempt} {path}")]
    Secret {
        /// What was attempted: `read`, `write`, `create`.
        attempt: &'static str,
        /// On what.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The key with which plugins are signed is none.
    #[error("{path} holds no signing key: restore it, or remove it to begin with a new one")]
    SigningKey {
        /// Which file.
        path: std::path::PathBuf,
    },
    /// What is kept of the queue cannot be taken up.
    #[error("failed to take up the queue")]
    Queue(#[source] ApiError),
    /// The task that decides what runs where has ended, and should not have.
    #[error("the owner of the queue ended badly")]
    OwnerLost,
    /// The system gave no random bytes.
    #[error("failed to draw random bytes from the system")]
    NoRandomness,
}

impl ControlError {
    /// What to do about it, where that does not depend on who asks.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::State { source: StoreError::Busy { .. }, .. } => Some(
                "one server at a time works in a state folder, and no embedded control host beside it; --state-dir \
                 names another",
            ),
            Self::State { source, .. } => store_hint(source),
            Self::Certificates(CaError::Half { .. } | CaError::Crypto { .. }) => Some(
                "a backup has both files in its folder ca; a new CA is made where both are removed, and then clients \
                 and agents have to come to know it",
            ),
            Self::Queue(error) => error.hint.as_deref(),
            _ => None,
        }
    }
}

/// What to do about a store that cannot be used.
fn store_hint(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::DiskFull { .. } => {
            Some("free some space, or name another directory with --state-dir; what was acknowledged is safe")
        }
        StoreError::NewerSchema { .. } => {
            Some("use the newer Pigeon that wrote it, or name another directory with --state-dir")
        }
        StoreError::Corrupt { .. } => {
            Some("keep it for a look: `pigeon restore` makes another directory of a backup, and --state-dir names it")
        }
        StoreError::ChunkGap { .. } => Some("chunks come one after another: send the one that is next"),
        _ => None,
    }
}

/// What a client is told when the store could not do something.
pub(crate) fn store_error(attempted: impl Into<String>, error: StoreError) -> ApiError {
    if let StoreError::UnknownJob(_) = error {
        // That says all: what was attempted says no more.
        return ApiError::new(ErrorKind::NotFound, error.to_string()).hint(
            "it may have been removed, or forgotten some time after its end; `pigeon jobs list` names those there are",
        );
    }
    let kind = match &error {
        StoreError::DiskFull { .. } => ErrorKind::Exhausted,
        StoreError::Busy { .. }
        | StoreError::Sealed(_)
        | StoreError::Finished(_)
        | StoreError::NotFinished(_)
        | StoreError::Stopped(_)
        | StoreError::BodiesGone(_)
        | StoreError::ChunkGap { .. }
        | StoreError::StaleEpoch { .. } => ErrorKind::Conflict,
        _ => ErrorKind::Internal,
    };
    let hint = store_hint(&error);
    let told = ApiError::new(kind, attempted).caused_by(error);
    match hint {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_not_there_is_said_not_to_be() {
        let job: pigeon_protocol::id::JobId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let told = store_error(format!("failed to look up job {job}"), StoreError::UnknownJob(job));
        assert_eq!((told.kind, told.message), (ErrorKind::NotFound, format!("there is no job {job}")));
        assert!(told.hint.is_some());
    }
}

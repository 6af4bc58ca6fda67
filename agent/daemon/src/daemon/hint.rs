//! What to do about an error that ends the daemon.

use super::{
    cli::{HubError, TokenError},
    lock::FolderInUse,
};
use crate::{AgentError, EnrolError, IdentityError};

/// The next step, where one is known.
pub(crate) fn hint(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<TokenError>() {
            Some(match error {
                TokenError::Missing { .. } => {
                    "name a file with a token by --token-file, or give systemd the credential join-token"
                }
                TokenError::Read { .. } | TokenError::Malformed { .. } => {
                    "write the token there that the control host issued, whole and for this user alone to read"
                }
            })
        } else if cause.is::<FolderInUse>() {
            Some("give this agent another with --state-dir")
        } else if cause.is::<HubError>() {
            Some("is the name in --hub right, and can this machine look it up? An address will do as well")
        } else if let Some(error) = cause.downcast_ref::<EnrolError>() {
            match error {
                EnrolError::Refused { .. } => Some("have the control host issue a new join token: `pigeon token join`"),
                EnrolError::Version { .. } => Some("install the pigeon-agent of the control host's release"),
                EnrolError::Connect { .. } | EnrolError::Senseless { .. } => {
                    Some("is --hub the control host that issued the join token?")
                }
                EnrolError::Silent { .. } => {
                    Some("is --hub where the control host listens for agents, and does UDP get there?")
                }
                EnrolError::Key(_) => None,
            }
        } else if let Some(error) = cause.downcast_ref::<IdentityError>() {
            Some(match error {
                IdentityError::Io { .. } => {
                    "see that this user may read and write it, or name another folder by --state-dir"
                }
                IdentityError::Malformed { .. } => {
                    "restore it, or move the folder aside: the agent then enrols anew with a join token"
                }
            })
        } else {
            match cause.downcast_ref::<AgentError>() {
                Some(AgentError::Refused(_)) => Some(
                    "to enrol it anew, move the folder identity of its state folder aside and give it a join token",
                ),
                Some(AgentError::Elsewhere) => Some(
                    "was its state folder copied, to this machine or another? Each agent needs its own: stop all but one of them, and let the others enrol anew, each with an empty --state-dir and a join token",
                ),
                _ => None,
            }
        }
    })
}

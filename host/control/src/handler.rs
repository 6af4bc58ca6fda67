//! What the hub's sessions tell control.

use std::sync::Arc;

use async_trait::async_trait;
use pigeon_api::{ApiError, ErrorKind};
use pigeon_hub::{HubEvent, HubHandler, JobAnswer, Landed, NotAdmitted, PluginAnswer};
use pigeon_protocol::{
    id::{AgentId, Digest, JobId, LeaseId, SessionId},
    message::Beat,
};
use tokio::sync::{Semaphore, oneshot};

use crate::{core::Core, owner::Command};

/// Passes on to the owner what it has to decide, and answers the rest itself.
pub(crate) struct Handler {
    core: Arc<Core>,
    /// Bounds the outcomes that wait for the disk: an agent whose outcomes find no room here waits.
    unrecorded: Arc<Semaphore>,
}

impl Handler {
    pub(crate) fn new(core: Arc<Core>, unrecorded: Arc<Semaphore>) -> Self {
        Self { core, unrecorded }
    }

    async fn tell(&self, command: Command) {
        // The owner is gone only when the hub goes too.
        let _ = self.core.tell(command).await;
    }
}

#[async_trait]
impl HubHandler for Handler {
    async fn event(&self, event: HubEvent) {
        self.tell(Command::Hub(event)).await;
    }

    async fn beat(&self, session: SessionId, beat: Beat) -> Vec<LeaseId> {
        let (answer, answered) = oneshot::channel();
        let leases = beat.leases.into_iter().map(LeaseId).collect();
        self.tell(Command::Beat(session, leases, answer)).await;
        answered.await.unwrap_or_default()
    }

    async fn landed(&self, landed: Landed) {
        // The semaphore is never closed.
        if let Ok(permit) = self.unrecorded.clone().acquire_owned().await {
            self.tell(Command::Landed(landed, permit)).await;
        }
    }

    async fn plugin(&self, digest: Digest) -> Option<PluginAnswer> {
        match self.core.registry.answer(digest).await {
            Ok((signed, component)) => Some(PluginAnswer { signed, component }),
            Err(error) => {
                // One that is not there breaks the jobs that need it, and each of them says so.
                if error.kind == ErrorKind::NotFound {
                    tracing::debug!(%digest, "an agent asked for a plugin that is not there");
                } else {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%digest, error, "an agent asked for a plugin in vain");
                }
                let mut told = ApiError::new(error.kind, format!("failed to give plugin {digest} to an agent"));
                told.hint.clone_from(&error.hint);
                // Before the answer: what the agent makes of it must not be taken for the plugin's fault.
                self.tell(Command::Lacking(digest, told.caused_by(error))).await;
                None
            }
        }
    }

    async fn job(&self, job: JobId) -> Option<JobAnswer> {
        self.core.owned(job).map(|job| job.answer())
    }

    fn admit(&self, _agent: AgentId, _certificate: Digest) -> Result<(), NotAdmitted> {
        // Every certificate that proves to be of our CA is good: none is ever revoked.
        Ok(())
    }
}

//! What the hub's sessions tell control.

use std::sync::Arc;

use async_trait::async_trait;
use pigeon_api::{ApiError, ErrorKind};
use pigeon_hub::{Certified, HubEvent, HubHandler, JobAnswer, Landed, NotAdmitted, NotJoined, PluginAnswer};
use pigeon_protocol::{
    id::{AgentId, Digest, IncarnationId, JobId, LeaseId, SessionId},
    message::Beat,
};
use pigeon_store::{AgentRecord, AgentSeen, JoinRefusal, StoreError};
use tokio::sync::{Semaphore, oneshot};

use crate::{
    clock,
    core::Core,
    owner::{Beaten, Command},
};

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

    /// Remember that an agent came in. Gives what is known of it.
    async fn remember(&self, event: &HubEvent) -> Option<Box<AgentRecord>> {
        self.core.serving.as_ref()?;
        let HubEvent::Joined { agent, hello, certificate, ends_ms, .. } = event else { return None };
        let seen = AgentSeen {
            agent: *agent,
            name: hello.name.clone(),
            labels: hello.labels.clone(),
            incarnation: IncarnationId::from_slice(&hello.incarnation).unwrap_or_default(),
            certificate: *certificate,
            ends_ms: *ends_ms,
            at_ms: clock::now_ms(),
        };
        let known = match self.core.store.see_agent(seen).await {
            Ok(known) => Ok(Some(known)),
            Err(error) => {
                tracing::warn!(%agent, error = &error as &dyn std::error::Error, "that an agent came is not remembered");
                // A disk that takes nothing can still be read.
                self.core.store.agent(*agent).await
            }
        };
        known.ok().flatten().map(Box::new)
    }

    /// Remember when an agent left.
    async fn remember_end(&self, agent: AgentId) {
        if self.core.serving.is_none() {
            return;
        }
        if let Err(error) = self.core.store.agent_left(agent, clock::now_ms()).await {
            tracing::debug!(%agent, error = &error as &dyn std::error::Error, "when an agent left is not remembered");
        }
    }

    async fn tell(&self, command: Command) {
        // The owner is gone only when the hub goes too.
        let _ = self.core.tell(command).await;
    }
}

#[async_trait]
impl HubHandler for Handler {
    async fn event(&self, event: HubEvent) {
        match event {
            // What it was at goes to others at once, however long the disk takes.
            HubEvent::Left { agent, .. } => {
                self.tell(Command::Hub(event, None)).await;
                self.remember_end(agent).await;
            }
            event => {
                let known = self.remember(&event).await;
                self.tell(Command::Hub(event, known)).await;
            }
        }
    }

    async fn beat(&self, session: SessionId, beat: Beat) -> Vec<LeaseId> {
        let (answer, answered) = oneshot::channel();
        // The owner is gone only when the hub goes too.
        let _ = self.core.beats.send(Beaten { session, beat, answer }).await;
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

    fn admit(&self, agent: AgentId, _certificate: Digest) -> Result<(), NotAdmitted> {
        match self.core.is_revoked(agent) {
            true => Err(NotAdmitted::Revoked),
            false => Ok(()),
        }
    }

    async fn join(&self, token: Digest, certified: Certified) -> Result<(), NotJoined> {
        // Those of this process come with a token that was never written down.
        let own = self.core.join_tokens.redeem(token);
        if self.core.serving.is_none() || own.is_ok() {
            return own;
        }
        match self.core.store.join_agent(token, certified_now(certified)).await {
            Ok(()) => Ok(()),
            Err(StoreError::NoJoin(JoinRefusal::Unknown)) => Err(NotJoined::Unknown),
            Err(StoreError::NoJoin(JoinRefusal::Expired)) => Err(NotJoined::Expired),
            Err(StoreError::NoJoin(JoinRefusal::UsedUp)) => Err(NotJoined::UsedUp),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "an agent cannot join");
                Err(NotJoined::Failed)
            }
        }
    }

    async fn renewed(&self, certified: Certified) {
        if self.core.serving.is_none() {
            return;
        }
        let (agent, ends_ms) = (certified.agent, certified.ends_ms);
        if let Err(error) = self.core.store.renew_agent(certified_now(certified)).await {
            // It is good all the same: that it is known matters to those who look.
            tracing::warn!(%agent, error = &error as &dyn std::error::Error, "a renewed certificate is not remembered");
        }
        self.tell(Command::Renewed(agent, ends_ms)).await;
    }
}

/// What the hub told, as the store remembers it.
fn certified_now(certified: Certified) -> pigeon_store::Certified {
    let Certified { agent, name, certificate, ends_ms } = certified;
    pigeon_store::Certified { agent, name, certificate, ends_ms, at_ms: clock::now_ms() }
}

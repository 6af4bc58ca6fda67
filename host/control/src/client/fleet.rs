//! Agents, and the tokens with which they join.

use std::{sync::PoisonError, time::Duration};

use pigeon_api::{
    AgentDetail, AgentStatus, ApiError, ErrorKind, EventKind, JoinSpec, JoinTokenInfo, NewJoinToken, Result,
    words::plural,
};
use pigeon_protocol::{
    enrol::JoinToken,
    id::{AgentId, Digest},
    label::{self, MAX_LABELS},
};
use pigeon_store::{JoinTokenRecord, Mark};

use super::Client;
use crate::{
    clock,
    error::store_error,
    fleet::{
        find::{Candidate, find},
        remembered,
    },
    journal::{About, entry},
    owner::Command,
};

/// Agents that may join with one token, and for how long: a year.
const MOST_USES: u32 = 100_000;
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Bytes of the words with which an agent is revoked.
const LONGEST_WHY: usize = 1000;

impl Client {
    pub(super) async fn list_agents(&self) -> Result<Vec<AgentStatus>> {
        Ok(self.core.ask(Command::Look).await?.agents)
    }

    pub(super) async fn show_agent(&self, reference: &str) -> Result<AgentDetail> {
        self.detail(self.meant(reference).await?).await
    }

    pub(super) async fn hold_agent(&self, reference: &str, drained: bool) -> Result<AgentDetail> {
        self.serving()?;
        let agent = self.detail(self.meant(reference).await?).await?;
        let (id, name) = (id_of(&agent)?, &agent.status.name);
        if agent.revoked.is_some() {
            let message = format!("agent {name} is revoked: it takes nothing any more");
            return Err(ApiError::new(ErrorKind::Conflict, message)
                .hint("its machine may join again as another agent, with a join token and no identity"));
        }
        if agent.drained.is_some() == drained {
            return Ok(agent);
        }
        let (kind, words) = match drained {
            true => (EventKind::AgentDrained, "takes nothing more until it is resumed"),
            false => (EventKind::AgentResumed, "takes work again"),
        };
        let mark = drained.then(|| self.mark(""));
        let store = self.core.journal.telling([entry(&self.author, kind, About::named(name), words)]);
        let kept = store.set_agent_drained(id, mark.clone()).await;
        kept.map_err(|error| store_error(format!("failed to have agent {name} drained or resumed"), error))?;
        drop(store);
        self.core.ask(|answer| Command::Drain(id, mark, answer)).await?;
        self.detail(id).await
    }

    /// It is on disk first: who is told that an agent is revoked may rely on it. Then it is cut off, and what it was at goes
    /// to others.
    pub(super) async fn send_agent_away(&self, reference: &str, why: &str) -> Result<AgentDetail> {
        let serving = self.serving()?;
        let agent = self.detail(self.meant(reference).await?).await?;
        let (id, name) = (id_of(&agent)?, &agent.status.name);
        if why.len() > LONGEST_WHY || why.contains(char::is_control) {
            let message = format!("why an agent is revoked is said in one line of {LONGEST_WHY} bytes at most");
            return Err(ApiError::new(ErrorKind::BadRequest, message));
        }
        if agent.revoked.is_none() {
            let message = if why.is_empty() { "was revoked".to_owned() } else { format!("was revoked: {why}") };
            let told = entry(&self.author, EventKind::AgentRevoked, About::named(name), message);
            let store = self.core.journal.telling([told]);
            let revoke = || store.revoke_agent(id, self.mark(why));
            let kept = self.core.room.in_need(revoke).await;
            kept.map_err(|error| store_error(format!("failed to revoke agent {name}"), error))?;
        }
        // Done again where it was revoked before: whatever cut that off half way.
        serving.revoked.write().unwrap_or_else(PoisonError::into_inner).insert(id);
        self.core.ask(|answer| Command::Revoke(id, self.mark(why), answer)).await?;
        self.detail(id).await
    }

    pub(super) async fn new_join_token(&self, spec: JoinSpec) -> Result<NewJoinToken> {
        self.serving()?;
        let lifetime = Duration::from_millis(spec.ttl_ms);
        if spec.uses == 0 || spec.uses > MOST_USES || lifetime.is_zero() || lifetime > LONGEST {
            let message = format!("a join token is good for 1 to {MOST_USES} agents and a year at most");
            return Err(ApiError::new(ErrorKind::BadRequest, message));
        }
        check_labels(&spec.labels)?;
        let token = JoinToken::new(self.core.join_tokens.ca());
        let token = token.map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))?;
        let (hash, created_ms) = (Digest::of(token.secret()), clock::now_ms());
        let record = JoinTokenRecord {
            // As much of what is kept of it as tells it from others.
            id: format!("join-{}", &hash.to_hex()[..8]),
            hash,
            author: self.author.to_string(),
            created_ms,
            expires_ms: created_ms.saturating_add(spec.ttl_ms),
            uses: spec.uses,
            used: 0,
            labels: spec.labels,
        };
        let message = format!("{} may join within {} s", plural(spec.uses.into(), "agent"), lifetime.as_secs());
        let told = entry(&self.author, EventKind::TokenCreated, About::named(&record.id), message);
        let kept = self.core.journal.telling([told]).put_join_token(record.clone()).await;
        kept.map_err(|error| store_error("failed to keep a join token", error))?;
        Ok(NewJoinToken {
            info: info(record),
            secret: token.reveal(),
            hub: self.core.hub.read().unwrap_or_else(PoisonError::into_inner).clone(),
        })
    }

    pub(super) async fn list_join_tokens(&self) -> Result<Vec<JoinTokenInfo>> {
        self.serving()?;
        let records = self.core.store.join_tokens().await;
        let records = records.map_err(|error| store_error("failed to list the join tokens", error))?;
        Ok(records.into_iter().map(info).collect())
    }

    pub(super) async fn forget_join_token(&self, id: &str) -> Result<()> {
        self.serving()?;
        let told = entry(&self.author, EventKind::TokenRevoked, About::named(id), "was revoked");
        let removed = self.core.journal.telling([told]).remove_join_token(id).await;
        match removed.map_err(|error| store_error(format!("failed to revoke join token {id:?}"), error))? {
            true => Ok(()),
            false => Err(ApiError::new(ErrorKind::NotFound, format!("there is no join token {id:?}"))),
        }
    }

    /// The agent that somebody means: of those that are shown, or else of all that are remembered.
    async fn meant(&self, reference: &str) -> Result<AgentId> {
        let shown = self.list_agents().await?;
        let candidates = shown.iter().filter_map(|agent| {
            Some(Candidate { id: agent.id.parse().ok()?, name: agent.name.clone(), is_in: agent.state.is_in() })
        });
        let mut candidates: Vec<_> = candidates.collect();
        match find(reference, &candidates) {
            Err(error) if error.kind == ErrorKind::NotFound && self.core.serving.is_some() => {}
            found => return found,
        }
        let remembered = self.core.store.agents().await;
        let remembered = remembered.map_err(|error| store_error("failed to look for an agent", error))?;
        candidates.extend(remembered.into_iter().map(|record| Candidate {
            id: record.agent,
            name: record.name,
            is_in: false,
        }));
        candidates.sort_by_key(|agent| agent.id.to_bytes());
        candidates.dedup_by_key(|agent| agent.id);
        find(reference, &candidates)
    }

    async fn detail(&self, id: AgentId) -> Result<AgentDetail> {
        let mut detail = match self.core.ask(|answer| Command::Agent(id, answer)).await? {
            Some(detail) => detail,
            None => {
                let record = self.core.store.agent(id).await;
                let record = record.map_err(|error| store_error(format!("failed to look up agent {id}"), error))?;
                let gone = || ApiError::new(ErrorKind::NotFound, format!("there is no agent {id}"));
                remembered(&record.ok_or_else(gone)?)
            }
        };
        if !detail.plugins.is_empty() {
            let known = self.core.registry.list().await?;
            for plugin in &mut detail.plugins {
                let info = known.iter().find(|info| info.digest == plugin.digest);
                plugin.name = info.map(|info| format!("{}@{}", info.metadata.name, info.metadata.version));
            }
        }
        Ok(detail)
    }

    fn mark(&self, why: &str) -> Mark {
        Mark { at_ms: clock::now_ms(), by: self.author.to_string(), why: why.to_owned() }
    }
}

fn id_of(agent: &AgentDetail) -> Result<AgentId> {
    let damaged = |_| ApiError::new(ErrorKind::Internal, format!("{:?} is no agent's id", agent.status.id));
    agent.status.id.parse().map_err(damaged)
}

fn check_labels(labels: &[String]) -> Result<()> {
    let refuse = |message: String| Err(ApiError::new(ErrorKind::BadRequest, message));
    if labels.len() > MAX_LABELS {
        return refuse(format!("a join token has at most {MAX_LABELS} labels"));
    }
    match labels.iter().find_map(|label| Some((label, label::check(label).err()?))) {
        Some((label, error)) => refuse(format!("{label:?} is no label: {error}")),
        None => Ok(()),
    }
}

fn info(record: JoinTokenRecord) -> JoinTokenInfo {
    JoinTokenInfo {
        id: record.id,
        author: record.author,
        created_ms: clock::signed(record.created_ms),
        expires_ms: clock::signed(record.expires_ms),
        uses: record.uses,
        left: record.uses.saturating_sub(record.used),
        labels: record.labels,
    }
}

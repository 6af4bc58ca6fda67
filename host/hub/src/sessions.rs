//! The sessions that live, by number, and what was counted.

use std::{
    collections::HashMap,
    fmt::Display,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use pigeon_protocol::id::{AgentId, IncarnationId, LeaseId, SessionId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    handler::{LeaseError, LeaseOrder, SessionEnd},
    hub::HubStats,
    offence::{Offence, Offences},
};

/// Orders that may wait for a session to take them up.
const ORDERS: usize = 1024;

/// What control wants of a session.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send this lease.
    Lease(Box<LeaseOrder>),
    /// Tell the agent to stop these.
    Cancel(Vec<LeaseId>),
    /// Tell the agent to leave within this time.
    Drain(Duration),
}

/// The session's side of its entry here.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: SessionId,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) ending: Arc<Ending>,
}

/// How a session is told to end, by whoever is first.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    pub(crate) asked: CancellationToken,
    why: OnceLock<(SessionEnd, bool)>,
}

impl Ending {
    fn ask(&self, end: SessionEnd, try_again: bool) {
        // A second reason does not matter any more.
        let _ = self.why.set((end, try_again));
        self.asked.cancel();
    }

    /// Why, once it was asked, and whether the agent may come back.
    pub(crate) fn why(&self) -> (SessionEnd, bool) {
        self.why.get().cloned().unwrap_or((SessionEnd::Disconnected(String::new()), true))
    }
}

#[derive(Debug)]
struct Link {
    agent: AgentId,
    incarnation: IncarnationId,
    orders: mpsc::Sender<Order>,
    ending: Arc<Ending>,
}

#[derive(Debug, Default)]
pub(crate) struct Sessions {
    live: Mutex<HashMap<SessionId, Link>>,
    last: AtomicU64,
    joined: AtomicU64,
    enrolled: AtomicU64,
    refused: AtomicU64,
    misbehaved: AtomicU64,
    pub(crate) offences: Arc<Offences>,
}

impl Sessions {
    fn live(&self) -> MutexGuard<'_, HashMap<SessionId, Link>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session, unless there are `most`. Older ones of the same agent are ended: by its key it is one agent, so
    /// they are what a process that died, or a connection that broke, has left.
    pub(crate) fn enter(&self, agent: AgentId, incarnation: IncarnationId, most: usize) -> Option<Entry> {
        let mut live = self.live();
        for link in live.values().filter(|link| link.agent == agent) {
            let end = if link.incarnation == incarnation { SessionEnd::Replaced } else { SessionEnd::Died };
            link.ending.ask(end, false);
        }
        if live.len() >= most {
            return None;
        }
        let id = SessionId(self.last.fetch_add(1, Relaxed) + 1);
        let (sender, orders) = mpsc::channel(ORDERS);
        let ending = Arc::new(Ending::default());
        live.insert(id, Link { agent, incarnation, orders: sender, ending: Arc::clone(&ending) });
        self.joined.fetch_add(1, Relaxed);
        Some(Entry { id, orders, ending })
    }

    pub(crate) fn leave(&self, session: SessionId) {
        self.live().remove(&session);
    }

    pub(crate) fn order(&self, session: SessionId, order: Order) -> Result<(), LeaseError> {
        let live = self.live();
        let link = live.get(&session).ok_or(LeaseError::Gone)?;
        link.orders.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LeaseError::Full,
            mpsc::error::TrySendError::Closed(_) => LeaseError::Gone,
        })
    }

    pub(crate) fn end(&self, session: SessionId, end: SessionEnd, try_again: bool) {
        if let Some(link) = self.live().get(&session) {
            link.ending.ask(end, try_again);
        }
    }

    pub(crate) fn of(&self, agent: AgentId) -> Vec<SessionId> {
        self.live().iter().filter(|(_, link)| link.agent == agent).map(|(&id, _)| id).collect()
    }

    pub(crate) fn enrolled(&self) {
        self.enrolled.fetch_add(1, Relaxed);
    }

    /// Somebody did not come in.
    pub(crate) fn refused(&self, address: SocketAddr, offence: Offence, reason: impl Display) {
        self.refused.fetch_add(1, Relaxed);
        self.offences.of_address(address, offence, reason);
    }

    /// A session is ended because its agent broke the protocol.
    pub(crate) fn misbehaved(&self, agent: AgentId, reason: impl Display) {
        self.misbehaved.fetch_add(1, Relaxed);
        self.offences.of_agent(agent, Offence::Protocol, reason);
    }

    pub(crate) fn stats(&self) -> HubStats {
        HubStats {
            joined: self.joined.load(Relaxed),
            enrolled: self.enrolled.load(Relaxed),
            refused: self.refused.load(Relaxed),
            misbehaved: self.misbehaved.load(Relaxed),
            offences: self.offences.counts(),
        }
    }
}

//! What the hub tells control, and what control orders of it.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use pigeon_protocol::{
    id::{AgentId, Digest, Fence, JobId, LeaseId, RunIndex, SessionId},
    manifest::SignedManifest,
    message::{Beat, Hello, JobContext, LeasedItems, OptionSize, RunRange},
    outcome::Outcome,
};
use tokio::sync::oneshot;

/// Control, as the hub sees it. Methods may wait for room in a bounded queue: the session that calls then waits with
/// them, and QUIC's flow control makes its agent wait in turn. They must not wait for an agent.
#[async_trait]
pub trait HubHandler: Send + Sync + 'static {
    /// Something happened. The events of a session come in order: `Joined` first, `Left` last, and nothing after it.
    async fn event(&self, event: HubEvent);

    /// An agent lives, and holds the leases that the beat names. Answers those that are not its own (any more).
    async fn beat(&self, session: SessionId, beat: Beat) -> Vec<LeaseId>;

    /// Outcomes have landed. Returns when they are queued; [`Landed::recorded`] tells when they are on disk.
    async fn landed(&self, landed: Landed);

    /// A component by digest.
    async fn plugin(&self, digest: Digest) -> Option<PluginAnswer>;

    /// What a job's runs have in common; `None` for a job that is not known (any more).
    async fn job(&self, job: JobId) -> Option<JobAnswer>;

    /// Whether an agent may come in with this certificate (SHA-256 of its DER), asked at every accept once the
    /// certificate has proved to be ours and current. The place for revocation.
    fn admit(&self, agent: AgentId, certificate: Digest) -> Result<(), NotAdmitted>;

    /// A new agent asks to join with the token of this SHA-256, and this is the certificate that it would be given. Who lets
    /// it join uses the token up by one, and remembers the agent; whoever is refused uses up nothing.
    async fn join(&self, token: Digest, certified: Certified) -> Result<(), NotJoined>;

    /// An agent that may come in has renewed its certificate.
    async fn renewed(&self, certified: Certified) {
        let _ = certified;
    }
}

/// A certificate was made for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// The agent.
    pub agent: AgentId,
    /// The name that it would like to be shown by.
    pub name: String,
    /// SHA-256 of the certificate, DER.
    pub certificate: Digest,
    /// When the certificate ends, in milliseconds since 1970.
    pub ends_ms: u64,
}

/// Why nobody joins with a token, as whoever tried is told. Only who has a token's secret learns what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotJoined {
    /// There is no token with this secret.
    #[error("the join token is not known: it is wrong, was revoked, or expired some time ago")]
    Unknown,
    /// Its time is over.
    #[error("the join token has expired")]
    Expired,
    /// As many have joined with it as may.
    #[error("the join token is used up: as many agents have joined with it as may")]
    UsedUp,
    /// It is not known whether it is good.
    #[error("the control host cannot let agents join now; its log tells why")]
    Failed,
}

/// Why an agent with a good certificate may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Its certificate, or all of the agent's, were revoked.
    #[error("the agent was revoked")]
    Revoked,
}

/// What happened to a session.
#[derive(Debug)]
pub enum HubEvent {
    /// An agent said hello and was welcomed.
    Joined {
        /// The session, new.
        session: SessionId,
        /// Who, as the certificate says.
        agent: AgentId,
        /// What it has.
        hello: Hello,
        /// Where it connects from.
        address: SocketAddr,
        /// SHA-256 of the certificate that it showed, DER.
        certificate: Digest,
        /// When that ends, in milliseconds since 1970.
        ends_ms: u64,
    },
    /// It has room for more. See [`Credit`](pigeon_protocol::message::Credit): absolute, beside the `received` leases.
    Credit {
        /// The session.
        session: SessionId,
        /// Leases that it has received in this session.
        received: u64,
        /// Further leases wanted.
        batches: u32,
        /// As many of these only for short runs.
        short: u32,
    },
    /// It wants no more leases and will leave.
    Draining {
        /// The session.
        session: SessionId,
        /// Why, for people.
        reason: String,
    },
    /// A lease's stream broke while its session lives: no outcome will come on it any more.
    LeaseBroken {
        /// The session.
        session: SessionId,
        /// The lease.
        lease: LeaseId,
        /// Its fence.
        fence: Fence,
        /// What went wrong, for people.
        reason: String,
    },
    /// The session is over.
    Left {
        /// The session.
        session: SessionId,
        /// Whose it was.
        agent: AgentId,
        /// How it ended.
        end: SessionEnd,
    },
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEnd {
    /// The agent said good-bye after draining.
    Drained,
    /// It closed the connection without draining.
    Closed(String),
    /// Nothing was heard of it for longer than the connection's idle timeout.
    Unreachable,
    /// Its process died: another life of the same agent has connected meanwhile.
    Died,
    /// The same life of its process has connected anew.
    Replaced,
    /// It broke the protocol.
    Misbehaved(String),
    /// Control ended it: [`HubHandle::disconnect`](crate::HubHandle::disconnect), or the hub shuts down.
    Disconnected(String),
}

/// Outcomes of a lease, as they landed.
#[derive(Debug)]
pub struct Landed {
    /// The session that they came in: not the one of the lease where an agent delivers what it had kept.
    pub session: SessionId,
    /// The agent, as its certificate says.
    pub agent: AgentId,
    /// The lease that they are said to belong to.
    pub lease: LeaseId,
    /// The fence that came with them.
    pub fence: Fence,
    /// The job that they are said to belong to.
    pub job: JobId,
    /// The outcomes, in the order in which they landed. Nothing of them is believed yet.
    pub outcomes: Vec<Outcome>,
    /// Runs begun and not answered so far on this stream.
    pub begun: Vec<RunIndex>,
    /// The batch is over.
    pub end: bool,
    /// Delivered late, on a stream of its own, after a connection had broken.
    pub kept: bool,
    /// To be told when the outcomes are on disk or refused for good.
    pub recorded: Recorder,
}

/// Tells a session that outcomes need not be kept by their agent any more. Dropping it says that they must be: the
/// agent then keeps them and delivers them once more in its next session.
#[derive(Debug)]
pub struct Recorder(oneshot::Sender<Kept>);

/// What became of outcomes that their agent need not keep any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// They are on disk, or others were there before them.
    Recorded,
    /// The lease is not the agent's, or not any more.
    Refused,
}

impl Recorder {
    /// A recorder for tests of handlers, and what hears it.
    pub fn new() -> (Self, oneshot::Receiver<Kept>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// They are on disk, or refused for good.
    pub fn done(self) {
        // The session may have ended meanwhile: then nobody waits for this.
        let _ = self.0.send(Kept::Recorded);
    }

    /// They are refused for good, for the agent does not hold the lease: it is told so.
    pub fn refused(self) {
        // As above.
        let _ = self.0.send(Kept::Refused);
    }
}

/// A lease to be sent.
#[derive(Debug, Clone)]
pub struct LeaseOrder {
    /// The lease.
    pub lease: LeaseId,
    /// Its fence.
    pub fence: Fence,
    /// The job.
    pub job: JobId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// What the job's runs have in common, if it is at hand: where that is short it goes with the lease.
    pub context: Option<Arc<JobAnswer>>,
    /// Each item that the runs need, once, with the size of its body.
    pub items: Vec<LeasedItems>,
    /// The runs.
    pub runs: Vec<RunRange>,
    /// The bodies of `items` in their order, cut anywhere: large pieces go out without being copied.
    pub bodies: Vec<Bytes>,
}

/// Why a lease was not sent. It is not the agent's then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// The session is over.
    #[error("the session is over")]
    Gone,
    /// More leases wait to be sent to this agent than it ever gave credit for.
    #[error("too many leases wait to be sent to this agent")]
    Full,
    /// It breaks a bound of [`limits`](pigeon_protocol::limits), or its sizes do not add up to its bodies.
    #[error("the lease breaks the bound of {0}")]
    TooLarge(&'static str),
}

/// A component.
#[derive(Debug, Clone)]
pub struct PluginAnswer {
    /// Its manifest, as it was published.
    pub signed: SignedManifest,
    /// Its bytes.
    pub component: Bytes,
}

/// What a job's runs have in common.
#[derive(Debug, Clone)]
pub struct JobAnswer {
    /// The context. `known` and `options` are filled in by the hub.
    pub context: JobContext,
    /// The job's options.
    pub options: Vec<(String, String)>,
}

impl JobAnswer {
    /// Bytes of text in what goes with a lease, at most.
    pub(crate) const SHORT: usize = 1 << 10;

    /// The context as it is sent: with the values of the options, or without, and then they follow.
    pub(crate) fn told(&self, values: bool) -> JobContext {
        let option = |(key, value): &(String, String)| OptionSize {
            key: key.clone(),
            size: value.len() as u64,
            value: values.then(|| value.clone()),
        };
        JobContext { known: true, options: self.options.iter().map(option).collect(), ..self.context.clone() }
    }

    /// Whether it goes with each lease of its job. Else agents ask for it.
    pub fn is_short(&self) -> bool {
        let grants = self.context.grants.iter().map(String::len);
        let options = self.options.iter().map(|(key, value)| key.len() + value.len());
        grants.chain(options).sum::<usize>() <= Self::SHORT
    }
}

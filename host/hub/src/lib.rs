//! The hub: the QUIC server that agents connect to.
//!
//! [`Hub::bind`] opens one endpoint for two ALPNs: agents, which show a certificate of our own CA, and enrolment, where
//! a join token (or a certificate to be renewed) buys one. Each agent's connection is a session with a task of its own
//! that owns everything it spawns. What sessions hear goes to the [`HubHandler`]; what control wants of them goes
//! through the [`HubHandle`], which never waits.
//!
//! Reading order: `handler` (what is said in both directions), [`ca`] and [`tokens`] (who may come in), then the
//! server itself: `hub` (accept), `session` (one agent), `batch` (one lease), `collect` (outcomes coming in), `request`
//! (what agents ask), `enrol`; and below them `sessions`, `offence` and `telling` (what peers do wrong), `pace`, `tls`,
//! `transport`.
//!
//! Invariant: this crate decides nothing about work and keeps none: it knows no queue and no store.

#![forbid(unsafe_code)]

pub mod ca;
mod handler;
pub mod tokens;

mod hub;

mod batch;
mod collect;
mod enrol;
mod offence;
mod pace;
mod request;
mod session;
mod sessions;
mod telling;
mod tls;
mod transport;

pub use ca::CertificateAuthority;
pub use handler::{
    Certified, HubEvent, HubHandler, JobAnswer, Kept, Landed, LeaseError, LeaseOrder, NotAdmitted, NotJoined,
    PluginAnswer, Recorder, SessionEnd,
};
pub use hub::{Hub, HubConfig, HubError, HubHandle, HubStats};
pub use offence::{Offence, OffenceCounts};
pub use tokens::JoinTokens;

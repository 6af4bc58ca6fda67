//! The agent: holds a session with the control host, makes the runs that it is leased, and brings the outcomes home.
//!
//! [`enrol`](enrol::enrol) turns a join token into an [`Identity`]; [`Agent::run`] connects with it and stays connected
//! until it is told to stop. A lease is a *lane*: its runs follow one another, and as many lanes go at once as the
//! agent has runs in flight. Outcomes are gathered for some milliseconds, sent, and kept until the hub says that they
//! are on disk; what a broken connection kept from being delivered goes out again with the next one.
//!
//! Reading order: [`config`] and [`identity`] (who we are), [`enrol`], [`lanes`] (what runs the runs), then `agent`
//! (connect, and again), `session` (one connection), `batch` (one lease), `outbox` (what is not delivered), `fetch`
//! (plugins and jobs); last [`daemon`], the program around it all.
//!
//! Invariant: this crate never looks back at the host's crates.

#![forbid(unsafe_code)]

pub mod config;
pub mod daemon;
pub mod enrol;
pub mod identity;
pub mod lanes;

mod agent;

mod batch;
mod buffers;
mod convert;
mod fetch;
mod outbox;
mod pace;
mod session;
mod tls;
mod transport;

pub use agent::{Agent, AgentError};
pub use config::AgentConfig;
pub use enrol::{EnrolError, enrol};
pub use identity::{Identity, IdentityError};
pub use lanes::{Lanes, RuntimeLanes};

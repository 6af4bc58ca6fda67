//! The control host: the place where the queue, the registry and the hub live.
//!
//! [`App::build`] brings it up from a [`Config`]: the store is opened, a CA made, the hub bound. From then on one task,
//! the `owner`, decides what runs where; the rest carries bytes to and from it.
//!
//! ```text
//!   client (the API's trait) ─► store: accepted, appended ─► owner ─► hub ─► agents
//!                    watchers ◄─ store: recorded ◄────────── owner ◄─ hub ◄─ outcomes
//! ```
//!
//! It is embedded in the process of its one client, or serves many clients and agents: the same code, with a state
//! directory of its own, an identity that lasts, tokens, schedules, and every unfinished job taken up at the start.
//!
//! Reading order: [`Config`] and [`App`]; `client` (what is asked), `core` (what clients share), `job` and `jobs` (what is
//! owned), `owner` (what is decided), `fit` and `backlog` (what of the items can be sent, and what is left of them),
//! `dispatch` (leases on their way out), `record` and `writes` (outcomes on their way in), `watch`, `results`, `status`,
//! `figures`, `stats` and `fleet` (what is told), `journal` (what happened), `registry` (plugins), `room` (on the disk),
//! `access` and `secrets`.
//!
//! Invariant: this crate runs no Wasm. What a component is, an [`Inspector`] tells it.

#![forbid(unsafe_code)]

mod access;
mod app;
mod backlog;
mod client;
mod clock;
mod config;
mod convert;
mod core;
mod dispatch;
mod error;
mod figures;
mod fit;
mod fleet;
mod handler;
mod job;
mod jobs;
mod journal;
mod metrics;
mod owner;
mod record;
mod registry;
pub mod rest;
mod results;
mod room;
mod schedules;
mod secrets;
mod stats;
mod status;
mod submit;
mod verdicts;
mod watch;
mod writes;

pub use access::Principal;
pub use app::App;
pub use config::{Config, ServerSettings};
pub use error::ControlError;
pub use fit::MOST_MEMORY;
pub use metrics::Metrics;
pub use pigeon_hub::ca::ServerCertificate;
pub use pigeon_store::{StoreError, restore};
pub use registry::Inspector;

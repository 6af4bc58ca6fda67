//! The REST API: what clients ask of a control host from afar, over HTTP.
//!
//! ```text
//!  TCP ─► guard ─► TLS ─► hyper ─► observe ─► bound ─► route ─► caller ─► the API's trait, as the caller
//!         (how many,       (header   (id, log,  (how     │        (token,
//!          how slow)        times)    figures,   many)   │         role)
//!                                     panics)            └─► problem documents for all that goes wrong
//! ```
//!
//! [`Server::bind`] listens, and what it is asked goes to a [`Backend`]: the control host, or a test's double of it. The
//! OpenAPI document at `/openapi.json` is made of the handlers' own annotations.
//!
//! Reading order: `server`, `guard`, `tls` (connections); `router`, `observe`, `bound` (every request), `caller`,
//! `extract`, `reading`, `body`, `failure` (what is asked, by whom, and what is refused), then a file for each topic of
//! the API.
//!
//! Invariant: nothing here decides what a deed means. That is the trait's matter; here it is HTTP.

mod backend;
mod backup;
mod body;
mod bound;
mod caller;
mod chunks;
mod dead;
mod events;
mod extract;
mod failure;
mod fleet;
mod guard;
mod health;
mod items;
mod jobs;
mod limits;
mod lines;
mod metrics;
mod observe;
mod openapi;
mod plugins;
mod reading;
mod router;
mod schedules;
mod server;
mod shared;
mod socket;
mod stats;
mod streams;
mod submit;
mod tags;
mod tls;
mod tokens;
mod uploads;

#[cfg(test)]
mod tests;

pub use self::{
    backend::Backend,
    limits::RestLimits,
    openapi::document as openapi_document,
    server::{RestConfig, RestError, Server},
};

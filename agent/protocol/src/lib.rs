//! What the control host and the agents say to each other.
//!
//! A connection is QUIC with mutual TLS; its ALPN ([`version::ALPN`]) carries the major version of everything here.
//! On it run four kinds of stream, each of them a sequence of [`frame`]s (a length and a protobuf message), with raw
//! bytes behind a message only where that message says how many:
//!
//! | stream | opened by | agent says | hub says |
//! |---|---|---|---|
//! | control | agent, first | [`ToHub`](message::ToHub): hello, beats, credit | [`ToAgent`](message::ToAgent): welcome, cancel, drain |
//! | batch | hub, one a lease | [`FromBatch`](message::FromBatch): outcomes as they land, end | [`Lease`](message::Lease), the bodies, then [`Recorded`](message::Recorded) |
//! | request | agent | [`Request`](message::Request): a plugin, a job's context, or kept outcomes | the answer |
//! | enrolment | agent, over an ALPN of its own | [`EnrolRequest`](enrol::EnrolRequest) | [`EnrolReply`](enrol::EnrolReply) |
//!
//! Messages evolve without breaking an older peer: unknown fields are skipped, missing ones defaulted, and field
//! numbers are never used again.
//!
//! Invariant: pure data and codec. This crate knows no network, no clock and no Wasm.

#![forbid(unsafe_code)]

pub mod close;
pub mod enrol;
pub mod frame;
pub mod gather;
pub mod id;
mod items;
pub mod label;
pub mod limits;
pub mod manifest;
pub mod message;
pub mod outcome;
pub mod version;

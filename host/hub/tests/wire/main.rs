//! The wire, both ends of it: a real hub and real agents over QUIC on loopback.
//!
//! Control is a fake that writes down what it hears; the lanes, but for one test, are fakes that need no guest.
//! Everything between them is what runs in the field.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in tests a panic is the report")]

mod downloads;
mod enrolment;
mod guest;
mod hostile;
mod hostile_leases;
mod hostile_streams;
mod leases;
mod peer;
mod sessions;
mod support;
mod telling;

//! The agent: session with the control host, slots, outbox, drain.

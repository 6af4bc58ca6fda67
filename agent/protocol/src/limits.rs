//! Bounds of what one peer may make the other hold. Both sides check what they are sent against these, before they
//! make room for it.

/// Greatest length of a message, in bytes; the four bytes of its length not counted.
pub const MAX_FRAME: usize = 1 << 20;

/// Greatest length of an encoded [`Outcome`](crate::outcome::Outcome), in bytes: what a frame holds, less what stands
/// around a single outcome (tag, length, `end` and the suspects).
pub const MAX_OUTCOME: usize = MAX_FRAME - 4096;

/// Greatest sum of the bodies of a lease of several items, in bytes. Item ids should be counted in by whoever cuts the
/// batches.
pub const MAX_LEASE_BODIES: u64 = 4 << 20;

/// Greatest body of an item that has a lease to itself, in bytes. The command line's `--max-item` is 64 MiB if nothing
/// else is said; what it may be raised to ends here.
pub const MAX_ITEM: u64 = 1 << 30;

/// Most items of a lease.
pub const MAX_LEASE_ITEMS: usize = 1 << 16;

/// Most runs of a lease.
pub const MAX_LEASE_RUNS: u64 = 1 << 20;

/// Greatest sum of the encoded heads ([`Lease`](crate::message::Lease) messages) of a lease, in bytes.
pub const MAX_LEASE_HEADS: usize = 16 << 20;

/// Greatest size of a component, in bytes.
pub const MAX_COMPONENT: u64 = 128 << 20;

/// Greatest sum of the values of a job's options, in bytes.
pub const MAX_OPTIONS: u64 = 16 << 20;

/// Longest name of an agent, and longest of its labels, in bytes.
pub const MAX_NAME: usize = 256;

/// Longest time between two beats, in milliseconds.
pub const MAX_BEAT_MS: u64 = 30_000;

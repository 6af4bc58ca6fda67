//! The durable queue and registry.
//!
//! [`Store`] is what the control host knows: plugins by digest, jobs with their items, and the outcome of every run.
//! What it acknowledges is on disk. [`SqliteStore`] is the embedded store: a directory with one SQLite file, and files
//! by digest for components and large items.
//!
//! A job's life here: [`create`](Store::create) accepts it, and whoever creates or [`claim`](Store::claim)s it owns it
//! under an epoch that each of its writes carries. Items are appended in numbered chunks until the job is sealed,
//! outcomes are recorded in batches as they land, and it is finished. Later a [`sweep`](Store::sweep) drops first the
//! bodies of its items, then all of it; or somebody has it [deleted](Store::delete) before.
//!
//! ```text
//!  create ──> active <────── take_back ─────┐
//!             │    ▲                        │
//!  set_paused ▼    │ set_paused             │
//!             paused ────> finish ────> completed, failed fast, cancelled ────> delete or sweep ────> gone
//! ```
//!
//! Runs that could not be judged are [dead letters](Store::dead) besides, if the store is told to keep them. Outcomes that
//! are [taken back](Store::take_back) never were: their runs are to be done again, of a job that was completed too; one that
//! was cancelled or failed fast stays as it ended.
//!
//! Outcomes are kept as rows of packed runs, one a batch. A job's counters, histograms and error groups ([`Tally`]) are
//! a fold over those rows: a ledger in memory that is written down now and then, with the number of the
//! last row that it covers, so that a crash can neither lose nor double a run.
//!
//! Invariant: this crate knows no network, no scheduler and no clock; where time matters, it is handed in.

#![forbid(unsafe_code)]

mod access;
mod agents;
mod backup;
mod bodies;
mod codec;
mod commits;
mod dead;
mod error;
mod event;
mod item;
mod job;
mod ledger;
mod outcome;
mod plugin;
mod retention;
mod row;
mod runs;
mod sqlite;
mod store;
mod tally;

pub use access::{ScheduleRecord, TokenRecord};
pub use agents::{AgentRecord, AgentSeen, Certified, JoinRefusal, JoinTokenRecord, Mark};
pub use backup::{Backup, restore};
pub use bodies::{Bodies, DirBodies};
pub use commits::{COMMIT_BOUNDS, Commits};
pub use dead::{DeadQuery, DeadRow};
pub use error::{Owned, Result, StoreError};
pub use event::{NewEvent, StoredEvent};
pub use item::{Appended, CHUNK_BYTES, ChunkInfo, Item, ItemName, Items, ItemsBuilder, LARGE_ITEM};
pub use job::{Claim, JobCounts, JobEnd, JobFilter, JobRecord, JobState, NewJob};
pub use outcome::{Attempts, Batch, LandedBatch, OutcomeRow, Progress, Recorded, RunError};
pub use plugin::PluginRecord;
pub use retention::{Retention, Swept};
pub use sqlite::{Access, Options, SqliteStore};
pub use store::Store;
pub use tally::{ErrorGroup, MAX_GROUPS, Stats, Tally};

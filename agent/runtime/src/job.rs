//! What is to be run, and what is told of it: jobs, runs and their limits in, events out.

use std::{
    fmt,
    ops::{Deref, Range},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use crate::{Failure, Judgement};

/// What all runs of a job have in common.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// The options, as `wasi:config/store` gives them. Sorted or not; of two with one key the first counts.
    pub options: Vec<(String, String)>,
    /// The clock that guests see.
    pub clock: Clock,
    /// The bounds of each run.
    pub limits: Limits,
    /// Powers granted to the plugin, such as `llm` or `llm:MODEL`. The rest answer `denied`.
    pub grants: Vec<String>,
}

/// The clock that a guest sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Starts at this time for every run, moves 1 us a reading, and jumps to the end of what is waited for.
    Virtual {
        /// Nanoseconds since the Unix epoch.
        start_ns: i64,
    },
    /// The node's own.
    Real,
}

impl Default for Clock {
    fn default() -> Self {
        Clock::Virtual { start_ns: 0 }
    }
}

/// The bounds of one run. Each that bites is a [`Cause`](crate::Cause) of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of the guest, starting it included.
    pub cpu: Duration,
    /// Wall-clock time from the start of the run, waiting for its slot again after host calls included.
    pub wall: Duration,
    /// Linear memory in bytes. If not given: what the plugin's metadata asks for, up to the runtime's own bound.
    pub memory: Option<u64>,
    /// Size of the encoded outcome, log included, in bytes.
    pub output: u64,
    /// Size of the log that is kept, in bytes: its first and its last half.
    pub log: usize,
    /// Wasmtime's fuel, for runs that must be bounded alike everywhere. A runtime that was not made to count it refuses
    /// the run.
    pub fuel: Option<u64>,
}

impl Default for Limits {
    /// 10 s of CPU, 5 min in all, memory as the plugin asks, 1 MiB of outcome, 64 KiB of log, no fuel.
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(10),
            wall: Duration::from_secs(300),
            memory: None,
            output: 1 << 20,
            log: 64 << 10,
            fuel: None,
        }
    }
}

/// One piece of work. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Item {
    /// Names the item to people.
    pub id: ItemId,
    /// The bytes to judge.
    pub body: Bytes,
}

/// What names an item to people: a text, or a part of one that many items share. Cheap to clone.
#[derive(Clone)]
pub struct ItemId {
    text: Arc<str>,
    part: Range<usize>,
}

impl ItemId {
    /// A part of a text; `None` if there is no such part.
    pub fn part(text: &Arc<str>, part: Range<usize>) -> Option<Self> {
        text.get(part.clone()).map(|_| Self { text: Arc::clone(text), part })
    }
}

impl Deref for ItemId {
    type Target = str;

    fn deref(&self) -> &str {
        self.text.get(self.part.clone()).unwrap_or_default()
    }
}

impl<T: Into<Arc<str>>> From<T> for ItemId {
    fn from(text: T) -> Self {
        let text = text.into();
        Self { part: 0..text.len(), text }
    }
}

impl fmt::Debug for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

/// One execution of one item.
#[derive(Debug, Clone)]
pub struct Run {
    /// The caller's own number for it, given back in every [`Event`].
    pub index: u64,
    /// What is judged.
    pub item: Item,
    /// The worker place, from 0.
    pub place: u32,
    /// Which iteration in that place, from 0.
    pub iteration: u32,
    /// See [`run_seed`](crate::seed::run_seed).
    pub seed: u64,
}

/// What a batch tells of its runs, in the order in which it happens.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run of this index is begun.
    Begun(u64),
    /// The run of this index has its outcome. Told once a run.
    Landed(u64, RunReport),
}

/// The outcome of a run and what it cost.
#[derive(Debug, Clone)]
pub struct RunReport {
    /// The answer.
    pub result: Result<Judgement, Failure>,
    /// From the start of the instance (or call) to the answer, of the attempt that counted.
    pub wall: Duration,
    /// CPU time of the guest in that attempt.
    pub cpu: Duration,
    /// Greatest linear memory of the instance, in bytes.
    pub memory: u64,
    /// What the guest logged, in bounds. As a rule UTF-8.
    pub log: Bytes,
}

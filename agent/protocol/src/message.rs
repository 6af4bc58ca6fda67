//! The messages of the control, batch and request streams.

use prost::{Message, Oneof};

pub use crate::items::LeasedItems;
use crate::{manifest::SignedManifest, outcome::Outcome};

/// On the control stream, from the agent.
#[derive(Clone, PartialEq, Message)]
pub struct ToHub {
    /// What it says. Missing from a newer peer: skipped.
    #[prost(oneof = "to_hub::Say", tags = "1, 2, 3, 4")]
    pub say: Option<to_hub::Say>,
}

/// What an agent says on the control stream.
pub mod to_hub {
    use super::{Beat, Credit, Draining, Hello, Oneof};

    /// One of these.
    #[derive(Clone, PartialEq, Oneof)]
    pub enum Say {
        /// First, and once.
        #[prost(message, tag = "1")]
        Hello(Hello),
        /// At the interval that the welcome named.
        #[prost(message, tag = "2")]
        Beat(Beat),
        /// Whenever the agent has room for more.
        #[prost(message, tag = "3")]
        Credit(Credit),
        /// The agent wants no more leases and leaves when its runs have ended.
        #[prost(message, tag = "4")]
        Draining(Draining),
    }
}

/// Who an agent is and what it has.
#[derive(Clone, PartialEq, Message)]
pub struct Hello {
    /// Oldest minor version that it speaks.
    #[prost(uint32, tag = "1")]
    pub oldest_minor: u32,
    /// Newest minor version that it speaks.
    #[prost(uint32, tag = "2")]
    pub newest_minor: u32,
    /// This life of its process, 16 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub incarnation: Vec<u8>,
    /// The name to show it by: `worker-1`.
    #[prost(string, tag = "4")]
    pub name: String,
    /// Runs that it computes at once.
    #[prost(uint32, tag = "5")]
    pub slots: u32,
    /// Runs that it begins at once.
    #[prost(uint32, tag = "6")]
    pub in_flight: u32,
    /// Memory that guests may use together, in bytes.
    #[prost(uint64, tag = "7")]
    pub memory: u64,
    /// Labels for placement: `arch=x86_64`.
    #[prost(string, repeated, tag = "8")]
    pub labels: Vec<String>,
    /// The agent's own version.
    #[prost(string, tag = "9")]
    pub version: String,
    /// Largest memory that one run may be given, in bytes.
    #[prost(uint64, tag = "10")]
    pub max_memory: u64,
}

/// "I live", with what it lives on.
#[derive(Clone, PartialEq, Message)]
pub struct Beat {
    /// From 1, by one.
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// Leases that the agent holds: each is renewed.
    #[prost(uint64, repeated, tag = "2")]
    pub leases: Vec<u64>,
    /// Runs that compute now.
    #[prost(uint32, tag = "3")]
    pub computing: u32,
    /// Runs that wait in a host call now.
    #[prost(uint32, tag = "4")]
    pub waiting: u32,
    /// Resident memory of the agent's process, in bytes.
    #[prost(uint64, tag = "5")]
    pub rss: u64,
    /// Plugins that it holds compiled, 32 bytes each.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub plugins: Vec<Vec<u8>>,
    /// Models that the agent's node offers, by name.
    #[prost(string, repeated, tag = "7")]
    pub models: Vec<String>,
}

/// How many more batches the agent takes now. Each lane of an agent has one run in flight, and a batch is one lane:
/// so this is the credit in runs in flight. Absolute, not added up: it counts the batches that the agent wants beside
/// the `received` leases that it has been sent so far in this session, so that what is on the way is not counted twice.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Credit {
    /// Leases received in this session when this was said.
    #[prost(uint64, tag = "1")]
    pub received: u64,
    /// Further batches wanted.
    #[prost(uint32, tag = "2")]
    pub batches: u32,
    /// As many of these are wanted only if their runs are short. An older agent wants none such.
    #[prost(uint32, tag = "3")]
    pub short: u32,
}

/// The agent leaves.
#[derive(Clone, PartialEq, Message)]
pub struct Draining {
    /// Why, for people: `SIGTERM`.
    #[prost(string, tag = "1")]
    pub reason: String,
}

/// On the control stream, from the hub.
#[derive(Clone, PartialEq, Message)]
pub struct ToAgent {
    /// What it says. Missing from a newer peer: skipped.
    #[prost(oneof = "to_agent::Say", tags = "1, 2, 3, 4, 5")]
    pub say: Option<to_agent::Say>,
}

/// What the hub says on the control stream.
pub mod to_agent {
    use super::{BeatHeard, Cancel, Drain, Oneof, Refused, Welcome};

    /// One of these.
    #[derive(Clone, PartialEq, Oneof)]
    pub enum Say {
        /// The answer to a hello.
        #[prost(message, tag = "1")]
        Welcome(Welcome),
        /// The other answer to a hello, or a good-bye.
        #[prost(message, tag = "2")]
        Refused(Refused),
        /// The answer to a beat.
        #[prost(message, tag = "3")]
        BeatHeard(BeatHeard),
        /// These leases are the agent's no longer.
        #[prost(message, tag = "4")]
        Cancel(Cancel),
        /// Take nothing more, end what runs, leave.
        #[prost(message, tag = "5")]
        Drain(Drain),
    }
}

/// The agent is in.
#[derive(Clone, PartialEq, Message)]
pub struct Welcome {
    /// The minor version that is spoken from here on.
    #[prost(uint32, tag = "1")]
    pub minor: u32,
    /// The session's number.
    #[prost(uint64, tag = "2")]
    pub session: u64,
    /// Milliseconds between beats; 30,000 at most.
    #[prost(uint64, tag = "3")]
    pub beat_ms: u64,
}

/// The agent is out.
#[derive(Clone, PartialEq, Message)]
pub struct Refused {
    /// Why, for people.
    #[prost(string, tag = "1")]
    pub reason: String,
    /// Whether it may try again later.
    #[prost(bool, tag = "2")]
    pub try_again: bool,
    /// Another process has connected with this agent's identity. An older hub does not say so.
    #[prost(bool, tag = "3")]
    pub elsewhere: bool,
}

/// The beat was heard.
#[derive(Clone, PartialEq, Message)]
pub struct BeatHeard {
    /// Number of the beat.
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// Of the leases that it named, those that are not the agent's (any more): stop them.
    #[prost(uint64, repeated, tag = "2")]
    pub unknown: Vec<u64>,
}

/// Stop these.
#[derive(Clone, PartialEq, Message)]
pub struct Cancel {
    /// The leases.
    #[prost(uint64, repeated, tag = "1")]
    pub leases: Vec<u64>,
}

/// Leave in order.
#[derive(Clone, PartialEq, Message)]
pub struct Drain {
    /// Milliseconds that running runs may take to end.
    #[prost(uint64, tag = "1")]
    pub grace_ms: u64,
}

/// First on a batch stream: the batch. The bodies of `items` follow raw, in their order, without anything between.
#[derive(Clone, PartialEq, Message)]
pub struct Lease {
    /// The lease.
    #[prost(uint64, tag = "1")]
    pub lease: u64,
    /// Its fence.
    #[prost(uint64, tag = "2")]
    pub fence: u64,
    /// The job, 16 bytes. What it is the agent asks once, with [`FetchJob`], unless that is said here.
    #[prost(bytes = "vec", tag = "3")]
    pub job: Vec<u8>,
    /// Each item that the batch needs, once.
    #[prost(message, repeated, tag = "4")]
    pub items: Vec<LeasedItems>,
    /// The runs, in the order in which they shall be made.
    #[prost(message, repeated, tag = "5")]
    pub runs: Vec<RunRange>,
    /// Number of the attempt, from 1; more than 1 only where every run of the batch is a repetition.
    #[prost(uint32, tag = "6")]
    pub attempt: u32,
    /// Another `Lease` message follows before the bodies; its items and runs are added to these. So that a batch whose
    /// items have long ids is not bound by the length of a message.
    #[prost(bool, tag = "7")]
    pub more: bool,
    /// What the job's runs have in common, with the values of its options, where all that is short: so that a job of a single
    /// run does not take an answer more than its lease. An older hub says nothing here.
    #[prost(message, optional, tag = "8")]
    pub context: Option<JobContext>,
}

/// Runs `first`, `first + 1`, ... `first + count - 1`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct RunRange {
    /// Index of the first.
    #[prost(uint64, tag = "1")]
    pub first: u64,
    /// How many.
    #[prost(uint64, tag = "2")]
    pub count: u64,
}

/// On a batch stream, from the agent; and on a request stream behind [`Deliver`].
#[derive(Clone, PartialEq, Message)]
pub struct FromBatch {
    /// Outcomes that have landed since the last message.
    #[prost(message, repeated, tag = "1")]
    pub outcomes: Vec<Outcome>,
    /// The batch is over: nothing follows. Runs without an outcome were not made (cancelled, drained).
    #[prost(bool, tag = "2")]
    pub end: bool,
    /// Runs begun and not answered so far on this stream: the suspects, should the agent die now.
    #[prost(uint64, repeated, tag = "3")]
    pub begun: Vec<u64>,
}

/// On a batch stream, from the hub: the agent may forget this many of the outcomes that it sent on this stream.
/// They are on disk, or refused because the lease was not the agent's (any more).
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Recorded {
    /// Counted from the stream's beginning.
    #[prost(uint64, tag = "1")]
    pub count: u64,
    /// So many of those were refused. Counted likewise.
    #[prost(uint64, tag = "2")]
    pub refused: u64,
}

/// First on a request stream.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// What is asked.
    #[prost(oneof = "request::Ask", tags = "1, 2, 3")]
    pub ask: Option<request::Ask>,
}

/// What an agent may ask.
pub mod request {
    use super::{Deliver, FetchJob, FetchPlugin, Oneof};

    /// One of these.
    #[derive(Clone, PartialEq, Oneof)]
    pub enum Ask {
        /// A component.
        #[prost(message, tag = "1")]
        Plugin(FetchPlugin),
        /// What a job's runs have in common.
        #[prost(message, tag = "2")]
        Job(FetchJob),
        /// To take outcomes that could not be delivered on their own stream.
        #[prost(message, tag = "3")]
        Deliver(Deliver),
    }
}

/// Asks for a component. Answered by [`PluginHead`] and its bytes from `offset` on.
#[derive(Clone, PartialEq, Message)]
pub struct FetchPlugin {
    /// Its digest, 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub digest: Vec<u8>,
    /// Bytes that the agent already has.
    #[prost(uint64, tag = "2")]
    pub offset: u64,
}

/// The answer to [`FetchPlugin`].
#[derive(Clone, PartialEq, Message)]
pub struct PluginHead {
    /// Empty if the plugin is not known.
    #[prost(message, optional, tag = "1")]
    pub signed: Option<SignedManifest>,
    /// Size of the whole component, in bytes.
    #[prost(uint64, tag = "2")]
    pub size: u64,
}

/// Asks what a job's runs have in common. Answered by [`JobContext`].
#[derive(Clone, PartialEq, Message)]
pub struct FetchJob {
    /// The job, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub job: Vec<u8>,
}

/// What a job's runs have in common. The values of `options` follow raw, in their order.
#[derive(Clone, PartialEq, Message)]
pub struct JobContext {
    /// False if the job is not known here (any more); nothing else is set then.
    #[prost(bool, tag = "1")]
    pub known: bool,
    /// The component's digest, 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub plugin: Vec<u8>,
    /// The job's seed.
    #[prost(uint64, tag = "3")]
    pub seed: u64,
    /// What the guests' clock starts at, in nanoseconds since 1970; not set for the node's own clock.
    #[prost(sfixed64, optional, tag = "4")]
    pub clock_ns: Option<i64>,
    /// Bounds of each run.
    #[prost(message, optional, tag = "5")]
    pub limits: Option<Limits>,
    /// Options of the job.
    #[prost(message, repeated, tag = "6")]
    pub options: Vec<OptionSize>,
    /// Worker places: see [`Shape`](crate::id::Shape).
    #[prost(uint32, tag = "7")]
    pub places: u32,
    /// Iterations in a place.
    #[prost(uint32, tag = "8")]
    pub iterations: u32,
    /// What the job grants of the plugin's powers: `llm=codellama:7b`.
    #[prost(string, repeated, tag = "9")]
    pub grants: Vec<String>,
}

/// An option, whose value follows.
#[derive(Clone, PartialEq, Message)]
pub struct OptionSize {
    /// Its key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Length of its value, in bytes of UTF-8.
    #[prost(uint64, tag = "2")]
    pub size: u64,
    /// Its value, within a lease: nothing follows there.
    #[prost(string, optional, tag = "3")]
    pub value: Option<String>,
}

/// Bounds of a run. Zero means the agent's own default.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Limits {
    /// CPU time of the guest, in milliseconds.
    #[prost(uint64, tag = "1")]
    pub cpu_ms: u64,
    /// Wall-clock time in all, in milliseconds.
    #[prost(uint64, tag = "2")]
    pub wall_ms: u64,
    /// Linear memory, in bytes; zero for what the plugin asks for.
    #[prost(uint64, tag = "3")]
    pub memory: u64,
    /// Size of the encoded outcome, in bytes.
    #[prost(uint64, tag = "4")]
    pub output: u64,
    /// Size of the kept log, in bytes.
    #[prost(uint64, tag = "5")]
    pub log: u64,
    /// Wasmtime fuel; zero for no bound.
    #[prost(uint64, tag = "6")]
    pub fuel: u64,
}

/// Announces outcomes of a lease that the agent could not deliver on the lease's own stream, as a rule because the
/// connection broke. [`FromBatch`] messages follow, the last of them with `end`; answered like a batch stream.
#[derive(Clone, PartialEq, Message)]
pub struct Deliver {
    /// The lease.
    #[prost(uint64, tag = "1")]
    pub lease: u64,
    /// Its fence.
    #[prost(uint64, tag = "2")]
    pub fence: u64,
    /// The job, 16 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub job: Vec<u8>,
}

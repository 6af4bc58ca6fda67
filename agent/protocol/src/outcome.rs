//! What became of a run: a verdict or a failure, with what it cost.
//!
//! The agent makes outcomes, the control host records them as they are, and the command line prints them. All bounds
//! (1,000 findings, 1 MiB encoded, 64 KiB of log) are kept by the agent that makes the outcome, and checked again
//! where it is received.

use prost::{Enumeration, Message, Oneof};

/// One run's outcome.
#[derive(Clone, PartialEq, Message)]
pub struct Outcome {
    /// Which of the job's runs. See [`RunIndex`](crate::id::RunIndex).
    #[prost(uint64, tag = "1")]
    pub run: u64,
    /// Wall time on the agent from the start of the instance (or call) to the answer, in microseconds.
    #[prost(uint64, tag = "2")]
    pub time_us: u64,
    /// CPU time of the guest, in microseconds.
    #[prost(uint64, tag = "3")]
    pub cpu_us: u64,
    /// Greatest linear memory of the instance, in bytes.
    #[prost(uint64, tag = "4")]
    pub memory: u64,
    /// The answer. Missing only from a peer that speaks a newer version: then it is a failure `unknown-answer`.
    #[prost(oneof = "Answer", tags = "5, 6")]
    pub answer: Option<Answer>,
    /// What the guest logged: its first and last half if it was more than the bound. Bytes, as a rule UTF-8.
    #[prost(bytes = "bytes", tag = "7")]
    pub log: bytes::Bytes,
}

/// Verdict or failure.
#[derive(Clone, PartialEq, Oneof)]
pub enum Answer {
    /// The validator judged.
    #[prost(message, tag = "5")]
    Judgement(Judgement),
    /// It could not.
    #[prost(message, tag = "6")]
    Failure(Failure),
}

/// A validator's answer. Invalid if there is an error among its findings, listed or omitted.
#[derive(Clone, PartialEq, Message)]
pub struct Judgement {
    /// At most 1,000: errors before warnings before infos.
    #[prost(message, repeated, tag = "1")]
    pub findings: Vec<Finding>,
    /// Findings that were not listed, by severity.
    #[prost(message, optional, tag = "2")]
    pub omitted: Option<Counts>,
    /// The plugin's score, if it gave one.
    #[prost(double, optional, tag = "3")]
    pub score: Option<f64>,
    /// The plugin's own data, a JSON document, if it gave any.
    #[prost(string, optional, tag = "4")]
    pub data: Option<String>,
}

/// How many findings of each severity.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Counts {
    /// Findings of severity error.
    #[prost(uint64, tag = "1")]
    pub errors: u64,
    /// Findings of severity warning.
    #[prost(uint64, tag = "2")]
    pub warnings: u64,
    /// Findings of severity info.
    #[prost(uint64, tag = "3")]
    pub infos: u64,
}

/// One thing that a validator says of an item.
#[derive(Clone, PartialEq, Message)]
pub struct Finding {
    /// How grave it is.
    #[prost(enumeration = "Severity", tag = "1")]
    pub severity: i32,
    /// Stable and machine-readable.
    #[prost(string, tag = "2")]
    pub code: String,
    /// For people.
    #[prost(string, tag = "3")]
    pub message: String,
    /// Where in the item.
    #[prost(message, optional, tag = "4")]
    pub place: Option<Place>,
}

/// A place in an item.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Place {
    /// From 1.
    #[prost(uint32, optional, tag = "1")]
    pub line: Option<u32>,
    /// From 1, in characters.
    #[prost(uint32, optional, tag = "2")]
    pub column: Option<u32>,
    /// From 0, in bytes.
    #[prost(uint64, optional, tag = "3")]
    pub offset: Option<u64>,
    /// JSON Pointer.
    #[prost(string, optional, tag = "4")]
    pub pointer: Option<String>,
}

/// How grave a finding is. Zero is `Error`: what a newer peer calls by a name we do not know counts as the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Severity {
    /// Makes the verdict invalid.
    Error = 0,
    /// Worth a look.
    Warning = 1,
    /// Worth knowing.
    Info = 2,
}

/// Why a run could not be judged.
#[derive(Clone, PartialEq, Message)]
pub struct Failure {
    /// What ended it.
    #[prost(enumeration = "Cause", tag = "1")]
    pub cause: i32,
    /// Stable and machine-readable: the plugin's own code if it said so itself, else [`Cause::code`].
    #[prost(string, tag = "2")]
    pub code: String,
    /// For people: what happened, and which bound bit if one did.
    #[prost(string, tag = "3")]
    pub message: String,
    /// Where in the guest a trap struck, innermost frame first, one a line. Empty where there is none.
    #[prost(string, tag = "4")]
    pub backtrace: String,
}

/// What ended a run without a verdict. We make it; it is never read from an error's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Cause {
    /// Not told, or told by a newer peer in words that this one does not know.
    Unknown = 0,
    /// The plugin said that it cannot, and that trying again will not help.
    Permanent = 1,
    /// The plugin said that it cannot now. Tried again.
    Transient = 2,
    /// The guest trapped: unreachable code, an access out of bounds, a division by zero.
    Trap = 3,
    /// It used up its CPU time.
    Timeout = 4,
    /// It used up its wall-clock time, as a rule waiting in a host call.
    WallTimeout = 5,
    /// It asked for more memory than it may have.
    OutOfMemory = 6,
    /// Its stack overflowed.
    Stack = 7,
    /// Its answer was larger than allowed.
    OutputTooLarge = 8,
    /// It used up its fuel.
    Fuel = 9,
    /// The plugin could not be fetched, verified, compiled or started on the agent.
    Load = 10,
    /// No agent can give it the memory that it asks for.
    DoesNotFit = 11,
    /// The agent died while it ran, more often than is tried.
    AgentLost = 12,
    /// The guest broke the contract: batch answers of the wrong number, a metadata call that failed.
    Contract = 13,
}

impl Cause {
    /// The failure code of this cause.
    pub const fn code(self) -> &'static str {
        match self {
            Cause::Unknown => "unknown",
            Cause::Permanent => "permanent",
            Cause::Transient => "transient",
            Cause::Trap => "trap",
            Cause::Timeout => "timeout",
            Cause::WallTimeout => "wall-timeout",
            Cause::OutOfMemory => "out-of-memory",
            Cause::Stack => "stack-overflow",
            Cause::OutputTooLarge => "output-too-large",
            Cause::Fuel => "out-of-fuel",
            Cause::Load => "load-failed",
            Cause::DoesNotFit => "does-not-fit",
            Cause::AgentLost => "agent-lost",
            Cause::Contract => "contract-broken",
        }
    }
}

/// A run's verdict, or that it has none. In the order of gravity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verdict {
    /// No finding of severity error.
    Valid = 0,
    /// At least one.
    Invalid = 1,
    /// No verdict.
    Failure = 2,
}

impl Verdict {
    /// As it stands in reports: `valid`, `invalid` or `failure`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Valid => "valid",
            Verdict::Invalid => "invalid",
            Verdict::Failure => "failure",
        }
    }
}

impl Judgement {
    /// The first finding of severity error, if it is among those listed.
    pub fn first_error(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.severity() == Severity::Error)
    }

    /// Valid or invalid.
    pub fn verdict(&self) -> Verdict {
        let omitted = self.omitted.is_some_and(|counts| counts.errors > 0);
        if omitted || self.first_error().is_some() { Verdict::Invalid } else { Verdict::Valid }
    }
}

impl Outcome {
    /// The verdict that the answer amounts to.
    pub fn verdict(&self) -> Verdict {
        match &self.answer {
            Some(Answer::Judgement(judgement)) => judgement.verdict(),
            Some(Answer::Failure(_)) | None => Verdict::Failure,
        }
    }

    /// Why there is no verdict, if there is none.
    pub fn cause(&self) -> Option<Cause> {
        match &self.answer {
            Some(Answer::Judgement(_)) => None,
            Some(Answer::Failure(failure)) => Some(failure.cause()),
            None => Some(Cause::Unknown),
        }
    }
}

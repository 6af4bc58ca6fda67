//! What a run comes to: a judgement, or the failure to judge. The host's own words for what the contract says, so that
//! whoever drives the runtime needs to know nothing of components.

/// A validator's answer, already brought into bounds: see [`Limits`](crate::Limits).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Judgement {
    /// At most 1,000: errors before warnings before infos, each in the order the plugin gave them.
    pub findings: Vec<Finding>,
    /// Findings that are not listed, by severity.
    pub omitted: Counts,
    /// The plugin's score, if it gave one that is a finite number.
    pub score: Option<f64>,
    /// The plugin's own data, a JSON document, if it gave any.
    pub data: Option<String>,
}

/// How many findings of each severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Findings of severity error.
    pub errors: u64,
    /// Findings of severity warning.
    pub warnings: u64,
    /// Findings of severity info.
    pub infos: u64,
}

/// One thing that a validator says of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// Stable and machine-readable, at most 64 bytes.
    pub code: String,
    /// For people.
    pub message: String,
    /// Where in the item, where the plugin knows.
    pub place: Option<Place>,
}

/// A place in an item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// From 1.
    pub line: Option<u32>,
    /// From 1, in characters.
    pub column: Option<u32>,
    /// From 0, in bytes.
    pub offset: Option<u64>,
    /// JSON Pointer, at most 1,024 bytes.
    pub pointer: Option<String>,
}

/// How grave a finding is, gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Makes the verdict invalid.
    Error,
    /// Worth a look.
    Warning,
    /// Worth knowing.
    Info,
}

impl Judgement {
    /// Whether nothing of severity error was found, listed or omitted.
    pub fn valid(&self) -> bool {
        self.omitted.errors == 0 && self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}

/// Why a run could not be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What ended it.
    pub cause: Cause,
    /// Stable and machine-readable: the plugin's own code if it said so itself, else [`Cause::code`].
    pub code: String,
    /// For people: what happened, and which bound bit if one did.
    pub message: String,
    /// Where in the guest a trap struck, innermost frame first, one a line. Empty where there is none.
    pub backtrace: String,
}

impl Failure {
    /// A failure that the host found, with the code of its cause and no backtrace.
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, code: cause.code().to_owned(), message: message.into(), backtrace: String::new() }
    }
}

/// What ended a run without a verdict. Made where it happens, never read from an error's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The plugin said that it cannot, and that trying again will not help.
    Permanent,
    /// The plugin said that it cannot now.
    Transient,
    /// The guest trapped: unreachable code, an access out of bounds, a division by zero.
    Trap,
    /// It used up its CPU time.
    Timeout,
    /// It used up its wall-clock time, as a rule waiting in a host call.
    WallTimeout,
    /// It asked for more memory than it may have.
    OutOfMemory,
    /// Its stack overflowed.
    Stack,
    /// Its answer was larger than allowed.
    OutputTooLarge,
    /// It used up its fuel.
    Fuel,
    /// The plugin could not be started.
    Load,
    /// This runtime cannot give it the memory that it asks for.
    DoesNotFit,
    /// The guest broke the contract: data that is no JSON, batch answers of the wrong number.
    Contract,
}

impl Cause {
    /// The failure code of this cause.
    pub const fn code(self) -> &'static str {
        match self {
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
            Cause::Contract => "contract-broken",
        }
    }
}

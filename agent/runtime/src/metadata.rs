//! What a plugin says of itself, asked once when it is loaded and checked before it is believed.

/// What a plugin says of itself. See the contract (`wit/types.wit`) for each field.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// Lowercase letters, digits and hyphens, starting with a letter; at most 64 bytes.
    pub name: String,
    /// A semantic version without build metadata.
    pub version: String,
    /// One paragraph; the first sentence stands alone in lists.
    pub description: String,
    /// Media types that the validator understands.
    pub formats: Vec<String>,
    /// The options that it knows.
    pub options: Vec<OptionSpec>,
    /// The finding and failure codes that it may give.
    pub codes: Vec<CodeSpec>,
    /// Whether the runs of a batch share one instance.
    pub shared: bool,
    /// How the verdicts of several runs of an item become the item's.
    pub vote: Vote,
    /// Linear memory that a run asks for whatever its item is, in bytes.
    pub memory_base: u64,
    /// Linear memory that a run asks for on top, in bytes a byte of the item's body. Finite, not negative.
    pub memory_factor: f64,
    /// Models that the plugin needs.
    pub models: Vec<String>,
    /// What later hosts may ask, by key.
    pub extensions: Vec<(String, String)>,
}

/// An option that a plugin understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionSpec {
    /// Its key.
    pub name: String,
    /// What it means and which values it takes.
    pub description: String,
    /// The value when it is not given.
    pub default: Option<String>,
    /// Whether a job that does not set it is refused.
    pub required: bool,
}

/// A finding or failure code that a plugin may give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeSpec {
    /// The code.
    pub code: String,
    /// `None` for a failure code.
    pub severity: Option<crate::Severity>,
    /// What it means.
    pub description: String,
}

/// How the verdicts of several runs of one item become the item's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vote {
    /// The worst of them: failure, then invalid, then valid.
    #[default]
    Worst,
    /// The one that most runs gave; the worse of two that tie.
    Majority,
}

/// What a generated test case should come out as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Valid.
    Valid,
    /// Invalid.
    Invalid,
    /// The plugin does not say.
    Any,
}

/// A generated item with the verdict that it deserves.
#[derive(Debug, Clone)]
pub struct TestCase {
    /// The item.
    pub item: crate::Item,
    /// Its verdict.
    pub expected: Expectation,
    /// What the case shows.
    pub description: String,
}

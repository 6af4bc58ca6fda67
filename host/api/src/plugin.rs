//! Plugins, as people see them.

use pigeon_protocol::id::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Severity, text};

/// A plugin that jobs can name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginInfo {
    /// SHA-256 of the component.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub digest: Digest,
    /// What sort it is.
    pub kind: PluginKind,
    /// Whether it came with Pigeon.
    pub built_in: bool,
    /// Size of the component, in bytes.
    pub size: u64,
    /// What it says of itself.
    #[serde(flatten)]
    pub metadata: PluginMetadata,
    /// Interfaces that the component imports, with their versions.
    pub imports: Vec<String>,
    /// Of those, the ones that must be granted.
    pub powers: Vec<String>,
}

/// Sorts of plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// Judges one item at a time.
    Validator,
    /// Judges several together.
    BatchValidator,
}

/// How much of the fleet the runs of a plugin may take, whatever jobs they are of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginLimits {
    /// Leases under way at once; no bound if not said. A lease makes its runs one after another.
    #[schema(minimum = 1)]
    pub max_parallel: Option<u32>,
    /// Runs begun in a stretch of time; no bound if not said.
    pub rate: Option<Rate>,
}

/// So many runs in such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Runs.
    #[schema(minimum = 1)]
    pub runs: u32,
    /// In so many milliseconds.
    #[schema(minimum = 1)]
    pub per_ms: u64,
}

/// What an inspection of a component finds out. The control host is given an inspector when it is built, since it knows
/// no Wasm itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// Which world it fits.
    pub kind: PluginKind,
    /// What it says of itself.
    pub metadata: PluginMetadata,
    /// Interfaces that it imports, with their versions.
    pub imports: Vec<String>,
    /// Of those, the ones that must be granted.
    pub powers: Vec<String>,
}

/// What a plugin says of itself: `metadata` of the WIT package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginMetadata {
    /// Lowercase letters, digits and hyphens.
    pub name: String,
    /// A semantic version.
    pub version: String,
    /// One paragraph; the first sentence stands alone in lists.
    pub description: String,
    /// Media types.
    pub formats: Vec<String>,
    /// Options that it understands.
    pub options: Vec<OptionSpec>,
    /// Codes of its findings and failures.
    pub codes: Vec<CodeSpec>,
    /// Whether runs may share an instance.
    pub instances: InstancePolicy,
    /// How the verdicts of several runs of an item become one.
    pub vote: Vote,
    /// How much memory a run asks for.
    pub memory: MemoryNeed,
    /// Models that it needs.
    pub models: Vec<String>,
    /// What later versions may add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<(String, String)>,
}

/// An option of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OptionSpec {
    /// Its key.
    pub name: String,
    /// What it means.
    pub description: String,
    /// Its value when not given.
    pub default: Option<String>,
    /// Whether it must be given.
    pub required: bool,
}

/// A code that a plugin may give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CodeSpec {
    /// The code.
    pub code: String,
    /// Severity of the finding; none for a failure's code.
    pub severity: Option<Severity>,
    /// What it means.
    pub description: String,
}

/// Whether runs may share an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InstancePolicy {
    /// Each run has its own.
    Fresh,
    /// The runs of a batch follow one another in one.
    Shared,
}

/// How an item's verdict is made of its runs'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Vote {
    /// The worst of them.
    Worst,
    /// What most of them say; of two that tie, the worse.
    Majority,
}

/// Memory that a run asks for: `base + factor x item size`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MemoryNeed {
    /// Bytes whatever the item.
    pub base: u64,
    /// Bytes for each byte of the item.
    pub factor: f64,
}

impl MemoryNeed {
    /// What it comes to for an item of so many bytes. The runtime's metadata reckons the same.
    pub fn of(&self, item: u64) -> u64 {
        // A float this large is cut to u64::MAX, which no run may have.
        self.base.saturating_add((self.factor * item as f64) as u64)
    }
}

//! What a plugin says of itself, asked once when it is loaded and checked before it is believed.

use std::collections::HashSet;

use crate::contract::{self, InstancePolicy};

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

/// Bytes of a plugin's name.
const MAX_NAME: usize = 64;

impl Metadata {
    /// Takes a plugin at its word where its word is sound.
    ///
    /// # Errors
    ///
    /// In words that name the field.
    pub(crate) fn check(raw: contract::Metadata) -> Result<Metadata, String> {
        let name = raw.name.0;
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let sound = name.len() <= MAX_NAME && name.bytes().all(known);
        if !sound || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
            return Err(format!(
                "its name {name:?} is not 1 to {MAX_NAME} lowercase letters, digits and hyphens that start with a letter"
            ));
        }
        let version = raw.version.0;
        match semver::Version::parse(&version) {
            Ok(parsed) if parsed.build.is_empty() => {}
            Ok(_) => return Err(format!("its version {version:?} has build metadata")),
            Err(error) => return Err(format!("its version {version:?} is not a semantic version: {error}")),
        }
        let contract::MemoryNeed { base, factor } = raw.memory;
        if !factor.is_finite() || factor < 0.0 {
            return Err(format!("its memory factor {factor} is no amount"));
        }
        let options: Vec<_> = raw.options.0.into_iter().map(OptionSpec::from).collect();
        let mut names = HashSet::new();
        if let Some(twice) = options.iter().find(|option| !names.insert(option.name.as_str())) {
            return Err(format!("its option {:?} is listed twice", twice.name));
        }
        Ok(Metadata {
            name,
            version,
            description: raw.description.0,
            formats: raw.formats.0.into_iter().map(|format| format.0).collect(),
            options,
            codes: raw.codes.0.into_iter().map(CodeSpec::from).collect(),
            shared: raw.instances == InstancePolicy::Shared,
            vote: match raw.vote {
                contract::Vote::Worst => Vote::Worst,
                contract::Vote::Majority => Vote::Majority,
            },
            memory_base: base,
            memory_factor: factor,
            models: raw.models.0.into_iter().map(|model| model.0).collect(),
            extensions: raw.extensions.0.into_iter().map(|(key, value)| (key.0, value.0)).collect(),
        })
    }

    /// Linear memory that a run asks for whose item's body has this many bytes.
    pub fn memory(&self, body: u64) -> u64 {
        // A float this large is cut to u64::MAX, which no run may have.
        self.memory_base.saturating_add((self.memory_factor * body as f64) as u64)
    }
}

impl From<contract::OptionSpec> for OptionSpec {
    fn from(raw: contract::OptionSpec) -> Self {
        Self {
            name: raw.name.0,
            description: raw.description.0,
            default: raw.default.map(|default| default.0),
            required: raw.required,
        }
    }
}

impl From<contract::CodeSpec> for CodeSpec {
    fn from(raw: contract::CodeSpec) -> Self {
        let severity = raw.severity.map(crate::normalise::severity);
        Self { code: raw.code.0, severity, description: raw.description.0 }
    }
}

impl From<contract::TestCase> for TestCase {
    fn from(raw: contract::TestCase) -> Self {
        let expected = match raw.expected {
            contract::Expectation::Valid => Expectation::Valid,
            contract::Expectation::Invalid => Expectation::Invalid,
            contract::Expectation::Any => Expectation::Any,
        };
        let item = crate::Item { id: raw.item.id.0.into(), body: raw.item.body.0.into() };
        Self { item, expected, description: raw.description.0 }
    }
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

//! What a plugin says of itself, written as a chain.

use crate::{CodeSpec, InstancePolicy, MemoryNeed, Metadata, OptionSpec, Severity, Vote};

impl Metadata {
    /// The least that must be said. A fresh instance for each run, the worst vote, and memory of 16 MiB and 8 times
    /// the size of the item.
    #[must_use]
    pub fn new(name: &str, version: &str, description: &str) -> Self {
        Metadata {
            name: name.to_owned(),
            version: version.to_owned(),
            description: description.to_owned(),
            formats: Vec::new(),
            options: Vec::new(),
            codes: Vec::new(),
            instances: InstancePolicy::Fresh,
            vote: Vote::Worst,
            memory: MemoryNeed { base: 16 << 20, factor: 8.0 },
            models: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// One paragraph; the first sentence stands alone in lists.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }

    /// Understands this media type.
    #[must_use]
    pub fn format(mut self, media_type: &str) -> Self {
        self.formats.push(media_type.to_owned());
        self
    }

    /// Knows the option `name`, which may be left out.
    #[must_use]
    pub fn option(self, name: &str, description: &str) -> Self {
        self.option_spec(name, description, None, false)
    }

    /// Knows the option `name`, which is `default` where it is left out.
    #[must_use]
    pub fn option_or(self, name: &str, default: &str, description: &str) -> Self {
        self.option_spec(name, description, Some(default.to_owned()), false)
    }

    /// Knows the option `name`, without which no job is taken.
    #[must_use]
    pub fn required_option(self, name: &str, description: &str) -> Self {
        self.option_spec(name, description, None, true)
    }

    fn option_spec(mut self, name: &str, description: &str, default: Option<String>, required: bool) -> Self {
        let (name, description) = (name.to_owned(), description.to_owned());
        self.options.push(OptionSpec { name, description, default, required });
        self
    }

    /// May give errors of this code.
    #[must_use]
    pub fn error(self, code: &str, description: &str) -> Self {
        self.code(code, Some(Severity::Error), description)
    }

    /// May give warnings of this code.
    #[must_use]
    pub fn warning(self, code: &str, description: &str) -> Self {
        self.code(code, Some(Severity::Warning), description)
    }

    /// May give infos of this code.
    #[must_use]
    pub fn info(self, code: &str, description: &str) -> Self {
        self.code(code, Some(Severity::Info), description)
    }

    /// May fail with this code.
    #[must_use]
    pub fn failure(self, code: &str, description: &str) -> Self {
        self.code(code, None, description)
    }

    fn code(mut self, code: &str, severity: Option<Severity>, description: &str) -> Self {
        self.codes.push(CodeSpec::new(code, severity, description));
        self
    }

    /// The runs of a batch may follow one another in one instance: faster, and right for all that keep nothing
    /// between items that could change an answer.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.instances = InstancePolicy::Shared;
        self
    }

    /// The verdict of several runs of an item is the one that most of them gave.
    #[must_use]
    pub fn majority(mut self) -> Self {
        self.vote = Vote::Majority;
        self
    }

    /// Needs `base` bytes of memory, and `factor` more for each byte of an item.
    #[must_use]
    pub fn memory(mut self, base: u64, factor: f64) -> Self {
        self.memory = MemoryNeed { base, factor };
        self
    }

    /// Needs this model, such as `codellama:7b`.
    #[must_use]
    pub fn model(mut self, model: &str) -> Self {
        self.models.push(model.to_owned());
        self
    }
}

//! Items, findings, places and failures: the contract's records, with what makes them pleasant to write.

use crate::{
    CodeSpec, Expectation, Failure, FailureKind, Finding, Findings, Item, Judgement, Place, Severity, TestCase,
};

impl Item {
    /// An item, for tests and generated cases.
    #[must_use]
    pub fn new(id: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Item { id: id.into(), body: body.into() }
    }

    /// The body as text. Where it is not UTF-8, `findings` gets the error `not-utf8` and the answer is `None`: a body
    /// that cannot be read is invalid, not a failure.
    pub fn text(&self, findings: &mut Findings) -> Option<&str> {
        match std::str::from_utf8(&self.body) {
            Ok(text) => Some(text),
            Err(error) => {
                let finding = Finding::error("not-utf8", "the item is not UTF-8 text");
                findings.push(finding.at(Place::offset(error.valid_up_to())));
                None
            }
        }
    }
}

impl Judgement {
    /// Whether the verdict is valid: there is no error, listed or omitted.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.omitted.errors == 0 && self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}

impl Finding {
    /// Something that makes the item invalid. `code` is stable and in kebab-case; `message` is one sentence, in
    /// lowercase, without a full stop.
    #[must_use]
    pub fn error(code: impl Into<String>, message: impl Into<String>) -> Self {
        Finding::new(Severity::Error, code, message)
    }

    /// Something that is worth a second look.
    #[must_use]
    pub fn warning(code: impl Into<String>, message: impl Into<String>) -> Self {
        Finding::new(Severity::Warning, code, message)
    }

    /// Something worth knowing.
    #[must_use]
    pub fn info(code: impl Into<String>, message: impl Into<String>) -> Self {
        Finding::new(Severity::Info, code, message)
    }

    /// A finding about the whole item; [`at`](Self::at) says where in it.
    #[must_use]
    pub fn new(severity: Severity, code: impl Into<String>, message: impl Into<String>) -> Self {
        Finding { severity, code: code.into(), message: message.into(), place: None }
    }

    /// Where it is.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }
}

impl Place {
    /// A line, from 1.
    #[must_use]
    pub fn line(line: u32) -> Self {
        Place { line: Some(line), column: None, offset: None, pointer: None }
    }

    /// An offset from the start of the body, in bytes, from 0.
    #[must_use]
    pub fn offset(offset: usize) -> Self {
        Place { line: None, column: None, offset: u64::try_from(offset).ok(), pointer: None }
    }

    /// With the column, from 1, in characters.
    #[must_use]
    pub fn column(mut self, column: u32) -> Self {
        self.column = Some(column);
        self
    }

    /// With a JSON Pointer. One longer than 1,024 bytes is left out.
    #[must_use]
    pub fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into()).filter(|pointer| pointer.len() <= 1024);
        self
    }
}

impl Failure {
    /// It will fail again: a bad option, a denied power, a bug.
    #[must_use]
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        Failure { kind: FailureKind::Permanent, code: code.into(), message: message.into() }
    }

    /// It may pass another time, and is tried again.
    #[must_use]
    pub fn transient(code: impl Into<String>, message: impl Into<String>) -> Self {
        Failure { kind: FailureKind::Transient, code: code.into(), message: message.into() }
    }

    /// The option `name` has a value that the plugin cannot use: a permanent failure with the code `bad-option`.
    #[must_use]
    pub fn bad_option(name: &str, why: impl std::fmt::Display) -> Self {
        Failure::permanent("bad-option", format!("option {name}: {why}"))
    }
}

impl CodeSpec {
    /// A code of a finding, or of a failure where `severity` is `None`.
    #[must_use]
    pub fn new(code: impl Into<String>, severity: Option<Severity>, description: impl Into<String>) -> Self {
        CodeSpec { code: code.into(), severity, description: description.into() }
    }
}

impl TestCase {
    /// A case with the verdict that it deserves; `description` says what it shows, in a few words.
    #[must_use]
    pub fn new(item: Item, expected: Expectation, description: impl Into<String>) -> Self {
        TestCase { item, expected, description: description.into() }
    }
}

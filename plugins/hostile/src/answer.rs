//! Short ways to an answer.

use crate::bindings::pigeon::plugin::types::{Counts, Failure, FailureKind, Finding, Judgement, Severity};

pub(crate) fn valid() -> Judgement {
    Judgement { findings: Vec::new(), omitted: Counts { errors: 0, warnings: 0, infos: 0 }, score: None, data: None }
}

/// Valid, with something to say.
pub(crate) fn says(code: &str, message: String) -> Judgement {
    Judgement { findings: vec![finding(Severity::Info, code, message)], ..valid() }
}

pub(crate) fn finding(severity: Severity, code: &str, message: String) -> Finding {
    Finding { severity, code: code.into(), message, place: None }
}

pub(crate) fn failure(kind: FailureKind, code: &str, message: String) -> Failure {
    Failure { kind, code: code.into(), message }
}

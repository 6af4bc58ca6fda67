//! The findings of one item, kept within bounds while the checking goes on.

use crate::{Counts, Finding, Judgement, Severity};

/// The most findings that a judgement lists.
pub const FINDINGS_LIMIT: usize = 1000;

/// The most bytes of text in the listed findings. An answer is at most 1 MiB as a rule, and a thousand long messages
/// with long pointers must not turn a verdict into a failure.
const TEXT_LIMIT: usize = 768 * 1024;

/// What is found about one item, and what else the verdict carries.
///
/// The first 1,000 findings are kept, errors before warnings before infos; those behind are counted. Once full it
/// takes no more memory, so that a validator may go on and count a million.
#[derive(Debug, Default)]
pub struct Findings {
    errors: Kept,
    warnings: Kept,
    infos: Kept,
    score: Option<f64>,
    data: Option<String>,
}

/// The first findings of one severity.
#[derive(Debug, Default)]
struct Kept {
    listed: Vec<Finding>,
    bytes: usize,
    omitted: u64,
}

impl Findings {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        const NONE: Kept = Kept { listed: Vec::new(), bytes: 0, omitted: 0 };
        Findings { errors: NONE, warnings: NONE, infos: NONE, score: None, data: None }
    }

    /// Adds a finding.
    pub fn push(&mut self, finding: Finding) {
        let kept = self.of_mut(finding.severity);
        let bytes = weight(&finding);
        if kept.is_full() || kept.bytes + bytes > TEXT_LIMIT {
            kept.omitted += 1;
            return;
        }
        kept.bytes += bytes;
        kept.listed.push(finding);
    }

    /// Whether another finding of this severity could still be listed. Where not, [`omit`](Self::omit) counts it
    /// without the cost of writing its message.
    #[must_use]
    pub fn wants(&self, severity: Severity) -> bool {
        !self.of(severity).is_full()
    }

    /// Counts a finding without listing it; no later one of its severity is listed either.
    pub fn omit(&mut self, severity: Severity) {
        self.of_mut(severity).omitted += 1;
    }

    /// How many there are of this severity, listed or not.
    #[must_use]
    pub fn count(&self, severity: Severity) -> u64 {
        let kept = self.of(severity);
        kept.listed.len() as u64 + kept.omitted
    }

    /// Whether there is none of any severity.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [Severity::Error, Severity::Warning, Severity::Info].into_iter().all(|severity| self.count(severity) == 0)
    }

    /// Gives the verdict a score. Higher is better; what its range is, the plugin's description says.
    pub fn set_score(&mut self, score: f64) {
        self.score = Some(score);
    }

    /// Gives the verdict a JSON document of its own.
    pub fn set_data(&mut self, json: impl Into<String>) {
        self.data = Some(json.into());
    }

    fn of(&self, severity: Severity) -> &Kept {
        match severity {
            Severity::Error => &self.errors,
            Severity::Warning => &self.warnings,
            Severity::Info => &self.infos,
        }
    }

    fn of_mut(&mut self, severity: Severity) -> &mut Kept {
        match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
            Severity::Info => &mut self.infos,
        }
    }
}

impl Kept {
    /// The listed ones are the first: behind one that was omitted, none is listed.
    fn is_full(&self) -> bool {
        self.omitted > 0 || self.listed.len() == FINDINGS_LIMIT
    }

    /// Moves what fits to the end of `listed`, whose text has `bytes`; returns how many were omitted in all.
    fn drain(self, listed: &mut Vec<Finding>, bytes: &mut usize) -> u64 {
        let mut omitted = self.omitted;
        let mut full = false;
        for finding in self.listed {
            full |= listed.len() == FINDINGS_LIMIT || *bytes + weight(&finding) > TEXT_LIMIT;
            if full {
                omitted += 1;
            } else {
                *bytes += weight(&finding);
                listed.push(finding);
            }
        }
        omitted
    }
}

/// About how many bytes a finding takes in an answer.
fn weight(finding: &Finding) -> usize {
    let pointer = finding.place.as_ref().and_then(|place| place.pointer.as_ref()).map_or(0, String::len);
    finding.code.len() + finding.message.len() + pointer + 64
}

impl From<Findings> for Judgement {
    fn from(findings: Findings) -> Judgement {
        let mut listed = Vec::new();
        let mut bytes = 0;
        let omitted = Counts {
            errors: findings.errors.drain(&mut listed, &mut bytes),
            warnings: findings.warnings.drain(&mut listed, &mut bytes),
            infos: findings.infos.drain(&mut listed, &mut bytes),
        };
        Judgement { findings: listed, omitted, score: findings.score, data: findings.data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_first_and_the_rest_is_counted() {
        let mut findings = Findings::new();
        for number in 0..700 {
            findings.push(Finding::info("i", format!("{number}")));
            findings.push(Finding::error("e", format!("{number}")));
        }
        for number in 0..1500 {
            findings.push(Finding::warning("w", format!("{number}")));
        }
        assert_eq!(findings.count(Severity::Warning), 1500);
        assert!(findings.wants(Severity::Error) && !findings.wants(Severity::Warning));
        let judgement = Judgement::from(findings);
        assert_eq!(judgement.findings.len(), FINDINGS_LIMIT);
        assert!(judgement.findings[..700].iter().all(|finding| finding.severity == Severity::Error));
        assert_eq!(judgement.findings[700].message, "0");
        assert_eq!(judgement.findings[999].message, "299");
        assert_eq!(judgement.omitted, Counts { errors: 0, warnings: 1200, infos: 700 });
        assert!(!judgement.is_valid());
    }

    #[test]
    fn long_messages_are_bounded_too() {
        let mut findings = Findings::new();
        for _ in 0..20 {
            findings.push(Finding::warning("w", "x".repeat(100_000)));
        }
        findings.push(Finding::error("e", "x".repeat(100_000)));
        let judgement = Judgement::from(findings);
        assert_eq!(judgement.findings.len(), 7);
        assert_eq!(judgement.findings[0].severity, Severity::Error);
        assert_eq!(judgement.omitted, Counts { errors: 0, warnings: 14, infos: 0 });
    }

    #[test]
    fn an_omitted_error_is_an_error() {
        let mut findings = Findings::new();
        findings.omit(Severity::Error);
        assert!(!findings.is_empty());
        assert!(!Judgement::from(findings).is_valid());
    }
}

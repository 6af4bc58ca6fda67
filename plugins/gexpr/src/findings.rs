//! What the checks have to say, kept within bounds.
//!
//! Whatever the program, no more than the first 1,000 findings of each severity are kept; the others are counted.
//! Messages are made for those that are kept, and pointers, lines and columns for those that are told, so that a
//! million findings cost a million additions.

use strict_json::LineCursor;

use crate::codes::Code;
use crate::tree::{NodeId, Part, Tree};

/// The most findings that are told.
pub(crate) const KEPT: usize = 1000;

/// How grave a finding is. The order is that in which findings are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Error,
    Warning,
    Info,
}

/// Bytes of messages and pointers that are told in full. Behind them messages are cut and pointers left out: an
/// outcome has 1 MiB, and a thousand findings must fit.
const FULL_TEXT: usize = 300 << 10;

/// Characters that are left of a message that is cut.
const CUT_MESSAGE: usize = 80;

/// A finding as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) offset: usize,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) pointer: Option<String>,
}

/// How many findings there are of each severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) errors: u64,
    pub(crate) warnings: u64,
    pub(crate) infos: u64,
}

/// Where a finding is: a part of a node, and the byte that it begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    /// `None` where the item is no JSON.
    pub(crate) node: Option<(NodeId, Part)>,
    pub(crate) offset: usize,
}

#[derive(Debug)]
struct Kept {
    code: Code,
    at: At,
    message: String,
}

/// The findings of one severity.
#[derive(Debug, Default)]
struct Shelf {
    kept: Vec<Kept>,
    count: u64,
}

/// The findings about one item.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    errors: Shelf,
    warnings: Shelf,
    infos: Shelf,
}

impl Findings {
    /// Takes a finding in. `message` is asked for only if the finding is kept.
    pub(crate) fn add(&mut self, code: Code, at: At, message: impl FnOnce() -> String) {
        let shelf = match code.severity {
            Some(Severity::Error) | None => &mut self.errors,
            Some(Severity::Warning) => &mut self.warnings,
            Some(Severity::Info) => &mut self.infos,
        };
        shelf.count += 1;
        if shelf.kept.len() < KEPT {
            shelf.kept.push(Kept { code, at, message: message() });
        }
    }

    /// How many errors there are so far.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.count
    }

    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.errors.count + self.warnings.count + self.infos.count == 0
    }

    /// The findings to tell, errors first, and how many are not among them.
    pub(crate) fn finish(self, tree: &Tree, body: &[u8]) -> (Vec<Finding>, Counts) {
        let mut findings = Vec::new();
        let mut places = Vec::new();
        let mut omitted = [0; 3];
        let shelves =
            [(Severity::Error, self.errors), (Severity::Warning, self.warnings), (Severity::Info, self.infos)];
        let mut text = 0;
        for ((severity, shelf), omitted) in shelves.into_iter().zip(&mut omitted) {
            let room = KEPT - findings.len();
            *omitted = shelf.count - shelf.kept.len().min(room) as u64;
            for Kept { code, at, message } in shelf.kept.into_iter().take(room) {
                let mut pointer = at.node.and_then(|(node, part)| tree.pointer(node, part));
                let mut message = message;
                text += message.len() + pointer.as_ref().map_or(0, String::len);
                if text > FULL_TEXT {
                    pointer = None;
                    message = cut(&message, CUT_MESSAGE);
                }
                places.push((at.offset, findings.len()));
                let offset = at.offset;
                findings.push(Finding { severity, code: code.name, message, offset, line: 0, column: 0, pointer });
            }
        }
        // In ascending order all lines and columns take one walk over the body.
        places.sort_unstable();
        let mut cursor = LineCursor::new(body);
        for (offset, index) in places {
            (findings[index].line, findings[index].column) = cursor.at(offset);
        }
        let [errors, warnings, infos] = omitted;
        (findings, Counts { errors, warnings, infos })
    }
}

/// The first `most` characters of a text, with a mark behind them if there are more.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}\u{2026}", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A name for a message, without quotes: long ones are cut, what cannot be printed is escaped. Linear in what is
/// told, not in the name.
pub(crate) fn spelled(name: &[u8]) -> String {
    const MOST: usize = 60;
    let head = name.get(..name.len().min(4 * MOST + 4)).unwrap_or_default();
    let mut text = String::new();
    for char in String::from_utf8_lossy(head).chars() {
        if char.is_control() {
            text.extend(char.escape_unicode());
        } else {
            text.push(char);
        }
    }
    cut(&text, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    const NOWHERE: At = At { node: None, offset: 0 };

    #[test]
    fn errors_come_first_and_the_rest_is_counted() {
        let mut findings = Findings::default();
        for _ in 0..3 {
            findings.add(codes::EXECUTION_SKIPPED, NOWHERE, || "info".to_owned());
        }
        for _ in 0..1500 {
            findings.add(codes::UNKNOWN_KEY, NOWHERE, || "warning".to_owned());
        }
        for _ in 0..700 {
            findings.add(codes::MISSING_G, NOWHERE, || "error".to_owned());
        }
        let (told, omitted) = findings.finish(&Tree::default(), b"x");
        assert_eq!(told.len(), KEPT);
        assert!(told.is_sorted_by_key(|finding| finding.severity));
        assert_eq!(told.iter().filter(|finding| finding.severity == Severity::Error).count(), 700);
        assert_eq!(omitted, Counts { errors: 0, warnings: 1200, infos: 3 });
    }

    #[test]
    fn messages_are_made_only_for_what_is_kept() {
        let mut findings = Findings::default();
        let mut made = 0;
        for _ in 0..5000 {
            findings.add(codes::MISSING_G, NOWHERE, || {
                made += 1;
                String::new()
            });
        }
        assert_eq!(made, KEPT);
    }

    #[test]
    fn a_thousand_long_messages_fit_an_outcome() {
        let mut findings = Findings::default();
        for _ in 0..1000 {
            findings.add(codes::WRONG_RESULT, NOWHERE, || "\u{1F600}".repeat(400));
        }
        let (told, _) = findings.finish(&Tree::default(), b"");
        let bytes: usize = told.iter().map(|finding| finding.message.len()).sum();
        assert!(told.len() == 1000 && bytes < 900 << 10, "{bytes}");
    }

    #[test]
    fn places_are_told_whatever_their_order() {
        let mut findings = Findings::default();
        for offset in [6, 0, 3] {
            findings.add(codes::MISSING_G, At { node: None, offset }, String::new);
        }
        let (told, _) = findings.finish(&Tree::default(), "ä\nbcde".as_bytes());
        let places: Vec<_> = told.iter().map(|finding| (finding.offset, finding.line, finding.column)).collect();
        assert_eq!(places, [(6, 2, 4), (0, 1, 1), (3, 2, 1)]);
    }

    #[test]
    fn names_are_cut() {
        assert_eq!(spelled(b"fib"), "fib");
        assert_eq!(spelled("ü".repeat(1 << 20).as_bytes()), format!("{}…", "ü".repeat(60)));
    }
}

//! What can be wrong with input, where it is, and what to do about it.

use std::io;

use crate::{text::plural, units::Size};

/// Input that cannot be taken. The message says what and where; [`hint`](InputError::hint) what to do next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("there is no file {given}")]
    Missing { given: String },
    #[error("failed to read {given}")]
    Read { given: String, source: io::Error },
    #[error("{given} is empty")]
    Empty { given: String },
    #[error("there is no item in {given}")]
    NoItem { given: String, blank: u64 },
    #[error("{given}:{line}:{column}: the text is not UTF-8 (byte {offset})")]
    NotUtf8 { given: String, line: u64, column: u64, offset: u64 },
    #[error("{given}:{line}:{column}: {problem}")]
    Malformed { given: String, line: u64, column: u64, problem: Problem },
    #[error("the item {id} is larger than {max}")]
    TooLarge { id: String, max: Size, split: bool },
    #[error("{given} has changed since the job was accepted")]
    Changed { given: String },
    #[error("{given} is no longer there")]
    Gone { given: String },
    #[error("what was not read yet of {given} is lost")]
    Lost { given: String },
    #[error("{given} can be given only once")]
    StreamTwice { given: String },
    #[error("standard input has no extension that would say how to split it")]
    StreamNeedsSplit,
}

/// What is wrong with text that has to be split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("a JSON array must begin here, with [")]
    NotAnArray,
    #[error("the array ends in the middle of an element, or its ] is missing")]
    Unfinished,
    #[error("{0}")]
    BadJson(&'static str),
    #[error("there is something behind the end of the array")]
    BehindArray,
    #[error("the quoted field that begins here never ends")]
    OpenQuote,
    #[error("a quote stands inside a field that is not quoted")]
    BareQuote,
    #[error("something stands between a closing quote and the next comma")]
    BehindQuote,
    #[error("the row has {}, the header has {header}", plural(*.found as u64, "field"))]
    FieldCount { found: usize, header: usize },
    #[error("the header names the column {0:?} twice")]
    DuplicateColumn(String),
}

impl InputError {
    /// What to do about it, in one sentence.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            InputError::Missing { .. } => "give a file, a folder, or `-` for standard input with -f".to_owned(),
            InputError::Read { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => "check who may read it with `ls -l`".to_owned(),
                _ => return None,
            },
            InputError::Empty { given } | InputError::NoItem { given, blank: 0 } if given == super::STDIN => {
                "nothing came on standard input".to_owned()
            }
            InputError::Empty { .. } => {
                "a single item needs at least one byte; is this the file that was meant?".to_owned()
            }
            InputError::NoItem { blank: 0, .. } => "is this the file that was meant?".to_owned(),
            InputError::NoItem { blank, .. } => format!("there are only blank lines ({blank})"),
            InputError::NotUtf8 { .. } => {
                "only UTF-8 text can be split; without --items the file is one item, whatever its bytes".to_owned()
            }
            InputError::Malformed { problem, .. } => match problem {
                Problem::NotAnArray => {
                    "`--split jsonl` gives each line of a file, and without --items the file is one item".to_owned()
                }
                Problem::Unfinished | Problem::BadJson(_) | Problem::BehindArray => {
                    "only a well-formed array can be split; `-v json` without --items judges the file itself".to_owned()
                }
                Problem::OpenQuote | Problem::BareQuote | Problem::BehindQuote => {
                    "RFC 4180: a field with quotes stands in quotes, and each quote inside is doubled".to_owned()
                }
                Problem::FieldCount { .. } => "each row needs as many fields as the header".to_owned(),
                Problem::DuplicateColumn(_) => "each row becomes a JSON object, so column names must differ".to_owned(),
            },
            InputError::TooLarge { split: true, .. } => "raise the bound with --max-item".to_owned(),
            InputError::TooLarge { split: false, .. } => {
                "raise the bound with --max-item, or split the file with --items".to_owned()
            }
            InputError::Changed { .. } => {
                "the rest of it cannot be told from what was judged: submit it as a new job".to_owned()
            }
            InputError::Gone { .. } => "what was not read of it yet is lost: submit it as a new job".to_owned(),
            InputError::Lost { .. } => "it can be read only once: submit all of it as a new job".to_owned(),
            InputError::StreamTwice { .. } => "a stream can be read only once".to_owned(),
            InputError::StreamNeedsSplit => "say it with --split array|jsonl|lines|csv".to_owned(),
        })
    }
}

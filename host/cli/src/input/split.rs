//! How a file's bytes become items.

use std::{ops::Range, path::Path};

use super::{error::Problem, text};

/// What a file is split into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Split {
    /// The whole file is one item
    Whole,
    /// The elements of a JSON array
    Array,
    /// The lines of a JSON Lines file
    Jsonl,
    /// The lines of a text
    Lines,
    /// The rows of a CSV file with a header, each as a JSON object of strings
    Csv,
}

/// What was asked for: nothing, `--items`, or `--split`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SplitRule {
    /// Each file is one item.
    Whole,
    /// By each file's extension.
    ByExtension,
    /// All files in this one way.
    As(Split),
}

impl SplitRule {
    /// How the file at this path is split. A stream has no extension: see [`for_stream`](Self::for_stream).
    pub(crate) fn for_path(self, path: &Path) -> Split {
        match self {
            SplitRule::Whole => Split::Whole,
            SplitRule::As(split) => split,
            SplitRule::ByExtension => {
                let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
                match extension.as_deref() {
                    Some("json") => Split::Array,
                    Some("jsonl" | "ndjson") => Split::Jsonl,
                    Some("csv") => Split::Csv,
                    _ => Split::Lines,
                }
            }
        }
    }

    /// How a stream is split; `None` if it would have to be told.
    pub(crate) fn for_stream(self) -> Option<Split> {
        match self {
            SplitRule::Whole => Some(Split::Whole),
            SplitRule::As(split) => Some(split),
            SplitRule::ByExtension => None,
        }
    }
}

/// What a splitter sees at the start of the bytes that it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// An item: `body` of the bytes shown are its own, `taken` of them are done with.
    Item { body: Range<usize>, taken: usize },
    /// An item that was written anew into the splitter's [`row`](super::csv::Csv::row).
    Row { taken: usize },
    /// No item in these.
    Skip { taken: usize, blank: bool },
    /// The bytes shown end before what begins in them does.
    More,
    /// Nothing is left but what may be left.
    End,
}

/// What is wrong, and at which of the bytes shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) problem: Problem,
}

/// One of the ways to split, with what it has to remember between two items.
pub(crate) enum Splitter {
    Whole { given: bool },
    Array(super::array::Array),
    Lines,
    Csv(super::csv::Csv),
}

impl Splitter {
    pub(crate) fn new(split: Split) -> Self {
        match split {
            Split::Whole => Splitter::Whole { given: false },
            Split::Array => Splitter::Array(super::array::Array::default()),
            Split::Jsonl | Split::Lines => Splitter::Lines,
            Split::Csv => Splitter::Csv(super::csv::Csv::default()),
        }
    }

    /// Look at `data`, which begins where the last step's `taken` ended; `end` says that nothing follows it.
    pub(crate) fn step(&mut self, data: &[u8], end: bool) -> Result<Step, Fault> {
        match self {
            Splitter::Whole { given: true } => Ok(Step::End),
            Splitter::Whole { given } if end => {
                *given = true;
                Ok(Step::Item { body: 0..data.len(), taken: data.len() })
            }
            Splitter::Whole { .. } => Ok(Step::More),
            Splitter::Array(array) => array.step(data, end),
            Splitter::Lines => Ok(super::lines::step(data, end)),
            Splitter::Csv(csv) => csv.step(data, end),
        }
    }

    /// Whether the bytes must be UTF-8, and a byte order mark is dropped.
    pub(crate) fn is_text(&self) -> bool {
        !matches!(self, Splitter::Whole { .. })
    }
}

/// Whether a line has nothing but white space.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| text::is_space(*byte))
}

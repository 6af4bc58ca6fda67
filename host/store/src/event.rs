//! The log of all that happened.

use pigeon_protocol::id::JobId;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who did it.
    pub author: String,
    /// What kind of thing it is. The store does not look into it.
    pub kind: String,
    /// The job that it is about. It need not be kept any more.
    pub job: Option<JobId>,
    /// What else it is about.
    pub subject: Option<String>,
    /// In words.
    pub message: String,
}

/// Something that happened, with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number. Numbers ascend in the order in which events were committed, and none is given twice.
    pub seq: u64,
    /// What happened.
    pub event: NewEvent,
}

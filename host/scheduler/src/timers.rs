//! What happens by itself when time passes.

use std::collections::BTreeSet;

use pigeon_protocol::id::{JobId, LeaseId, SessionId};

use crate::Time;

/// Everything that waits for a moment, in the order of moments.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// Leases, by when they expire: each live lease once.
    pub(crate) expiry: BTreeSet<(Time, LeaseId)>,
    /// Leases, by when they may be copied.
    pub(crate) copies: BTreeSet<(Time, LeaseId)>,
    /// Sessions, by when it is seen whether they live and move: each once.
    pub(crate) watch: BTreeSet<(Time, SessionId)>,
    /// Jobs with a run that may be tried again.
    pub(crate) due: BTreeSet<(Time, JobId)>,
    /// Jobs whose sessions may take a second place.
    pub(crate) grace: BTreeSet<(Time, JobId)>,
    /// Sessions that had no lease of a job for long.
    pub(crate) idle: BTreeSet<(Time, JobId, SessionId)>,
}

impl Timers {
    /// The next moment at which something happens. Copies matter only if a session is idle that could take one; those
    /// that could have been made by now wait for something else than time.
    pub(crate) fn next(&self, now: Time, with_copies: bool) -> Option<Time> {
        // A lease lives through the microsecond in which it expires, and a session through that in which it is looked at.
        let expiry = self.expiry.first().map(|(at, _)| Time(at.0.saturating_add(1)));
        let watch = self.watch.first().map(|(at, _)| Time(at.0.saturating_add(1)));
        let copy = self.copies.range((Time(now.0.saturating_add(1)), LeaseId(0))..).next().map(|(at, _)| *at);
        let due = self.due.first().map(|(at, _)| *at);
        let grace = self.grace.first().map(|(at, _)| *at);
        let idle = self.idle.first().map(|(at, ..)| *at);
        [expiry, watch, copy.filter(|_| with_copies), due, grace, idle].into_iter().flatten().min()
    }
}

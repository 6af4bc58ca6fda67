//! The log of events: every job's life is in it, whole and in order.
//!
//! ```text
//!              sealed       paused ⇄ resumed, broken ─► resumed       runs retried, runs dead
//!                 │                      │                                      │
//!   submitted ────┴──────────────────────┴──────────────────────────────────────┴────► finished, cancelled
//! ```
//!
//! Between its submission and its end a job is sealed once, and the rest may come in any order. Nothing comes behind its end.

use std::collections::HashMap;

use pigeon_api::{EventKind, JobId, JobState};

use super::{Found, Rule, jobs};
use crate::history::History;

/// How often each came so far.
#[derive(Debug, Default)]
struct Life {
    submitted: u32,
    sealed: u32,
    paused: u32,
    resumed: u32,
    ends: Vec<EventKind>,
}

pub(super) fn check(history: &History, found: &mut Found) {
    let ascending = history.events.is_sorted_by(|one, next| one.seq < next.seq);
    found.unless(ascending, Rule::WholeLog, || "the numbers of the log do not ascend".to_owned());
    found.unless(history.followed == history.events, Rule::WholeLog, || {
        let differs = history.followed.iter().zip(&history.events).position(|(followed, there)| followed != there);
        let (followed, there) = (history.followed.len(), history.events.len());
        format!("who followed the log was told {followed} of {there} entries, the first that differs is {differs:?}")
    });
    let mut lives: HashMap<JobId, Life> = HashMap::new();
    for event in &history.events {
        let Some(job) = event.job else { continue };
        let life = lives.entry(job).or_default();
        let possible = life.take(event.kind);
        found.unless(possible, Rule::WholeLog, || {
            format!("entry {}, {:?} of job {job}, cannot come behind {life:?}", event.seq, event.kind)
        });
    }
    for (account, job, seen) in jobs(history) {
        let life = lives.remove(&job).unwrap_or_default();
        let end = match seen.figures.state {
            JobState::Finished => vec![EventKind::JobFinished],
            JobState::Cancelled => vec![EventKind::JobCancelled],
            _ => vec![],
        };
        let whole = life.submitted == 1 && life.ends == end && life.sealed >= u32::from(account.sealed);
        found.unless(whole, Rule::WholeLog, || {
            format!("job {job} is {}, and of its life the log has {life:?}", seen.figures.state.as_str())
        });
        let told = (!account.paused || life.paused > 0) && (!account.resumed || life.resumed > 0);
        found.unless(told, Rule::WholeLog, || {
            format!("job {job} was paused and resumed, and of its life the log has {life:?}")
        });
    }
    for (job, life) in lives {
        found.unless(false, Rule::WholeLog, || format!("the log tells of job {job}, which nobody has: {life:?}"));
    }
}

impl Life {
    /// It comes next; whether it can.
    fn take(&mut self, kind: EventKind) -> bool {
        let goes_on = self.submitted == 1 && self.ends.is_empty();
        match kind {
            EventKind::JobSubmitted => {
                self.submitted += 1;
                self.submitted == 1 && self.ends.is_empty()
            }
            EventKind::JobSealed => {
                self.sealed += 1;
                goes_on && self.sealed == 1
            }
            EventKind::JobPaused => {
                self.paused += 1;
                goes_on
            }
            EventKind::JobResumed => {
                self.resumed += 1;
                goes_on
            }
            EventKind::JobFinished => {
                self.ends.push(kind);
                goes_on && self.sealed == 1
            }
            EventKind::JobCancelled => {
                self.ends.push(kind);
                goes_on
            }
            EventKind::JobBroken | EventKind::RunsRetried | EventKind::RunsDead => goes_on,
            // Nobody asked for anything else.
            _ => false,
        }
    }
}

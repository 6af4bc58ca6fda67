//! What a simulation is made of: the jobs, the fates of their runs, and what befalls the cluster.

use std::time::Duration;

use pigeon_protocol::{id::RunIndex, message::RunRange};
use pigeon_scheduler::{FailureClass, GroupLimits, Landing, LandingClass, RetryPolicy};

use crate::calendar::mix;

/// How often what happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) crashes: u32,
    pub(crate) partitions: u32,
    pub(crate) stops: u32,
    pub(crate) wedges: u32,
    /// The last of several agents beats for ever, and makes nothing any more.
    pub(crate) wedged: bool,
    pub(crate) duplicates: u32,
    pub(crate) jumps: u32,
    pub(crate) games: bool,
}

/// A job to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobPlan {
    pub(crate) items: u64,
    pub(crate) places: u32,
    pub(crate) iterations: u32,
    pub(crate) run_us: u64,
    pub(crate) priority: i32,
    pub(crate) max_parallel: Option<u32>,
    pub(crate) max_agents: Option<u32>,
    /// Which of what can be asked for it requires and prefers: see [`wanted`].
    pub(crate) require: u8,
    pub(crate) prefer: u8,
    /// Runs that kill the agent that makes them.
    pub(crate) poison: u64,
    pub(crate) flaky: bool,
    pub(crate) retry: RetryPolicy,
    /// Jobs of group 0 have no limits.
    pub(crate) group: u64,
    /// Whether there are items that no agent can hold, and some whose runs are resolved while they are under way.
    pub(crate) misfits: bool,
    pub(crate) fail_fast: bool,
    pub(crate) paused: bool,
    /// Whether it is forgotten in the midst of its work, and admitted again.
    pub(crate) forgotten: bool,
    /// Whether runs that have their outcome are taken back: while it goes on, and once it has ended.
    pub(crate) taken_back: bool,
}

/// Limits of the groups, some of which are changed on the way.
#[derive(Debug, Clone)]
pub(crate) struct GroupPlan {
    /// Of the groups from 1 on.
    pub(crate) limits: Vec<GroupLimits>,
    /// Of group 1, after a while.
    pub(crate) later: Option<GroupLimits>,
}

/// What a run may take: more than the longest of them does where it is slowest.
pub(crate) const WALL: Duration = Duration::from_secs(25);

/// A rate at which the largest plan is done within an hour.
pub(crate) const RATES: [(u32, Duration); 5] = [
    (1, Duration::from_millis(700)),
    (7, Duration::from_secs(3)),
    (100, Duration::from_secs(1)),
    (1000, Duration::from_millis(50)),
    (50_000, Duration::from_secs(1)),
];

impl JobPlan {
    /// Whether an agent dies of making a run.
    pub(crate) fn kills(&self, run: u64) -> bool {
        let total = self.items * u64::from(self.places) * u64::from(self.iterations);
        (0..self.poison).any(|poison| (poison * 37 + 5) % total == run)
    }

    /// Whether no agent can hold an item.
    pub(crate) fn is_misfit(&self, item: u64) -> bool {
        self.misfits && mix(item.wrapping_mul(0xD6E8_FEB8_6659_FD93)) % 5 == 1
    }

    /// The runs of an item.
    pub(crate) fn runs_of(&self, item: u64) -> RunRange {
        let count = u64::from(self.places) * u64::from(self.iterations);
        RunRange { first: item * count, count }
    }

    /// What comes of a run; the same whoever makes it.
    pub(crate) fn outcome(&self, run: u64, attempt: u32) -> Landing {
        let drawn = mix(run);
        let class = match drawn % 23 {
            0 => LandingClass::Invalid,
            1 => LandingClass::Failure(FailureClass::Permanent),
            2 | 3 if self.flaky && u64::from(attempt) <= (drawn >> 8) % 5 => {
                LandingClass::Failure(match (drawn >> 16) % 3 {
                    0 => FailureClass::Transient,
                    1 => FailureClass::Timeout,
                    _ => FailureClass::Crash,
                })
            }
            _ => LandingClass::Valid,
        };
        Landing { run: RunIndex(run), class, time_us: self.run_us }
    }
}

/// Labels that agents may have.
const LABELS: [&str; 4] = ["gpu", "zone=a", "zone=b", "model:x=1"];

/// What jobs may ask for, and which of the labels are that.
const WANTED: [(&str, u8); 4] = [("gpu", 0b0001), ("zone", 0b0110), ("zone=b", 0b0100), ("model:x", 0b1000)];

/// Labels, by the bits of their places.
pub(crate) fn labels(mask: u8) -> Vec<String> {
    let some = LABELS.iter().enumerate().filter(|(place, _)| mask & 1 << place != 0);
    some.map(|(_, label)| (*label).to_owned()).collect()
}

/// What is asked for, by the bits of its place.
pub(crate) fn wanted(mask: u8) -> Vec<String> {
    asked(mask).map(|(label, _)| label.to_owned()).collect()
}

/// Whether an agent with these labels has all that is asked for.
pub(crate) fn meets(labels: u8, mask: u8) -> bool {
    asked(mask).all(|(_, any)| labels & any != 0)
}

fn asked(mask: u8) -> impl Iterator<Item = (&'static str, u8)> {
    WANTED.iter().enumerate().filter(move |(place, _)| mask & 1 << place != 0).map(|(_, wanted)| *wanted)
}

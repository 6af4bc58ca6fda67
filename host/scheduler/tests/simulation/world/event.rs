//! What happens in the world, and what its parts tell one another.

use pigeon_protocol::id::{Fence, LeaseId, RunIndex, SessionId};
use pigeon_scheduler::{Grant, GroupLimits, Landing, Left};

pub(super) enum Event {
    Hub(SessionId, ToHub),
    Agent(usize, SessionId, ToAgent),
    Beat(usize, u64),
    Step(usize, u64, LeaseId),
    Connect(usize),
    Restart(usize),
    Notice(SessionId, Left),
    Append(usize),
    Pause(usize),
    Resolve(usize),
    Forget(usize),
    TakeBack(usize),
    Limit(u64, GroupLimits),
    Fault(Fault),
    /// An agent makes nothing any more.
    Wedge(usize),
}

#[derive(Clone)]
pub(super) enum ToHub {
    Credit(u64, u32),
    Beat(Vec<LeaseId>),
    Outcomes(LeaseId, Fence, Vec<Landing>, Vec<RunIndex>),
    Ended(LeaseId, Fence),
}

pub(super) enum ToAgent {
    Lease(Grant),
    Cancel(Vec<LeaseId>),
}

#[derive(Clone, Copy)]
pub(super) enum Fault {
    Crash,
    Partition,
    Stop,
    Wedge,
    Drain,
    Slow,
    Jump,
}

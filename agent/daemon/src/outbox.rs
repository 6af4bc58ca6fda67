//! What has landed and is not yet recorded.
//!
//! A [`Lane`] stands for one lease. Its outcomes come in on a guest's thread, thousands in a second; they go out on the
//! lease's stream in few messages, and each message is kept until the hub says that its outcomes are on disk. A lane
//! outlives its connection: what was not recorded goes out again on the next one.
//!
//! ```text
//!   sink ──push──► gathering ──seal──► frames (kept) ──send──► hub
//!                 20 ms or 64 KiB          ▲    └──recorded──► forgotten
//!                                          └──── rewound when a connection broke
//! ```

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use pigeon_protocol::{
    gather::Gather,
    id::{Fence, JobId, LeaseId},
    outcome::{Answer, Cause, Failure, Outcome},
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// Outcomes are gathered for this long, unless nothing has gone out for as long already.
const GATHER_TIME: Duration = Duration::from_millis(20);

/// Or until there is this much of them, in bytes.
const GATHER_SIZE: usize = 64 << 10;

/// Kept outcomes of all lanes, in bytes, beyond which no more leases are asked for.
const ENOUGH: usize = 64 << 20;

/// And beyond which running lanes are stopped: their runs have no outcome then and are leased again.
const TOO_MUCH: usize = 256 << 20;

/// Names a lease beyond the life of a hub, whose numbers may begin anew.
pub(crate) type LaneKey = (LeaseId, Fence);

/// All lanes of an agent that run or are not delivered.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: Mutex<HashMap<LaneKey, Arc<Lane>>>,
    kept: Arc<AtomicUsize>,
}

/// One lease's outcomes.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) key: LaneKey,
    pub(crate) job: JobId,
    /// Stops its runs.
    pub(crate) cancel: CancellationToken,
    state: Mutex<State>,
    /// There may be something to send.
    changed: Notify,
    /// Bytes kept by all lanes of the agent.
    kept: Arc<AtomicUsize>,
}

/// What the sender does next.
enum Next {
    Frame(Bytes),
    /// Look again when something has changed, or at this time.
    At(Option<Instant>),
    Done,
}

#[derive(Debug)]
struct State {
    gather: Gather,
    begun: VecDeque<u64>,
    begun_told: bool,
    /// When to tell of a run that was begun and is still not answered.
    suspects_due: Option<Instant>,
    /// Sealed and not recorded. The first of them has the number `first`.
    frames: VecDeque<(Bytes, u64)>,
    first: u64,
    /// Number of the next frame to be sent on the present connection.
    next: u64,
    /// Outcomes in frames that are forgotten.
    forgotten: u64,
    last_seal: Instant,
    /// The sender has set itself a time to look again.
    armed: bool,
    /// No more outcomes come.
    over: bool,
    /// And that is in a frame.
    sealed: bool,
}

impl Outbox {
    fn lanes(&self) -> MutexGuard<'_, HashMap<LaneKey, Arc<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lane for a new lease; `None` if the lease is here already.
    pub(crate) fn open(&self, key: LaneKey, job: JobId, cancel: CancellationToken) -> Option<Arc<Lane>> {
        let mut lanes = self.lanes();
        if lanes.contains_key(&key) {
            return None;
        }
        let lane = Arc::new(Lane::new(key, job, cancel, Arc::clone(&self.kept)));
        lanes.insert(key, Arc::clone(&lane));
        Some(lane)
    }

    /// All of it is recorded, or given up.
    pub(crate) fn forget(&self, lane: &Lane) {
        self.lanes().remove(&lane.key);
    }

    /// Every lane.
    pub(crate) fn all(&self) -> Vec<Arc<Lane>> {
        self.lanes().values().cloned().collect()
    }

    /// The numbers of the leases held.
    pub(crate) fn leases(&self) -> Vec<u64> {
        self.lanes().keys().map(|(lease, _)| lease.0).collect()
    }

    /// Stop the lanes of these leases.
    pub(crate) fn cancel(&self, leases: &[u64]) {
        for lane in self.lanes().values().filter(|lane| leases.contains(&lane.key.0.0)) {
            lane.cancel.cancel();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lanes().is_empty()
    }

    /// Whether so much is kept that no more work should be asked for.
    pub(crate) fn enough(&self) -> bool {
        self.kept.load(Relaxed) > ENOUGH
    }
}

impl Lane {
    fn new(key: LaneKey, job: JobId, cancel: CancellationToken, kept: Arc<AtomicUsize>) -> Self {
        let state = State {
            gather: Gather::default(),
            begun: VecDeque::new(),
            begun_told: true,
            suspects_due: None,
            frames: VecDeque::new(),
            first: 0,
            next: 0,
            forgotten: 0,
            last_seal: Instant::now() - GATHER_TIME,
            armed: false,
            over: false,
            sealed: false,
        };
        Self { key, job, cancel, state: Mutex::new(state), changed: Notify::new(), kept }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run has begun. Called on a guest's thread.
    pub(crate) fn begun(&self, run: u64) {
        let mut state = self.state();
        state.begun.push_back(run);
        state.begun_told = false;
        if !state.armed {
            state.armed = true;
            drop(state);
            self.changed.notify_one();
        }
    }

    /// A run has its outcome. Called on a guest's thread; encodes and returns.
    pub(crate) fn landed(&self, outcome: &Outcome) {
        let mut state = self.state();
        if state.over {
            return;
        }
        if state.begun.front() == Some(&outcome.run) {
            state.begun.pop_front();
        } else {
            state.begun.retain(|&run| run != outcome.run);
        }
        let first = state.gather.is_empty();
        let full = state.gather.push(outcome).or_else(|too_large| {
            // The runtime bounds outcomes itself: this is the last wall before the wire.
            let failure = Failure {
                cause: Cause::OutputTooLarge as i32,
                code: Cause::OutputTooLarge.code().to_owned(),
                message: too_large.to_string(),
                backtrace: String::new(),
            };
            let answer = Some(Answer::Failure(failure));
            state.gather.push(&Outcome { answer, log: Bytes::new(), ..outcome.clone() })
        });
        if let Ok(Some((frame, count))) = full {
            self.keep(&mut state, frame, count);
        }
        // The first of some may be due at once; of the rest the sender knows, until they are many.
        if first && (!state.armed || state.last_seal.elapsed() >= GATHER_TIME) || state.gather.len() >= GATHER_SIZE {
            state.armed = true;
            drop(state);
            self.changed.notify_one();
        }
    }

    /// No outcome comes any more.
    pub(crate) fn over(&self) {
        let mut state = self.state();
        state.over = true;
        state.begun.clear();
        drop(state);
        self.changed.notify_one();
    }

    fn keep(&self, state: &mut State, frame: Bytes, count: u64) {
        let kept = self.kept.fetch_add(frame.len(), Relaxed) + frame.len();
        state.frames.push_back((frame, count));
        state.last_seal = Instant::now();
        if kept > TOO_MUCH && !self.cancel.is_cancelled() {
            tracing::warn!(lease = self.key.0.0, "stopped a batch: too many outcomes wait to be recorded");
            self.cancel.cancel();
        }
    }

    fn seal(&self, state: &mut State) {
        let end = state.over && !state.sealed;
        let begun: &[u64] = state.begun.make_contiguous();
        if let Some((frame, count)) = state.gather.seal(end, begun) {
            self.keep(state, frame, count);
        }
        state.begun_told = true;
        state.suspects_due = None;
        state.sealed = state.over;
    }

    /// A connection begins: everything kept is to be sent again. Tells how many outcomes the hub has recorded of those
    /// that came before.
    pub(crate) fn rewind(&self) -> u64 {
        let mut state = self.state();
        state.next = state.first;
        state.forgotten
    }

    /// The next frame to send, gathered for a moment; `None` when the last has been given.
    pub(crate) async fn next_frame(&self) -> Option<Bytes> {
        loop {
            let again = {
                let mut state = self.state();
                match self.poll(&mut state) {
                    Next::Frame(frame) => return Some(frame),
                    Next::Done => return None,
                    Next::At(again) => again,
                }
            };
            match again {
                Some(again) => {
                    // Either is only a reason to look again: at `again`, what was gathered is due.
                    let _ = tokio::time::timeout_at(again, self.changed.notified()).await;
                }
                None => self.changed.notified().await,
            }
        }
    }

    fn poll(&self, state: &mut State) -> Next {
        let (now, due) = (Instant::now(), state.last_seal + GATHER_TIME);
        let all_sent = state.next == state.first + state.frames.len() as u64;
        if all_sent && !state.sealed {
            let outcomes = !state.gather.is_empty() && (now >= due || state.gather.len() >= GATHER_SIZE);
            let suspects = state.suspects_due.is_some_and(|due| now >= due);
            if state.over || outcomes || suspects {
                self.seal(state);
            }
        }
        let at = state.next.saturating_sub(state.first) as usize;
        if let Some((frame, _)) = state.frames.get(at) {
            let frame = frame.clone();
            state.next += 1;
            return Next::Frame(frame);
        }
        if state.sealed {
            return Next::Done;
        }
        if !state.gather.is_empty() {
            state.armed = true;
            return Next::At(Some(due));
        }
        if !state.begun_told {
            state.armed = true;
            return Next::At(Some(*state.suspects_due.get_or_insert(now + GATHER_TIME)));
        }
        state.armed = false;
        Next::At(None)
    }

    /// The hub has recorded this many of the lane's outcomes.
    pub(crate) fn recorded(&self, count: u64) {
        let mut state = self.state();
        // What was not sent on this connection cannot be meant.
        while state.first < state.next
            && let Some((length, outcomes)) = state.frames.front().map(|(frame, outcomes)| (frame.len(), *outcomes))
            && state.forgotten + outcomes <= count
        {
            self.kept.fetch_sub(length, Relaxed);
            state.forgotten += outcomes;
            state.first += 1;
            state.frames.pop_front();
        }
    }

    /// Whether everything is said and recorded.
    pub(crate) fn delivered(&self) -> bool {
        let state = self.state();
        state.sealed && state.frames.is_empty()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let kept: usize = self.state().frames.iter().map(|(frame, _)| frame.len()).sum();
        self.kept.fetch_sub(kept, Relaxed);
    }
}

#[cfg(test)]
mod tests;

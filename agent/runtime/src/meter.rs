//! The meter: what a run has used of its time, and the limits that end it.
//!
//! CPU time is read from the thread's own clock at each tick of the epoch and at each end of a poll, and added to the
//! run that was on the thread: so a run is charged what it computed, however many others share the cores. Wall-clock
//! time is checked at ticks too, and by a timer while the run waits in a host call.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use wasmtime::UpdateDeadline;

use crate::Limits;

/// Why we ended a run. Travels through Wasmtime as the error's own type, and is found again by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("used up its CPU time")]
    Cpu,
    #[error("used up its wall-clock time")]
    Wall,
    #[error("asked for more memory than it may have")]
    Memory,
    #[error("its answer is larger than allowed")]
    Output,
    #[error("its answer does not fit the contract")]
    Answer,
}

/// One lane's meter, set anew for each run. Only the thread that polls the lane touches it; the atomics are for the
/// compiler, which cannot know that.
///
/// Reading a thread's CPU clock is a system call, which a run of 12 us would feel. So it is read only where the lane
/// comes onto a thread, at ticks, and where the lane leaves it. What it shows is charged to the run that is on, up to
/// the wall-clock time since that run began: what went before it is not its own. A run that ends between two readings is
/// charged the wall-clock time since it began or since the last reading, which is no less than the CPU time.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// CPU time of the run so far, in nanoseconds.
    cpu: AtomicU64,
    /// The last reading of the thread's CPU clock.
    mark: AtomicU64,
    /// Wall-clock time from which on the run is to be charged.
    since: AtomicU64,
    /// CPU time that the run may use, in nanoseconds.
    cpu_limit: AtomicU64,
    /// End of the run's wall-clock time, in nanoseconds since the process's zero.
    wall_end: AtomicU64,
    /// Whether the last suspension was a yield at a tick, not a wait in a host call.
    yielded: AtomicBool,
}

/// CPU time of this thread, in nanoseconds.
pub(crate) fn thread_cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Neither is negative for this clock.
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// Wall-clock time since the first call in this process, in nanoseconds.
pub(crate) fn wall_now() -> u64 {
    static ZERO: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let elapsed = ZERO.get_or_init(Instant::now).elapsed();
    nanoseconds(elapsed)
}

/// As a number, and the greatest one for what lasts longer than 584 years.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Meter {
    /// A new run, begun at this wall-clock time: nothing used, these bounds.
    pub(crate) fn begin(&self, now: u64, limits: &Limits) {
        self.cpu.store(0, Ordering::Relaxed);
        self.since.store(now, Ordering::Relaxed);
        self.cpu_limit.store(nanoseconds(limits.cpu), Ordering::Relaxed);
        self.wall_end.store(now.saturating_add(nanoseconds(limits.wall)), Ordering::Relaxed);
    }

    /// The lane comes onto this thread.
    pub(crate) fn resume(&self) {
        self.mark.store(thread_cpu(), Ordering::Relaxed);
        self.since.store(wall_now(), Ordering::Relaxed);
    }

    /// Charges the run by the thread's CPU clock: at a tick, and where the lane leaves the thread.
    fn charge(&self) {
        let (cpu, now) = (thread_cpu(), wall_now());
        let used = cpu.saturating_sub(self.mark.swap(cpu, Ordering::Relaxed));
        let own = now.saturating_sub(self.since.swap(now, Ordering::Relaxed));
        self.cpu.fetch_add(used.min(own), Ordering::Relaxed);
    }

    /// The run is done, at this wall-clock time.
    pub(crate) fn end(&self, now: u64) {
        let own = now.saturating_sub(self.since.swap(now, Ordering::Relaxed));
        self.cpu.fetch_add(own, Ordering::Relaxed);
    }

    /// The lane leaves this thread. Whether it yielded at a tick, and does not wait.
    pub(crate) fn suspend(&self) -> bool {
        if self.yielded.swap(false, Ordering::Relaxed) {
            return true;
        }
        self.charge();
        false
    }

    /// CPU time of the run up to the last charge.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu.load(Ordering::Relaxed))
    }

    /// What is left of the run's wall-clock time.
    pub(crate) fn wall_left(&self) -> Duration {
        Duration::from_nanos(self.wall_end.load(Ordering::Relaxed).saturating_sub(wall_now()))
    }

    /// Which of its times the run has used up, if one.
    pub(crate) fn over(&self) -> Option<Stop> {
        if self.cpu.load(Ordering::Relaxed) > self.cpu_limit.load(Ordering::Relaxed) {
            Some(Stop::Cpu)
        } else if wall_now() >= self.wall_end.load(Ordering::Relaxed) {
            Some(Stop::Wall)
        } else {
            None
        }
    }

    /// What a guest does at a tick: ends if it has used up its time, else lets others onto the thread.
    pub(crate) fn tick(&self) -> wasmtime::Result<UpdateDeadline> {
        self.charge();
        match self.over() {
            Some(stop) => Err(stop.into()),
            None => {
                self.yielded.store(true, Ordering::Relaxed);
                Ok(UpdateDeadline::Yield(1))
            }
        }
    }
}

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
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// CPU time of the run up to `mark`, in nanoseconds.
    cpu: AtomicU64,
    /// Reading of the thread's CPU clock up to which `cpu` counts.
    mark: AtomicU64,
    /// CPU time that the run may use, in nanoseconds.
    cpu_limit: AtomicU64,
    /// End of the run's wall-clock time, in nanoseconds since `zero`.
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
    /// A new run: nothing used, these bounds. Counts from the last mark of this thread on.
    pub(crate) fn begin(&self, cpu_limit: Duration, wall_end: u64) {
        self.cpu.store(0, Ordering::Relaxed);
        self.cpu_limit.store(nanoseconds(cpu_limit), Ordering::Relaxed);
        self.wall_end.store(wall_end, Ordering::Relaxed);
    }

    /// The lane comes onto this thread.
    pub(crate) fn resume(&self) {
        self.mark.store(thread_cpu(), Ordering::Relaxed);
        self.yielded.store(false, Ordering::Relaxed);
    }

    /// Adds what the thread has used since the last mark; CPU time of the run so far, in nanoseconds.
    pub(crate) fn charge(&self) -> u64 {
        let now = thread_cpu();
        let used = now.saturating_sub(self.mark.swap(now, Ordering::Relaxed));
        let total = self.cpu.load(Ordering::Relaxed).saturating_add(used);
        self.cpu.store(total, Ordering::Relaxed);
        total
    }

    /// CPU time of the run up to the last charge.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu.load(Ordering::Relaxed))
    }

    /// Whether the suspension that just happened was a yield at a tick.
    pub(crate) fn yielded(&self) -> bool {
        self.yielded.load(Ordering::Relaxed)
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

//! The ticker: one OS thread that bumps the engine's epoch. A tick only asks: each guest that computes then reads its
//! thread's CPU clock, charges itself and yields. While no guest runs the ticker sleeps.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use wasmtime::Engine;

/// Time between two ticks: the precision of CPU budgets, and how long a guest computes before it lets another.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// Owns the thread; dropping it ends it.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    busy: AtomicUsize,
    stopped: AtomicBool,
}

/// Keeps the ticker awake.
pub(crate) struct Busy(Arc<Shared>);

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> io::Result<Ticker> {
        let shared = Arc::new(Shared { busy: AtomicUsize::new(0), stopped: AtomicBool::new(false) });
        let (ticking, engine) = (Arc::clone(&shared), engine.weak());
        let thread = thread::Builder::new().name("pigeon-ticker".to_owned()).spawn(move || {
            while !ticking.stopped.load(Ordering::Acquire) {
                if ticking.busy.load(Ordering::Acquire) == 0 {
                    // An unpark that comes between the load and here makes this return at once.
                    thread::park();
                    continue;
                }
                thread::sleep(TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => break,
                }
            }
        })?;
        Ok(Ticker { shared, thread: Some(thread) })
    }

    /// Ticks until the guard is dropped.
    pub(crate) fn busy(&self) -> Busy {
        if self.shared.busy.fetch_add(1, Ordering::AcqRel) == 0 {
            self.wake();
        }
        Busy(Arc::clone(&self.shared))
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // It panics nowhere; if it did, there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

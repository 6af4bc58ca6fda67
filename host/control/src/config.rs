//! What a control host is told before it is built.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use pigeon_store::Retention;

/// How a control host is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the queue and the registry live. Made if it is missing.
    pub state_dir: PathBuf,
    /// Where agents connect (UDP); port 0 for any.
    pub listen: SocketAddr,
    /// Time between two beats of an agent.
    pub beat: Duration,
    /// Bytes of items that may be appended and not yet judged before an append has to wait.
    pub backlog: u64,
    /// Bytes of item bodies kept in memory for the leases to come. More than `backlog`, or bodies are read back from disk.
    pub body_cache: u64,
    /// Outcomes that may wait for the disk at once, in messages of an agent.
    pub unrecorded: usize,
    /// How long things are kept.
    pub retention: Retention,
    /// How long the store may be swept on the way out; what is left then, the next process sweeps.
    pub sweep: Duration,
    /// How long free worker places wait for agents that have none yet, so that each of the workers of a job of one item
    /// gets its own.
    pub place_grace: Duration,
}

impl Config {
    /// A control host inside the process of its client, for agents of the same machine: any free port on loopback.
    pub fn embedded(state_dir: PathBuf) -> Self {
        // Enough for every core to have a batch and the next one, and for those that are read meanwhile.
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let backlog = (cores * (16 << 20)).clamp(32 << 20, 256 << 20);
        Self {
            state_dir,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            beat: Duration::from_secs(2),
            backlog,
            body_cache: backlog / 2 * 3,
            unrecorded: 256,
            retention: Retention::default(),
            sweep: Duration::from_millis(100),
            place_grace: Duration::from_millis(500),
        }
    }
}

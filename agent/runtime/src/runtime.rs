//! What a process has one of: engine, linker, pool, ticker, guest threads, and the plugins that are loaded.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Plugin, Slots};

/// How a runtime is made.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// Threads that guests run on; at least 1.
    pub guest_threads: usize,
    /// Linear memory of all guests together, in bytes. No run begins that it cannot hold.
    pub memory: u64,
    /// Linear memory that one run may have at most, in bytes.
    pub max_memory: u64,
    /// Instances alive at once; each run in flight needs one.
    pub pool_instances: u32,
    /// Whether runs can be bounded by fuel. It costs every guest some speed.
    pub fuel: bool,
}

impl Default for RuntimeConfig {
    /// As many threads as there are cores, 4 GiB of memory, 1 GiB a run, 256 instances, no fuel.
    fn default() -> Self {
        Self {
            guest_threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory: 4 << 30,
            max_memory: 1 << 30,
            pool_instances: 256,
            fuel: false,
        }
    }
}

/// Why a runtime could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine refused its settings, as a rule because the machine lacks address space.
    #[error("failed to set up the WebAssembly engine")]
    Engine(#[source] wasmtime::Error),
    /// No thread could be started.
    #[error("failed to start the guests' threads")]
    Threads(#[source] std::io::Error),
}

/// Why a component could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It imports what nobody offers, or exports what does not fit.
    #[error("the component does not fit the contract")]
    Link(#[source] wasmtime::Error),
}

/// The runtime. Clones share it.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {}

impl Runtime {
    /// Sets up the engine, the pool of instances and the threads.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] if the machine cannot give what the configuration asks for.
    pub fn new(config: RuntimeConfig) -> Result<Runtime, RuntimeError> {
        let _ = config;
        Ok(Runtime(Arc::new(Inner {})))
    }

    /// The slots of one agent: at most `slots` of its runs compute at once.
    pub fn slots(&self, slots: usize) -> Slots {
        Slots::new(slots)
    }

    /// The plugin with this SHA-256 digest, if it is loaded.
    pub fn loaded(&self, digest: &[u8; 32]) -> Option<Plugin> {
        let _ = (digest, &self.0);
        None
    }

    /// Makes a plugin of a component's bytes: checks its world, compiles it or takes it from the cache, and asks for
    /// its metadata. Loading the same bytes twice at once is done once.
    ///
    /// # Errors
    ///
    /// [`LoadError`] in words that say what is wrong with the component.
    pub async fn load(&self, component: Bytes) -> Result<Plugin, LoadError> {
        let _ = component;
        Err(LoadError::Link(wasmtime::format_err!("not yet")))
    }
}

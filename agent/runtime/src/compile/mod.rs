//! From a component's bytes to code that can be instantiated.
//!
//! A component comes from a stranger, and compilers are large programs: so it is compiled in a child process with
//! limits of time and memory, once a node, and the result is kept in a cache. Code in the cache is trusted as this
//! process's own code is, so each entry carries a MAC made with a key that only this node's user can read, and what
//! is checked is the very bytes that are then loaded.
//!
//! ```text
//!             hit, MAC right
//!   bytes --> cache -------------------------> load
//!               | miss, or a broken entry       ^
//!               v                               |
//!             child process --> compiled --> cache
//! ```
//!
//! Invariant: native code comes from this node's own compiler only; none is ever read from a peer.

mod cache;
mod child;
mod key;
mod settings;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use wasmtime::component::Component;
use wasmtime::{Engine, Precompiled};

use cache::{Cache, Trouble};
pub use cache::{CacheConfig, CacheTrouble};
pub use child::{ExitKind, compile_child_main, this_program};
pub use key::KeyError;
pub use settings::CodeSettings;
use settings::Fingerprint;

/// Largest component that is accepted, in bytes.
pub const MAX_COMPONENT: usize = 128 << 20;

/// Largest compiled form that is accepted, in bytes.
const MAX_COMPILED: u64 = 1 << 30;

/// Where compilation happens.
#[derive(Clone, Debug)]
pub enum CompileMode {
    /// In this process, without limits of time and memory: for tests, and for tools that compile what they made.
    InProcess,
    /// In a child process that is started for each component.
    Child {
        /// The program: as a rule this process's own executable.
        exe: PathBuf,
        /// What makes it call [`compile_child_main`]. That function's own arguments are appended.
        args: Vec<OsString>,
        /// What it may use.
        limits: CompileLimits,
    },
}

/// What one compilation may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// From start to end. Then the child is killed.
    pub wall: Duration,
    /// CPU time of all its threads together; counted in whole seconds.
    pub cpu: Duration,
    /// Address space, in bytes.
    pub memory: u64,
}

impl Default for CompileLimits {
    /// Enough for the largest plugin on a slow machine: 5 minutes, 10 of CPU time, 8 GiB of address space.
    fn default() -> Self {
        CompileLimits { wall: Duration::from_secs(300), cpu: Duration::from_secs(600), memory: 8 << 30 }
    }
}

/// Why a component could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Larger than [`MAX_COMPONENT`].
    #[error("the component has {size} bytes, more than the {limit} that a plugin may have")]
    TooLarge {
        /// Its size, in bytes.
        size: usize,
        /// The bound, in bytes.
        limit: usize,
    },
    /// It is not valid, or asks for something of WebAssembly that the engine does not have.
    #[error("the component does not compile: {message}")]
    Refused {
        /// The compiler's own words.
        message: String,
    },
    /// The wall-clock limit bit.
    #[error("compiling the component took longer than {} s", limit.as_secs_f64())]
    WallTime {
        /// The limit.
        limit: Duration,
    },
    /// The CPU limit bit.
    #[error("compiling the component used up its {} s of CPU time", limit.as_secs_f64())]
    CpuTime {
        /// The limit.
        limit: Duration,
    },
    /// The memory limit bit.
    #[error("compiling the component took more than {limit} bytes of memory")]
    OutOfMemory {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The compiler itself failed: a panic, a signal, an exit code that it does not have.
    #[error("the compiler crashed ({how})")]
    Crashed {
        /// What became of it, with the end of what it said.
        how: String,
    },
    /// The child process could not be started.
    #[error("failed to start the compiler {}", exe.display())]
    Start {
        /// The program.
        exe: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The child process is not this version of Pigeon, or runs with other settings.
    #[error("the compiler {} makes code for another engine: {detail}", exe.display())]
    OtherEngine {
        /// The program.
        exe: PathBuf,
        /// Its words.
        detail: String,
    },
    /// The pipes to the child process broke.
    #[error("failed to talk to the compiler")]
    Pipe(#[source] std::io::Error),
    /// What came out cannot be loaded into this process.
    #[error("failed to load the compiled component: {message}")]
    Load {
        /// Wasmtime's own words.
        message: String,
    },
}

/// Compiles components for one engine, with a cache before it.
#[derive(Clone)]
pub struct Compiler(Arc<Inner>);

struct Inner {
    engine: Engine,
    settings: CodeSettings,
    fingerprint: Fingerprint,
    mode: CompileMode,
    cache: Option<Cache>,
    trouble: Trouble,
    /// One compilation at a time: each uses every core already.
    turn: Semaphore,
}

impl Compiler {
    /// A compiler for `engine`, which must have been made from `settings`.
    ///
    /// A cache that cannot be used (no room, no permission) is done without, with a warning.
    ///
    /// # Errors
    /// If the cache's key file is there and cannot be trusted.
    pub fn new(
        engine: &Engine,
        settings: CodeSettings,
        mode: CompileMode,
        cache: Option<CacheConfig>,
    ) -> Result<Compiler, KeyError> {
        let fingerprint = Fingerprint::of(engine);
        let trouble = Trouble::default();
        let cache = match cache {
            Some(config) => Cache::open(config, fingerprint, Arc::clone(&trouble))?,
            None => None,
        };
        let engine = engine.clone();
        Ok(Compiler(Arc::new(Inner { engine, settings, fingerprint, mode, cache, trouble, turn: Semaphore::new(1) })))
    }

    /// Why what was compiled cannot be kept in the cache; `None` as long as all is well.
    pub fn cache_trouble(&self) -> Option<&CacheTrouble> {
        self.0.trouble.get()
    }

    /// Turn `component`, whose SHA-256 is `digest`, into code: from the cache, or by compiling it.
    ///
    /// # Errors
    /// If it is too large, does not compile, or a limit bites.
    pub async fn load(&self, digest: [u8; 32], component: Bytes) -> Result<Component, CompileError> {
        if component.len() > MAX_COMPONENT {
            return Err(CompileError::TooLarge { size: component.len(), limit: MAX_COMPONENT });
        }
        if let Some(found) = self.cached(digest).await? {
            return Ok(found);
        }
        // The semaphore is never closed; were it, compiling out of turn would do no harm.
        let _turn = self.0.turn.acquire().await;
        let compiled = self.compile(component).await?;
        let inner = Arc::clone(&self.0);
        blocking(move || {
            if let Some(cache) = &inner.cache {
                cache.put(&digest, &compiled);
            }
            inner.deserialize(&compiled)
        })
        .await
    }

    async fn cached(&self, digest: [u8; 32]) -> Result<Option<Component>, CompileError> {
        if self.0.cache.is_none() {
            return Ok(None);
        }
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let Some(cache) = &inner.cache else { return Ok(None) };
            let Some(entry) = cache.find(&digest) else { return Ok(None) };
            match inner.deserialize(entry.compiled()) {
                Ok(component) => Ok(Some(component)),
                Err(error) => {
                    // Ours by its MAC, and yet not to be loaded: a bug of ours, but no reason to stop.
                    cache.discard(&digest, &error.to_string());
                    Ok(None)
                }
            }
        })
        .await
    }

    async fn compile(&self, component: Bytes) -> Result<Vec<u8>, CompileError> {
        let compiled = match &self.0.mode {
            CompileMode::InProcess => {
                let inner = Arc::clone(&self.0);
                blocking(move || {
                    inner
                        .engine
                        .precompile_component(&component)
                        .map_err(|error| CompileError::Refused { message: chain(&error) })
                })
                .await?
            }
            CompileMode::Child { exe, args, limits } => {
                child::compile(exe, args, *limits, self.0.settings, self.0.fingerprint, &component).await?
            }
        };
        match Engine::detect_precompiled(&compiled) {
            Some(Precompiled::Component) => Ok(compiled),
            _ => Err(CompileError::Crashed { how: "it answered with something that is no compiled component".into() }),
        }
    }
}

impl Inner {
    fn deserialize(&self, compiled: &[u8]) -> Result<Component, CompileError> {
        // SAFETY: `compiled` was made by `Engine::precompile_component`: either just now, by this process or by the
        // child that it started, or earlier and then kept under a MAC with a key that only this user can read, which
        // was checked over this very slice. Nobody else holds the memory. Wasmtime checks version and settings.
        unsafe { Component::deserialize(&self.engine, compiled) }
            .map_err(|error| CompileError::Load { message: chain(&error) })
    }
}

/// The SHA-256 of a component: its identity everywhere.
pub fn digest(component: &[u8]) -> [u8; 32] {
    to_array(ring::digest::digest(&ring::digest::SHA256, component))
}

/// Run `work` where it may block; a panic in it is a crash of the compiler, not ours.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CompileError> + Send + 'static,
) -> Result<T, CompileError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(CompileError::Crashed { how: error.to_string() }),
    }
}

/// An error of Wasmtime's with all its causes, in one line.
pub(crate) fn chain(error: &wasmtime::Error) -> String {
    format!("{error:#}")
}

fn to_array(digest: ring::digest::Digest) -> [u8; 32] {
    let mut array = [0; 32];
    array.copy_from_slice(digest.as_ref());
    array
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

//! What a process has one of: engine, linker, pool, ticker, guest threads, and the plugins that are loaded.

use std::{
    collections::HashMap,
    io,
    mem::ManuallyDrop,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::sync::{OnceCell, Semaphore};
use wasmtime::{Engine, component::Linker};

use crate::{
    CacheConfig, CacheTrouble, CodeSettings, CompileError, CompileMode, Compiler, Failure, InspectError, KeyError,
    Plugin, Slots,
    account::Account,
    contract::Exports,
    describe_link_error,
    engine::{self, PoolSize},
    host::{self, Ctx},
    inspect,
    llm::{DeniedLlm, Llm},
    parts::core_instances,
    plugin::{self, Inner},
    ticker::Ticker,
};

/// How a runtime is made.
#[derive(Clone)]
pub struct RuntimeConfig {
    /// Threads that guests run on; at least 1.
    pub guest_threads: usize,
    /// Linear memory of all guests together, in bytes. No run begins that it cannot hold.
    pub memory: u64,
    /// Linear memory that one run may have at most, in bytes.
    pub max_memory: u64,
    /// Instances alive at once; each lane needs one.
    pub pool_instances: u32,
    /// Whether runs can be bounded by fuel. It costs every guest some speed.
    pub fuel: bool,
    /// Where components are compiled.
    pub compile: CompileMode,
    /// Where compiled components are kept.
    pub cache: Option<CacheConfig>,
    /// The model server behind the contract's `llm`.
    pub llm: Arc<dyn Llm>,
}

impl Default for RuntimeConfig {
    /// As many threads as there are cores, 4 GiB of memory, 1 GiB a run, 256 instances, no fuel; compiles in process and
    /// keeps nothing; no model server.
    fn default() -> Self {
        Self {
            guest_threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory: 4 << 30,
            max_memory: 1 << 30,
            pool_instances: 256,
            fuel: false,
            compile: CompileMode::InProcess,
            cache: None,
            llm: Arc::new(DeniedLlm),
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
    Threads(#[source] io::Error),
    /// The compile cache's key cannot be trusted.
    #[error("failed to open the compile cache")]
    Cache(#[from] KeyError),
}

/// Why a component could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is no plugin.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// It could not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It imports what nobody offers, or imports or exports what does not fit.
    #[error("the component does not fit the contract: {0}")]
    Link(String),
    /// It consists of more parts than the pool has room for.
    #[error("the component has {parts} parts, more than an instance here may have")]
    TooManyParts {
        /// Core instances, memories and tables, in units of the pool.
        parts: u32,
    },
    /// It could not say what it is.
    #[error("the plugin could not say what it is: {}", .0.message)]
    Metadata(Failure),
    /// It says something of itself that cannot be.
    #[error("the plugin says of itself what cannot be: {0}")]
    Unsound(String),
    /// The thread that looked at it was lost.
    #[error("failed to look at the component")]
    Lost(#[from] tokio::task::JoinError),
}

/// The runtime. Clones share it.
#[derive(Clone)]
pub struct Runtime(Arc<Loaded>);

struct Loaded {
    shared: Arc<Shared>,
    compiler: Compiler,
    linker: Linker<Box<Ctx>>,
    plugins: Mutex<HashMap<[u8; 32], Arc<OnceCell<Plugin>>>>,
}

/// What every plugin needs of its runtime to run.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) guests: Guests,
    pub(crate) ticker: Ticker,
    /// Units of the pool.
    pub(crate) pool: Arc<Semaphore>,
    pool_units: u32,
    pub(crate) memory: Account,
    pub(crate) max_memory: u64,
    pub(crate) fuel: bool,
    pub(crate) llm: Arc<dyn Llm>,
    /// Slots for calls that are no runs of a job.
    pub(crate) own_slots: Slots,
}

/// The threads that guests run on, and nothing else does.
pub(crate) struct Guests(ManuallyDrop<tokio::runtime::Runtime>);

/// Polls of a guest between two looks at timers: each may take a whole tick.
const POLLS_BETWEEN_EVENTS: u32 = 3;

impl Guests {
    fn start(threads: usize) -> io::Result<Guests> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("pigeon-guest")
            .event_interval(POLLS_BETWEEN_EVENTS)
            .enable_all()
            .build()?;
        Ok(Guests(ManuallyDrop::new(runtime)))
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.0.spawn(task)
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        // SAFETY: it is not used again. It is taken because its own drop would wait for its threads, and the last hold
        // on it may be one of its own tasks.
        let runtime = unsafe { ManuallyDrop::take(&mut self.0) };
        runtime.shutdown_background();
    }
}

impl Runtime {
    /// Sets up the engine, the pool of instances and the threads.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] if the machine cannot give what the configuration asks for.
    pub fn new(config: RuntimeConfig) -> Result<Runtime, RuntimeError> {
        let code = CodeSettings { fuel: config.fuel };
        let size = PoolSize { units: config.pool_instances.max(1), max_memory: config.max_memory };
        let engine = engine::engine(code, size).map_err(RuntimeError::Engine)?;
        let linker = host::linker(&engine).map_err(RuntimeError::Engine)?;
        let compiler = Compiler::new(&engine, code, config.compile, config.cache)?;
        let shared = Shared {
            guests: Guests::start(config.guest_threads).map_err(RuntimeError::Threads)?,
            ticker: Ticker::start(&engine).map_err(RuntimeError::Threads)?,
            pool: Arc::new(Semaphore::new(size.units as usize)),
            pool_units: size.units,
            memory: Account::new(config.memory),
            max_memory: config.max_memory,
            fuel: config.fuel,
            llm: config.llm,
            own_slots: Slots::new(config.guest_threads),
            engine,
        };
        Ok(Runtime(Arc::new(Loaded { shared: Arc::new(shared), compiler, linker, plugins: Mutex::default() })))
    }

    /// Why compiled plugins cannot be kept; `None` as long as all is well.
    pub fn cache_trouble(&self) -> Option<&CacheTrouble> {
        self.0.compiler.cache_trouble()
    }

    /// The slots of one agent: at most `slots` of its runs compute at once.
    pub fn slots(&self, slots: usize) -> Slots {
        Slots::new(slots)
    }

    /// The plugin with this SHA-256 digest, if it is loaded.
    pub fn loaded(&self, digest: &[u8; 32]) -> Option<Plugin> {
        self.plugins(|plugins| plugins.get(digest).and_then(|cell| cell.get().cloned()))
    }

    /// Forgets a plugin. Lanes that run it go on.
    pub fn unload(&self, digest: &[u8; 32]) {
        self.plugins(|plugins| drop(plugins.remove(digest)));
    }

    /// Makes a plugin of a component's bytes: checks its world, compiles it or takes it from the cache, and asks for
    /// its metadata. Loading the same bytes twice at once is done once.
    ///
    /// # Errors
    ///
    /// [`LoadError`] in words that say what is wrong with the component.
    pub async fn load(&self, component: Bytes) -> Result<Plugin, LoadError> {
        let bytes = component.clone();
        let digest = tokio::task::spawn_blocking(move || crate::digest(&bytes)).await?;
        let cell = self.plugins(|plugins| Arc::clone(plugins.entry(digest).or_default()));
        let loaded = cell.get_or_try_init(|| self.make(digest, component)).await.cloned();
        if loaded.is_err() {
            self.plugins(|plugins| {
                // Only if nobody is trying again.
                if plugins.get(&digest).is_some_and(|cell| !cell.initialized() && Arc::strong_count(cell) <= 2) {
                    plugins.remove(&digest);
                }
            });
        }
        loaded
    }

    async fn make(&self, digest: [u8; 32], component: Bytes) -> Result<Plugin, LoadError> {
        let bytes = component.clone();
        let look = move || (inspect(&bytes), core_instances(&bytes));
        let (inspection, parts) = tokio::task::spawn_blocking(look).await?;
        let inspection = inspection?;
        let compiled = self.0.compiler.load(digest, component).await?;
        let pre = self.0.linker.instantiate_pre(&compiled).map_err(|error| link(&error))?;
        let needs = compiled.resources_required();
        let (memories, tables) = needs.map_or((1, 1), |needs| (needs.num_memories, needs.num_tables));
        let weight = (parts.div_ceil(engine::CORE_INSTANCES_A_UNIT))
            .max(memories.div_ceil(engine::MEMORIES_A_UNIT))
            .max(tables.div_ceil(engine::TABLES_A_UNIT))
            .max(1);
        if weight > self.0.shared.pool_units {
            return Err(LoadError::TooManyParts { parts: weight });
        }
        Plugin::introduce(Inner {
            exports: Exports::of(&compiled).map_err(|error| link(&error))?,
            metadata: plugin::unknown(),
            shared: Arc::clone(&self.0.shared),
            world: inspection.world,
            imports: inspection.imports,
            powers: inspection.powers,
            digest,
            pre,
            weight,
        })
        .await
    }

    fn plugins<T>(&self, look: impl FnOnce(&mut HashMap<[u8; 32], Arc<OnceCell<Plugin>>>) -> T) -> T {
        look(&mut self.0.plugins.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn link(error: &wasmtime::Error) -> LoadError {
    LoadError::Link(describe_link_error(error))
}

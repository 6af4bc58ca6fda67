//! A loaded plugin: compiled, checked, and asked once what it is.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wasmtime::component::InstancePre;

use crate::{
    Cause, Event, Failure, Item, Job, Limits, Metadata, Run, Slots, TestCase, Vote,
    contract::Exports,
    host::Ctx,
    lane::{Lane, metered},
    meter::Meter,
    normalise,
    runtime::{LoadError, Shared},
};

/// Which world of the contract a component fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum World {
    /// Judges one item at a time.
    Validator,
    /// Judges several together, too.
    BatchValidator,
}

/// What a plugin may use to say what it is.
const METADATA_LIMITS: Limits = Limits {
    cpu: Duration::from_secs(1),
    wall: Duration::from_secs(30),
    memory: Some(64 << 20),
    output: 1 << 20,
    log: 0,
    fuel: None,
};

/// Linear memory that a run may have even where the plugin asks for less, in bytes: its code's own data need some.
const LEAST_MEMORY: u64 = 4 << 20;

/// What generated test cases may have in all, in bytes.
const TEST_CASES: u64 = 16 << 20;

/// A component that is compiled, checked and ready to run. Clones share it.
#[derive(Clone)]
pub struct Plugin(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) digest: [u8; 32],
    pub(crate) metadata: Metadata,
    pub(crate) world: World,
    pub(crate) imports: Vec<String>,
    pub(crate) powers: Vec<String>,
    pub(crate) pre: InstancePre<Box<Ctx>>,
    pub(crate) exports: Exports,
    /// Units of the pool that an instance takes.
    pub(crate) weight: u32,
}

impl Inner {
    /// Linear memory that a run may have whose item's body has this many bytes.
    ///
    /// # Errors
    ///
    /// [`Cause::DoesNotFit`] if it asks for more than this runtime ever gives, or for a bound that it cannot hold.
    pub(crate) fn memory_bound(&self, limits: &Limits, body: u64) -> Result<u64, Failure> {
        if limits.fuel.is_some() && !self.shared.fuel {
            let message = "the run is to be bounded by fuel, which agents here do not count";
            return Err(Failure::new(Cause::DoesNotFit, message));
        }
        let most = self.shared.max_memory;
        let bound =
            limits.memory.map_or_else(|| self.metadata.memory(body).max(LEAST_MEMORY), |memory| memory.min(most));
        if bound <= most && self.shared.memory.fits(bound) {
            return Ok(bound);
        }
        let message = format!("the run asks for {bound} bytes of memory, more than an agent here gives to one run");
        Err(Failure::new(Cause::DoesNotFit, message))
    }
}

impl Plugin {
    /// Asks a component that is not a plugin yet what it is, and makes it one.
    pub(crate) async fn introduce(mut inner: Inner) -> Result<Plugin, LoadError> {
        let shared = Arc::clone(&inner.shared);
        // What it is allowed to use now; what it says of itself takes its place.
        inner.metadata = unknown();
        let asked = Arc::new(inner);
        let (plugin, limits) = (Arc::clone(&asked), METADATA_LIMITS);
        let answer = alone(&shared, async move |meter| {
            let mut lane = lane(&plugin, limits, meter).await?;
            let run = nothing();
            let attempt = lane.attempt(&run, &limits, async |instance, store| {
                plugin.exports.check(instance, store)?;
                plugin.exports.metadata(instance, store).await
            });
            attempt.await.result
        });
        let raw = answer.await.map_err(LoadError::Metadata)?;
        let metadata = Metadata::check(raw).map_err(LoadError::Unsound)?;
        // The lane is gone, and with it the only other hold on it.
        let mut inner =
            Arc::into_inner(asked).ok_or_else(|| LoadError::Unsound("it is still being asked".to_owned()))?;
        inner.metadata = metadata;
        Ok(Plugin(Arc::new(inner)))
    }

    /// The SHA-256 of the component's bytes.
    pub fn digest(&self) -> &[u8; 32] {
        &self.0.digest
    }

    /// What the plugin says of itself.
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// Which world it fits.
    pub fn world(&self) -> World {
        self.0.world
    }

    /// The interfaces that it imports, such as `wasi:clocks/wall-clock@0.2.6`.
    pub fn imports(&self) -> &[String] {
        &self.0.imports
    }

    /// The powers among its imports, such as `llm`.
    pub fn powers(&self) -> &[String] {
        &self.0.powers
    }

    /// The same plugin with another instance policy than its metadata asks for: to measure what it costs, or to see
    /// whether an answer hangs on it.
    pub fn with_policy(&self, shared: bool) -> Plugin {
        let inner = &*self.0;
        Plugin(Arc::new(Inner {
            shared: Arc::clone(&inner.shared),
            digest: inner.digest,
            metadata: Metadata { shared, ..inner.metadata.clone() },
            world: inner.world,
            imports: inner.imports.clone(),
            powers: inner.powers.clone(),
            pre: inner.pre.clone(),
            exports: inner.exports.clone(),
            weight: inner.weight,
        }))
    }

    /// Runs a batch: one lane, the runs following one another, in one instance where the metadata says so and else each
    /// in a fresh one. `sink` is told of each run as it begins and as it lands, on a guest thread: it must not block.
    ///
    /// Returns when every run has its outcome, or when `cancel` fires or the future is dropped: then the run that
    /// computes is ended at its next tick, its instance is dropped, and the rest have no outcome.
    pub async fn run_batch(
        &self,
        slots: &Slots,
        job: Arc<Job>,
        runs: Vec<Run>,
        cancel: CancellationToken,
        mut sink: impl FnMut(Event) + Send + 'static,
    ) {
        let (plugin, slots) = (Arc::clone(&self.0), slots.clone());
        let lane = metered(async move |meter| {
            let mut lane = Lane::open(plugin, slots, job, meter).await;
            lane.run_lane(runs, &mut sink).await;
        });
        let task = self.0.shared.guests.spawn(async move {
            tokio::select! {
                // First: a guest that yields at every tick is always ready.
                biased;
                () = cancel.cancelled_owned() => {}
                () = lane => {}
            }
        });
        if let Err(error) = Ended(task).join().await {
            tracing::error!(%error, "a lane ended without the outcomes of its runs");
        }
    }

    /// Asks the plugin for items to be tested with: the same for the same seed.
    ///
    /// # Errors
    ///
    /// The plugin's own failure, or what ended it.
    pub async fn generate_test_cases(&self, count: u32, seed: u64) -> Result<Vec<TestCase>, Failure> {
        let plugin = Arc::clone(&self.0);
        let limits = Limits { output: TEST_CASES, ..Limits::default() };
        let cases = alone(&self.0.shared, async move |meter| {
            let mut lane = lane(&plugin, limits, meter).await?;
            let run = Run { seed, ..nothing() };
            let attempt = lane.attempt(&run, &limits, async |instance, store| {
                plugin.exports.generate_test_cases(instance, store, count, seed).await
            });
            attempt.await.result
        });
        match cases.await? {
            Ok(cases) => Ok(cases.into_iter().map(TestCase::from).collect()),
            Err(failure) => Err(normalise::failure(failure)),
        }
    }
}

/// A lane for a single call that is no run of a job.
async fn lane(plugin: &Arc<Inner>, limits: Limits, meter: Arc<Meter>) -> Result<Lane, Failure> {
    let job = Arc::new(Job { limits, ..Job::default() });
    let mut lane = Lane::open(Arc::clone(plugin), plugin.shared.own_slots.clone(), job, meter).await;
    lane.make_room(0).await?;
    Ok(lane)
}

/// Runs a call on the guests' threads.
async fn alone<T: Send + 'static, F: Future<Output = Result<T, Failure>> + Send + 'static>(
    shared: &Arc<Shared>,
    call: impl FnOnce(Arc<Meter>) -> F + Send + 'static,
) -> Result<T, Failure> {
    let done = Ended(shared.guests.spawn(metered(call))).join().await;
    done.unwrap_or_else(|error| Err(Failure::new(Cause::Load, format!("the call was lost: {error}"))))
}

/// A task that ends with its handle.
struct Ended<T>(JoinHandle<T>);

impl<T> Ended<T> {
    async fn join(mut self) -> Result<T, tokio::task::JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for Ended<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A run of nothing.
fn nothing() -> Run {
    Run { index: 0, item: Item { id: "".into(), body: Bytes::new() }, place: 0, iteration: 0, seed: 0 }
}

/// What is believed of a plugin that was not asked yet.
pub(crate) fn unknown() -> Metadata {
    Metadata {
        name: String::new(),
        version: String::new(),
        description: String::new(),
        formats: Vec::new(),
        options: Vec::new(),
        codes: Vec::new(),
        shared: false,
        vote: Vote::Worst,
        memory_base: 0,
        memory_factor: 0.0,
        models: Vec::new(),
        extensions: Vec::new(),
    }
}

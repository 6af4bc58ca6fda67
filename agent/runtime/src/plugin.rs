//! A loaded plugin.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{Event, Failure, Job, Metadata, Run, Slots, TestCase};

/// Which world of the contract a component fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum World {
    /// Judges one item at a time.
    Validator,
    /// Judges several together, too.
    BatchValidator,
}

/// A component that is compiled, checked and ready to run. Clones share it.
#[derive(Clone)]
pub struct Plugin(Arc<Inner>);

struct Inner {
    digest: [u8; 32],
    metadata: Metadata,
    world: World,
    imports: Vec<String>,
    powers: Vec<String>,
}

impl Plugin {
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
        sink: impl FnMut(Event) + Send + 'static,
    ) {
        let _ = (slots, job, runs, cancel, sink);
    }

    /// Asks the plugin for items to be tested with: the same for the same seed.
    ///
    /// # Errors
    ///
    /// The plugin's own failure, or what ended it.
    pub async fn generate_test_cases(&self, count: u32, seed: u64) -> Result<Vec<TestCase>, Failure> {
        let _ = (count, seed);
        Err(Failure::new(crate::Cause::Load, "not yet"))
    }
}

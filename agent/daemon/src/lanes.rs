//! What runs the runs: the runtime, seen as little of it as the session needs.
//!
//! The trait is here so that the wire can be tested and measured without a guest; everything else takes
//! [`RuntimeLanes`].

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use pigeon_protocol::id::Digest;
use pigeon_runtime::{Event, Job, Plugin, Run, Runtime, Slots};
use tokio_util::sync::CancellationToken;

/// Runs batches. See [`pigeon_runtime::Plugin::run_batch`] for what each promises.
pub trait Lanes: Send + Sync + 'static {
    /// A plugin, ready to run. Cheap to clone.
    type Plugin: Clone + Send + Sync + 'static;

    /// The plugin with this digest, if it is loaded.
    fn loaded(&self, digest: &Digest) -> Option<Self::Plugin>;

    /// Make a plugin of a component. The error is for people.
    fn load(&self, component: Bytes) -> impl Future<Output = Result<Self::Plugin, String>> + Send;

    /// Make these runs one after another, and tell of each as it begins and lands.
    fn run(
        &self,
        plugin: &Self::Plugin,
        job: Arc<Job>,
        runs: Vec<Run>,
        cancel: CancellationToken,
        sink: impl FnMut(Event) + Send + 'static,
    ) -> impl Future<Output = ()> + Send;

    /// Runs that compute now.
    fn computing(&self) -> usize;

    /// Runs that wait in a host call now.
    fn waiting(&self) -> usize;
}

/// The runtime, and this agent's slots of it.
#[derive(Clone)]
pub struct RuntimeLanes {
    runtime: Runtime,
    slots: Slots,
}

impl RuntimeLanes {
    /// An agent's share of a runtime: so many slots.
    pub fn new(runtime: Runtime, slots: usize) -> Self {
        Self { slots: runtime.slots(slots), runtime }
    }
}

impl Lanes for RuntimeLanes {
    type Plugin = Plugin;

    fn loaded(&self, digest: &Digest) -> Option<Plugin> {
        self.runtime.loaded(digest.as_bytes())
    }

    async fn load(&self, component: Bytes) -> Result<Plugin, String> {
        self.runtime.load(component).await.map_err(|error| chain(&error))
    }

    async fn run(
        &self,
        plugin: &Plugin,
        job: Arc<Job>,
        runs: Vec<Run>,
        cancel: CancellationToken,
        sink: impl FnMut(Event) + Send + 'static,
    ) {
        plugin.run_batch(&self.slots, job, runs, cancel, sink).await;
    }

    fn computing(&self) -> usize {
        self.slots.computing()
    }

    fn waiting(&self) -> usize {
        self.slots.waiting()
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

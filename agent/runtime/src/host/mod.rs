//! The host's side of everything that a guest imports.
//!
//! [`Ctx`] is what a store holds: the run's [`Effects`], the guest's resources and the bounds of its memory. All of WASI
//! 0.2 is linked, but empty: clocks, randomness, waiting and standard streams are ours and end in `Effects`; files and
//! sockets are Wasmtime's own over a context that has none, made only if a guest ever asks.

#[expect(missing_docs, reason = "generated: the WIT has the words")]
pub(crate) mod bindings;
mod config;
mod llm;
mod logging;
mod wasi;

use std::{collections::HashMap, sync::Arc};

use wasmtime::{
    Engine, ResourceLimiter,
    component::{HasData, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::{
    effects::Effects,
    engine::TABLE_ELEMENTS,
    meter::{Meter, Stop},
};

/// Resources (streams, pollables, requests) that a guest may hold at once.
const MAX_RESOURCES: usize = 10_000;

/// Bytes of text and images that a run may hand to requests in all: they lie in the host's memory.
const MAX_HELD: usize = 64 << 20;

/// What a store holds.
pub(crate) struct Ctx {
    pub(crate) effects: Box<dyn Effects>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) memory: MemoryBounds,
    table: ResourceTable,
    wasi: Option<WasiCtx>,
    /// Deadlines of the pollables that wait for the monotonic clock, by the pollable's number in the table.
    deadlines: HashMap<u32, u64>,
    held: usize,
}

impl Ctx {
    pub(crate) fn new(effects: Box<dyn Effects>, meter: Arc<Meter>) -> Box<Ctx> {
        Box::new(Ctx {
            effects,
            meter,
            memory: MemoryBounds::default(),
            table: table(),
            wasi: None,
            deadlines: HashMap::new(),
            held: 0,
        })
    }

    /// Makes it as new, for another store.
    pub(crate) fn recycle(&mut self, memory: u64) {
        if !self.table.is_empty() {
            self.table = table();
        }
        self.wasi = None;
        if !self.deadlines.is_empty() {
            self.deadlines = HashMap::new();
        }
        self.held = 0;
        self.memory = MemoryBounds { limit: memory, ..MemoryBounds::default() };
    }

    /// Counts bytes that the guest leaves with the host.
    fn hold(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.held = self.held.saturating_add(bytes);
        if self.held > MAX_HELD { Err(Stop::Memory.into()) } else { Ok(()) }
    }
}

fn table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_RESOURCES);
    table
}

/// How a host interface finds its state in a store's data.
struct HasCtx;

impl HasData for HasCtx {
    type Data<'a> = &'a mut Ctx;
}

fn whole(ctx: &mut Box<Ctx>) -> &mut Ctx {
    ctx
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| WasiCtx::builder().build());
        WasiCtxView { ctx, table: &mut self.table }
    }
}

/// Bounds of an instance's linear memories, and how large they grew.
#[derive(Debug, Default)]
pub(crate) struct MemoryBounds {
    /// Bytes that all of its memories may have together.
    limit: u64,
    /// Bytes that they have now.
    now: u64,
}

impl MemoryBounds {
    /// Bytes that all memories may have together.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that all memories have. They never shrink, so it is their greatest size too.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Allows this much, if it was less.
    pub(crate) fn raise(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }
}

impl ResourceLimiter for MemoryBounds {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The guest's own bound: that is between it and its allocator.
            return Ok(false);
        }
        let now = self.now.saturating_add(desired.saturating_sub(current) as u64);
        if now > self.limit {
            // An error ends the run with this very cause; `false` would leave the cause to what the guest makes of it.
            return Err(Stop::Memory.into());
        }
        self.now = now;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // The pool's slot is smaller than the bound, or the system has no memory left.
        tracing::warn!(%error, "a guest's memory could not grow");
        Err(Stop::Memory.into())
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS && maximum.is_none_or(|maximum| desired <= maximum))
    }
}

/// Everything that a component of the contract may import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Box<Ctx>>> {
    let mut linker = Linker::new(engine);
    wasi::add(&mut linker)?;
    logging::add(&mut linker)?;
    bindings::wasi::config::store::add_to_linker::<_, HasCtx>(&mut linker, whole)?;
    bindings::pigeon::plugin::run::add_to_linker::<_, HasCtx>(&mut linker, whole)?;
    bindings::pigeon::plugin::llm::add_to_linker::<_, HasCtx>(&mut linker, whole)?;
    Ok(linker)
}

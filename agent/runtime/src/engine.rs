//! The engine: what the compiled code needs (see [`CodeSettings`]) and, on top of it, the pool that instances come from.
//!
//! Every number of the pool is address space, not memory: a slot costs memory only once a guest has touched it. What
//! guests may have together is bounded by the runtime's own account of memory, see [`crate::lane`].

use wasmtime::{Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::compile::CodeSettings;

/// Core instances, memories and tables that a unit of the pool has. A component made by the usual toolchains is three
/// core instances with one memory and two tables; what is larger takes several units.
pub(crate) const CORE_INSTANCES_A_UNIT: u32 = 8;
/// See [`CORE_INSTANCES_A_UNIT`].
pub(crate) const MEMORIES_A_UNIT: u32 = 2;
/// See [`CORE_INSTANCES_A_UNIT`].
pub(crate) const TABLES_A_UNIT: u32 = 8;

/// Elements that a table may have; it bounds what a guest can call indirectly.
pub(crate) const TABLE_ELEMENTS: usize = 100_000;

/// Bytes of a linear memory that stay in a slot when its instance goes, and are cleaned by writing to them instead of
/// being given back to the system: a fault on a page costs more than clearing it.
const MEMORY_KEPT: usize = 2 << 20;
/// The same for a table.
const TABLE_KEPT: usize = 64 << 10;
/// Stack of a guest, in bytes, and the stack on which it and the host's functions run.
const GUEST_STACK: usize = 512 << 10;
/// See [`GUEST_STACK`].
const FIBER_STACK: usize = 2 << 20;

/// What the pool holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolSize {
    /// Units: component instances alive at once.
    pub(crate) units: u32,
    /// Bytes of linear memory that one may have.
    pub(crate) max_memory: u64,
}

/// Makes the engine.
pub(crate) fn engine(code: CodeSettings, size: PoolSize) -> wasmtime::Result<Engine> {
    let units = size.units.max(1);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(units)
        .total_core_instances(units.saturating_mul(CORE_INSTANCES_A_UNIT))
        .total_memories(units.saturating_mul(MEMORIES_A_UNIT))
        .total_tables(units.saturating_mul(TABLES_A_UNIT))
        .total_stacks(units)
        .max_memory_size(usize::try_from(size.max_memory).unwrap_or(usize::MAX))
        .max_memories_per_module(MEMORIES_A_UNIT)
        .max_tables_per_module(TABLES_A_UNIT)
        .table_elements(TABLE_ELEMENTS)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .linear_memory_keep_resident(MEMORY_KEPT)
        .table_keep_resident(TABLE_KEPT)
        // The kernel tells which pages were written, so that only those are cleaned. Without it, keeping memory makes
        // things worse than not keeping it; Auto uses it where it is there.
        .pagemap_scan(Enabled::Auto);
    let mut config = code.config();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(FIBER_STACK);
    Engine::new(&config)
}

//! Compiles, instantiates, bounds and runs a component.
//!
//! A [`Runtime`] is what a process has one of: one engine, one set of compiled plugins, one pool of instances, and
//! threads of its own on which guests run. [`Runtime::load`] makes a [`Plugin`] of a component's bytes, and
//! [`Plugin::run_batch`] runs items through it, each timed, seeded, limited and logged apart. Whatever a guest does, it
//! ends in a [`RunReport`] with a named cause, and nothing of it remains.
//!
//! Everything that a run can see or do beyond computing passes through one trait, [`effects::Effects`], so that a run
//! is a function of its component, item, options, seed and clock.
//!
//! Invariant: this crate knows no network and no wire format.

mod account;
mod answer;
mod batch;
mod compile;
mod contract;
pub mod effects;
mod engine;
mod host;
mod inspect;
mod job;
pub mod journal;
mod lane;
pub mod llm;
mod metadata;
mod meter;
mod normalise;
mod parts;
mod plugin;
mod runtime;
pub mod seed;
mod slots;
mod ticker;
mod turn;

pub use answer::{Cause, Counts, Failure, Finding, Judgement, Place, Severity};
pub use compile::{
    CacheConfig, CacheTrouble, CodeSettings, CompileError, CompileLimits, CompileMode, Compiler, ExitKind, KeyError,
    MAX_COMPONENT, compile_child_main, digest, this_program,
};
pub use inspect::{
    CONTRACT_VERSION, Difference, InspectError, Inspection, NotAComponent, describe_link_error, inspect,
};
pub use job::{Clock, Event, Item, ItemId, Job, Limits, Run, RunReport};
pub use metadata::{CodeSpec, Expectation, Metadata, OptionSpec, TestCase, Vote};
pub use plugin::{Plugin, World};
pub use runtime::{LoadError, Runtime, RuntimeConfig, RuntimeError};
pub use slots::Slots;

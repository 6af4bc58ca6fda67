//! Write a Pigeon validator in a few lines of Rust.
//!
//! A validator is a type that judges one item after another. Implement [`Validator`], name the type to [`export!`], and
//! build the crate (`crate-type = ["cdylib"]`) for `wasm32-wasip2`:
//!
//! ```
//! use pigeon_plugin::{Failure, Finding, Findings, Item, Options, Place, Validator};
//!
//! pub struct NoTabs;
//!
//! impl Validator for NoTabs {
//!     fn new(_: &Options) -> Result<Self, Failure> {
//!         Ok(NoTabs)
//!     }
//!     fn validate(&mut self, item: &Item, findings: &mut Findings) -> Result<(), Failure> {
//!         let Some(text) = item.text(findings) else { return Ok(()) };
//!         for (line, _) in (1..).zip(text.lines()).filter(|(_, line)| line.contains('\t')) {
//!             findings.push(Finding::error("tab", "a tab character").at(Place::line(line)));
//!         }
//!         Ok(())
//!     }
//! }
//!
//! pigeon_plugin::export!(NoTabs);
//! # fn main() {}
//! ```
//!
//! Name, version and description come from the crate's `Cargo.toml`; [`Validator::metadata`] adds the rest. On any
//! other target the same code is an ordinary library: [`judge`] runs it, so that `cargo test` needs no wasm at all.
//!
//! # What costs and what does not
//!
//! An instance is made for each run unless the metadata says [`shared`](Metadata::shared), and the options never
//! change while an instance lives: so read them in [`Validator::new`], which is called once, before the first item.
//! Options are fetched by one call of the host when the first is asked for; nothing else here calls the host unless
//! you do. Beware of `std`'s `HashMap`: its first use asks the host for randomness.

// The bindings and the macros name this crate by its name, here as in a validator.
extern crate self as pigeon_plugin;

pub mod bindings;
mod export;
mod findings;
mod item;
pub mod log;
mod metadata;
mod options;
pub mod run;
#[cfg(all(feature = "testing", not(target_family = "wasm")))]
pub mod testing;
mod validator;

/// A large language model on the run's own node. See the contract's `wit/llm.wit`; it must be granted.
pub use bindings::pigeon::plugin::llm;
pub use bindings::pigeon::plugin::types::{
    CodeSpec, Counts, Expectation, Failure, FailureKind, Finding, InstancePolicy, Item, Judgement, MemoryNeed,
    Metadata, OptionSpec, Place, Severity, TestCase, Vote,
};
#[doc(hidden)]
pub use export::Slot;
pub use findings::{FINDINGS_LIMIT, Findings};
pub use options::Options;
pub use validator::{Validator, judge};

//! Write a Pigeon validator in a few lines of Rust.
extern crate self as pigeon_plugin;
pub mod bindings;
pub use wit_bindgen;

//! The run's log. A host keeps 64 KiB of it: its first and its last half.
//!
//! Off wasm, lines go to the standard error stream.

pub use crate::bindings::wasi::logging::logging::Level;

/// Logs one message; `context` names the part that speaks, and may be empty.
pub fn log(level: Level, context: &str, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::bindings::wasi::logging::logging::log(level, context, message);
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?} {context}: {message}");
}

/// Something of interest to who looks for a fault.
pub fn debug(message: &str) {
    log(Level::Debug, "", message);
}

/// Something of interest to who watches.
pub fn info(message: &str) {
    log(Level::Info, "", message);
}

/// Something that may become a fault.
pub fn warn(message: &str) {
    log(Level::Warn, "", message);
}

/// A fault.
pub fn error(message: &str) {
    log(Level::Error, "", message);
}

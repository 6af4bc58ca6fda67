//! What a component is, told without compiling it: what it imports and exports, which world of the contract it fits,
//! or in words why none.

use crate::World;

/// What a component's outside says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The world that it fits.
    pub world: World,
    /// Interfaces that it imports, with their versions, in its own order.
    pub imports: Vec<String>,
    /// What it exports, with versions, in its own order.
    pub exports: Vec<String>,
    /// The powers among its imports, such as `llm`, sorted.
    pub powers: Vec<String>,
}

/// Why some bytes are no plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// Nothing at all.
    #[error("the file is empty")]
    Empty,
}

/// Look at a component without compiling it.
///
/// # Errors
/// If it is no component, or fits no world of the contract; the error says what differs.
pub fn inspect(component: &[u8]) -> Result<Inspection, InspectError> {
    let _ = component;
    Err(InspectError::Empty)
}

/// An error that Wasmtime gave when a component was linked or its exports were looked up, in words for its author.
pub fn describe_link_error(error: &wasmtime::Error) -> String {
    format!("{error:#}")
}

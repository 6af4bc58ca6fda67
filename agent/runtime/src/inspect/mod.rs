//! What a component is, told without compiling it: what it imports and exports, which world of the contract it fits,
//! or in words why none.
//!
//! The bytes are looked at in three steps: is it a component at all ([`bytes`]), what does its outside look like
//! ([`outside`]), and does that fit what this host offers and asks for ([`contract`]). What only linking can tell, types
//! inside an interface, comes later from Wasmtime, and [`describe_link_error`] puts it into words too.

mod bytes;
mod contract;
mod link;
mod outside;

pub use bytes::NotAComponent;
pub use contract::Difference;
pub use link::describe_link_error;

use crate::World;
use crate::compile::MAX_COMPONENT;
use contract::{POWERS, differences, world};
use outside::Outside;

/// The version of the contract that this host speaks.
pub const CONTRACT_VERSION: &str = "0.1.0";

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
    /// More bytes than a plugin may have.
    #[error("it has {size} bytes, more than the {limit} that a plugin may have")]
    TooLarge {
        /// Its size, in bytes.
        size: usize,
        /// The bound, in bytes.
        limit: usize,
    },
    /// Something else than a component.
    #[error(transparent)]
    NotAComponent(#[from] NotAComponent),
    /// A component that breaks off.
    #[error("the component is truncated: it has {size} bytes, and goes on behind them")]
    Truncated {
        /// The bytes that are there.
        size: usize,
    },
    /// A component that is not valid.
    #[error("the component is malformed at byte {offset}: {message}")]
    Malformed {
        /// Where, in bytes from its start.
        offset: usize,
        /// The parser's words.
        message: String,
    },
    /// A component, but not one of the contract's.
    #[error("the component fits no world of pigeon:plugin@{CONTRACT_VERSION}: {}", join(differences))]
    Misfit {
        /// All that differs.
        differences: Vec<Difference>,
    },
}

/// Look at a component without compiling it. Function bodies are not looked into: compiling will.
///
/// # Errors
/// If it is no component, or fits no world of the contract; the error says what differs.
pub fn inspect(component: &[u8]) -> Result<Inspection, InspectError> {
    if component.len() > MAX_COMPONENT {
        return Err(InspectError::TooLarge { size: component.len(), limit: MAX_COMPONENT });
    }
    bytes::check(component)?;
    let outside = Outside::read(component)?;
    let differences = differences(&outside);
    if !differences.is_empty() {
        return Err(InspectError::Misfit { differences });
    }
    let mut powers: Vec<String> = outside
        .imports
        .iter()
        .filter_map(|import| POWERS.iter().find(|(interface, _)| *interface == import.name))
        .map(|(_, power)| (*power).to_owned())
        .collect();
    powers.sort();
    Ok(Inspection {
        world: world(&outside),
        powers,
        imports: outside.imports.into_iter().map(|item| item.name).collect(),
        exports: outside.exports.into_iter().map(|item| item.name).collect(),
    })
}

fn join(differences: &[Difference]) -> String {
    differences.iter().map(Difference::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;

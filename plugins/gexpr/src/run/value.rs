//! Values, and the constants among them.

use crate::builtins::Builtin;
use crate::names::Name;

/// A reference to a binding in the heap: an environment is its innermost binding. [`NONE`](crate::tape::NONE) is
/// the empty one.
pub(crate) type Env = u32;

/// A value. Copying one copies no contents: those lie in the [`Pool`] or the heap.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// Finite, and never minus zero.
    Number(f64),
    Text(Name),
    Vector {
        /// Below the number of the pool's elements it is there, else in the heap.
        start: u32,
        len: u32,
        /// Whether there is a function in it, at any depth.
        functions: bool,
    },
    /// Members `start..start + len` of the pool, in the order of their names' ids.
    Object {
        start: u32,
        len: u32,
    },
    /// The `lam` with this index, and what its free names mean.
    Closure {
        lam: u32,
        env: Env,
    },
    Builtin(Builtin),
    /// `fix` of a closure, not unfolded yet. Only ever what a name is bound to: naming it unfolds it.
    Recursion {
        lam: u32,
        env: Env,
    },
    /// A literal that holds a number beyond 64-bit floats.
    TooLarge,
    /// In the heap, while it is collected: this vector lies there now.
    Moved(u32),
}

impl Value {
    /// Whether it is a function or holds one.
    #[inline]
    pub(crate) fn holds_function(self) -> bool {
        match self {
            Value::Closure { .. } | Value::Builtin(_) | Value::Recursion { .. } => true,
            Value::Vector { functions, .. } => functions,
            _ => false,
        }
    }

    /// What it is, in a word or two.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) | Value::TooLarge => "a number",
            Value::Text(_) => "a string",
            Value::Vector { .. } | Value::Moved(_) => "a vector",
            Value::Object { .. } => "an object",
            Value::Closure { .. } | Value::Builtin(_) | Value::Recursion { .. } => "a function",
        }
    }
}

/// The contents of all literals. They stay where they are while programs run.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) elements: Vec<Value>,
    pub(crate) members: Vec<(Name, Value)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_takes_16_bytes() {
        assert_eq!(size_of::<Value>(), 16);
    }
}

//! What the builtins compute.

use super::machine::{Machine, Stop, error};
use super::value::Value;
use crate::builtins::Builtin;
use crate::tree::NodeId;

impl Machine<'_> {
    /// The value of a builtin for as many arguments as it takes; `right` means nothing to `not`.
    pub(super) fn compute(&mut self, node: NodeId, builtin: Builtin, left: Value, right: Value) -> Result<Value, Stop> {
        match builtin {
            Builtin::Equal => {
                if left.holds_function() || right.holds_function() {
                    return Err(error(node, "`=` compares anything but functions".to_owned()));
                }
                Ok(Value::Bool(self.equal(left, right)?))
            }
            Builtin::Not => Ok(Value::Bool(!self.boolean(node, builtin, left)?)),
            Builtin::And | Builtin::Or => {
                let left = self.boolean(node, builtin, left)?;
                let right = self.boolean(node, builtin, right)?;
                Ok(Value::Bool(if builtin == Builtin::And { left && right } else { left || right }))
            }
            _ => {
                let left = self.number(node, builtin, left)?;
                let right = self.number(node, builtin, right)?;
                arithmetic(node, builtin, left, right)
            }
        }
    }

    fn number(&mut self, node: NodeId, builtin: Builtin, value: Value) -> Result<f64, Stop> {
        match value {
            Value::Number(number) => Ok(number),
            other => {
                let shown = self.show(other)?;
                Err(error(node, format!("`{}` takes numbers, not {shown}", builtin.name())))
            }
        }
    }

    fn boolean(&mut self, node: NodeId, builtin: Builtin, value: Value) -> Result<bool, Stop> {
        match value {
            Value::Bool(bool) => Ok(bool),
            other => {
                let shown = self.show(other)?;
                Err(error(node, format!("`{}` takes booleans, not {shown}", builtin.name())))
            }
        }
    }
}

fn arithmetic(node: NodeId, builtin: Builtin, left: f64, right: f64) -> Result<Value, Stop> {
    let number = match builtin {
        Builtin::Add => left + right,
        Builtin::Subtract => left - right,
        Builtin::Multiply => left * right,
        Builtin::Divide if right == 0.0 => return Err(error(node, "division by zero".to_owned())),
        Builtin::Divide => left / right,
        Builtin::Less => return Ok(Value::Bool(left < right)),
        Builtin::Greater => return Ok(Value::Bool(left > right)),
        Builtin::LessOrEqual => return Ok(Value::Bool(left <= right)),
        _ => return Ok(Value::Bool(left >= right)),
    };
    if !number.is_finite() {
        return Err(error(node, format!("the result of `{}` is beyond 64-bit floats", builtin.name())));
    }
    // Minus zero becomes zero.
    Ok(Value::Number(number + 0.0))
}

//! Deep equality, a step for each pair of nodes that is looked at.

use super::machine::{Machine, Stop};
use super::value::Value;

/// What is still to be compared on one level: so many pairs, from these indices on.
#[derive(Debug, Clone, Copy)]
struct Level {
    left: u32,
    right: u32,
    remaining: u32,
    members: bool,
}

impl Machine<'_> {
    /// Whether two values are equal: objects in any order; a function equals nothing.
    pub(super) fn equal(&mut self, mut left: Value, mut right: Value) -> Result<bool, Stop> {
        let mut levels: Vec<Level> = Vec::new();
        loop {
            self.step()?;
            match (left, right) {
                (Value::Null, Value::Null) => {}
                (Value::Bool(left), Value::Bool(right)) if left == right => {}
                (Value::Number(left), Value::Number(right)) if left == right => {}
                (Value::Text(left), Value::Text(right)) if left == right => {}
                (
                    Value::Vector { start: left, len: left_len, .. },
                    Value::Vector { start: right, len: right_len, .. },
                ) if left_len == right_len => {
                    levels.push(Level { left, right, remaining: left_len, members: false });
                }
                (Value::Object { start: left, len: left_len }, Value::Object { start: right, len: right_len })
                    if left_len == right_len =>
                {
                    levels.push(Level { left, right, remaining: left_len, members: true });
                }
                _ => return Ok(false),
            }
            while levels.last().is_some_and(|level| level.remaining == 0) {
                levels.pop();
            }
            let Some(level) = levels.last_mut() else { return Ok(true) };
            let pool = self.program.pool;
            if level.members {
                // Both are in the order of their names' ids.
                let pair = (pool.members.get(level.left as usize), pool.members.get(level.right as usize));
                let (Some(left_member), Some(right_member)) = pair else { return Ok(false) };
                if left_member.0 != right_member.0 {
                    return Ok(false);
                }
                (left, right) = (left_member.1, right_member.1);
            } else {
                left = self.heap.element(&pool.elements, level.left);
                right = self.heap.element(&pool.elements, level.right);
            }
            level.left += 1;
            level.right += 1;
            level.remaining -= 1;
        }
    }
}

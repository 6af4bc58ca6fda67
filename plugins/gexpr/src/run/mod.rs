//! The check `execution`: runs the program with each test input and looks at what comes out.

mod compare;
mod compute;
mod heap;
mod inputs;
mod load;
mod machine;
mod show;
mod value;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub(crate) use inputs::Inputs;

use inputs::Loaded;
use load::Loader;
use machine::{Machine, Program, Stop};
use value::{Pool, Value};

use crate::codes;
use crate::findings::{At, Findings};
use crate::names::Names;
use crate::tape::{NONE, Tape};
use crate::tree::{Expr, NodeId, Part, Pattern, Tree};

/// What is run, and where to tell what comes of it. The tree must be without syntax errors, and its refs resolved.
pub(crate) struct Execution<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) tape: &'a Tape,
    pub(crate) names: &'a mut Names,
    pub(crate) tree: &'a Tree,
    pub(crate) inputs: &'a Inputs,
    pub(crate) max_steps: u64,
    pub(crate) findings: &'a mut Findings,
}

impl Execution<'_> {
    /// Runs the program with all inputs.
    pub(crate) fn check(self) {
        let Execution { body, tape, names, tree, inputs, max_steps, findings } = self;
        let mut pool = Pool::default();
        let mut loader = Loader { body, tape, names, pool: &mut pool };
        let mut literals = Vec::with_capacity(tree.nodes.len());
        for node in &tree.nodes {
            literals.push(if let Expr::Lit(entry) = node.expr { loader.load(entry) } else { Value::Null });
        }
        let mut patterns = Vec::with_capacity(tree.branches.len());
        for branch in &tree.branches {
            let pattern = branch.pattern;
            patterns.push(if let Pattern::Lit(entry) = pattern { loader.load(entry) } else { Value::Null });
        }
        let inputs = inputs.load(names, &mut pool);
        let program = Program { tree, names, pool: &pool, literals: &literals, patterns: &patterns };
        let mut machine = Machine::new(program);
        let at = |node: NodeId| {
            let entry = tree.nodes.get(node as usize).map_or(0, |node| node.entry);
            let node = if (node as usize) < tree.nodes.len() { node } else { NONE };
            At { node: Some((node, Part::Whole)), offset: tape.offset(entry) }
        };
        for (index, Loaded { args, expect }) in inputs.iter().enumerate() {
            match machine.judge(args, *expect, max_steps) {
                Ok(None) => {}
                Ok(Some(wrong)) => {
                    findings.add(codes::WRONG_RESULT, at(0), || format!("test_inputs[{index}]: {wrong}"));
                }
                Err(Stop::Runtime { node, message }) => {
                    findings.add(codes::RUNTIME_ERROR, at(node), || format!("test_inputs[{index}]: {message}"));
                }
                Err(Stop::StepLimit) => findings.add(codes::STEP_LIMIT, at(0), || {
                    format!("test_inputs[{index}]: the program takes more than {max_steps} steps")
                }),
            }
        }
    }
}

impl Machine<'_> {
    /// Runs the program and says what is wrong with its value, if anything is.
    fn judge(&mut self, args: &[Value], expect: Option<Value>, max_steps: u64) -> Result<Option<String>, Stop> {
        let value = self.run(args, max_steps)?;
        let Some(expected) = expect else { return Ok(None) };
        if self.equal(value, expected)? {
            return Ok(None);
        }
        let (expected, value) = (self.show(expected)?, self.show(value)?);
        Ok(Some(format!("expected {expected}, got {value}")))
    }
}

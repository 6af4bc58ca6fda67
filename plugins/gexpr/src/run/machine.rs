//! The interpreter: a machine with a stack of frames of its own.
//!
//! ```text
//!              a node with children: push a frame, go down
//!            ,----------------------------------------------,
//!            v                                              |
//!   [eval node, env] ---- a leaf, or a builtin's result --> [return value] -- no frame left --> the program's value
//!            ^                                              |
//!            '----- pop a frame: the next child, a body ----'
//! ```
//!
//! Every node that is evaluated, every branch that is tried and every node that is compared or printed costs a step,
//! and no step takes more than constant time and memory (a name that is bound far out: logarithmic).
//! So the limit on steps bounds all else. A call in the last place of a function leaves no frame behind.

use super::heap::Heap;
use super::value::{Env, Pool, Value};
use crate::builtins::Builtin;
use crate::names::Names;
use crate::tape::NONE;
use crate::tree::{Binding, Expr, NodeId, Pattern, Tree};

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The steps are used up.
    StepLimit,
    /// What went wrong, and in which node.
    Runtime { node: NodeId, message: String },
}

/// A program that is ready to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) names: &'a Names,
    pub(crate) pool: &'a Pool,
    /// For each node that is a `lit`, its value.
    pub(crate) literals: &'a [Value],
    /// For each branch with a `lit_pattern`, its value.
    pub(crate) patterns: &'a [Value],
}

/// What is to be done with the value of a node that is being evaluated.
#[derive(Debug, Clone, Copy)]
enum Frame {
    /// It is an element of the vector `node`; the next is `next`.
    Elements { node: NodeId, next: u32, env: Env },
    /// It is the function of the application `node`.
    Function { node: NodeId, env: Env },
    /// It is an argument of the application `node`; the next is `next`.
    Arguments { node: NodeId, next: u32, env: Env },
    /// It is the subject of the match `node`.
    Match { node: NodeId, env: Env },
    /// It is what `node` is the fix of.
    Fix { node: NodeId },
}

#[derive(Debug, Clone, Copy)]
enum Control {
    Eval(NodeId, Env),
    Return(Value),
}

/// The machine. It may run its program any number of times.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    pub(super) program: Program<'a>,
    pub(super) heap: Heap,
    frames: Vec<Frame>,
    /// Values of functions, arguments and elements whose node is not done yet.
    operands: Vec<Value>,
    /// Steps that are left.
    pub(super) steps: u64,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(program: Program<'a>) -> Machine<'a> {
        let heap = Heap::new(program.pool.elements.len() as u32);
        Machine { program, heap, frames: Vec::new(), operands: Vec::new(), steps: 0 }
    }

    /// The program's value if `args` is empty, else what it gives for them, in at most `max_steps` steps.
    ///
    /// # Errors
    /// Why there is no value, or that it holds a function.
    pub(crate) fn run(&mut self, args: &[Value], max_steps: u64) -> Result<Value, Stop> {
        self.heap.clear();
        self.frames.clear();
        self.operands.clear();
        self.steps = max_steps;
        let mut value = self.evaluate(Control::Eval(0, NONE))?;
        if !args.is_empty() {
            self.operands.push(value);
            self.operands.extend_from_slice(args);
            let control = self.apply(0, args.len())?;
            value = self.evaluate(control)?;
        }
        if value.holds_function() {
            return Err(error(0, "the result is or holds a function".to_owned()));
        }
        Ok(value)
    }

    #[inline]
    pub(super) fn step(&mut self) -> Result<(), Stop> {
        match self.steps.checked_sub(1) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(Stop::StepLimit),
        }
    }

    fn evaluate(&mut self, mut control: Control) -> Result<Value, Stop> {
        loop {
            if self.heap.is_due() {
                self.collect(&mut control);
            }
            control = match control {
                Control::Eval(node, env) => self.eval(node, env)?,
                Control::Return(value) => match self.frames.pop() {
                    Some(frame) => self.resume(frame, value)?,
                    None => return Ok(value),
                },
            };
        }
    }

    fn eval(&mut self, node: NodeId, env: Env) -> Result<Control, Stop> {
        self.step()?;
        Ok(match self.program.tree.expr(node) {
            Expr::Lit(_) => match self.program.literals[node as usize] {
                Value::TooLarge => return Err(too_large(node)),
                value => Control::Return(value),
            },
            Expr::Ref { binding: Binding::Parameter(place), .. } => match self.heap.lookup(env, place) {
                Some(Value::Recursion { lam, env }) => self.unfold(lam, env),
                Some(value) => Control::Return(value),
                None => return Err(error(node, "the name is bound to nothing".to_owned())),
            },
            Expr::Ref { name, .. } => match Builtin::named(name) {
                Some(builtin) => Control::Return(Value::Builtin(builtin)),
                None => {
                    let name = crate::findings::spelled(self.program.names.text(name));
                    return Err(error(node, format!("`{name}` is bound to nothing")));
                }
            },
            Expr::Vec { first, count } => match self.program.tree.elements(first, count).first() {
                None => Control::Return(Value::Vector { start: 0, len: 0, functions: false }),
                Some(&element) => {
                    self.frames.push(Frame::Elements { node, next: 1, env });
                    Control::Eval(element, env)
                }
            },
            Expr::Lam(lam) => Control::Return(Value::Closure { lam, env }),
            Expr::App { function, .. } => {
                self.frames.push(Frame::Function { node, env });
                Control::Eval(function, env)
            }
            Expr::Match { subject, .. } => {
                self.frames.push(Frame::Match { node, env });
                Control::Eval(subject, env)
            }
            Expr::Fix(inner) => {
                self.frames.push(Frame::Fix { node });
                Control::Eval(inner, env)
            }
            Expr::Broken => return Err(error(node, "there is no node to evaluate".to_owned())),
        })
    }

    fn resume(&mut self, frame: Frame, value: Value) -> Result<Control, Stop> {
        let tree = self.program.tree;
        match frame {
            Frame::Elements { node, next, env } => {
                self.operands.push(value);
                let Expr::Vec { first, count } = tree.expr(node) else { return Err(malformed(node)) };
                if let Some(&element) = tree.elements(first, count).get(next as usize) {
                    self.frames.push(Frame::Elements { node, next: next + 1, env });
                    return Ok(Control::Eval(element, env));
                }
                let start = self.operands.len() - count as usize;
                let vector = self.heap.vector(&self.operands[start..]);
                self.operands.truncate(start);
                Ok(Control::Return(vector))
            }
            Frame::Function { node, env } => {
                self.operands.push(value);
                self.argument(node, 0, env)
            }
            Frame::Arguments { node, next, env } => {
                self.operands.push(value);
                self.argument(node, next, env)
            }
            Frame::Match { node, env } => self.choose(node, value, env),
            Frame::Fix { node } => match value {
                Value::Closure { lam, env } => {
                    let takes = tree.lams[lam as usize].count;
                    if takes != 1 {
                        return Err(error(node, format!("`fix` takes a function of 1 parameter, not of {takes}")));
                    }
                    Ok(self.unfold(lam, env))
                }
                // It asks for its own value before there is one: it would do so for ever.
                Value::Builtin(builtin) if builtin.arity() == 1 => Err(Stop::StepLimit),
                Value::Builtin(builtin) => {
                    Err(error(node, format!("`fix` takes a function of 1 parameter, `{}` has 2", builtin.name())))
                }
                other => Err(error(node, format!("`fix` takes a function, not {}", other.describe()))),
            },
        }
    }

    /// Evaluates argument `index` of an application, or calls its function if there are no more.
    #[inline]
    fn argument(&mut self, node: NodeId, index: u32, env: Env) -> Result<Control, Stop> {
        let tree = self.program.tree;
        let Expr::App { args, .. } = tree.expr(node) else { return Err(malformed(node)) };
        let next = match tree.expr(args) {
            Expr::Vec { first, count } => tree.elements(first, count).get(index as usize).copied(),
            _ => (index == 0).then_some(args),
        };
        match next {
            Some(argument) => {
                self.frames.push(Frame::Arguments { node, next: index + 1, env });
                Ok(Control::Eval(argument, env))
            }
            None => self.apply(node, index as usize),
        }
    }

    /// Calls the function that lies on the operands below `count` arguments.
    fn apply(&mut self, node: NodeId, count: usize) -> Result<Control, Stop> {
        let start = self.operands.len() - count;
        let control = match self.operands[start - 1] {
            Value::Closure { lam, mut env } => {
                let lam = self.program.tree.lams[lam as usize];
                if lam.count as usize != count {
                    return Err(error(node, format!("the function takes {} arguments, not {count}", lam.count)));
                }
                for argument in &self.operands[start..] {
                    env = self.heap.bind(env, *argument);
                }
                Control::Eval(lam.body, env)
            }
            Value::Builtin(builtin) => {
                if builtin.arity() as usize != count {
                    let (name, takes) = (builtin.name(), builtin.arity());
                    return Err(error(node, format!("`{name}` takes {takes} arguments, not {count}")));
                }
                let left = self.operands[start];
                let right = self.operands.get(start + 1).copied().unwrap_or(Value::Null);
                Control::Return(self.compute(node, builtin, left, right)?)
            }
            other => {
                let shown = self.show(other)?;
                return Err(error(node, format!("{shown} is no function and takes no arguments")));
            }
        };
        self.operands.truncate(start - 1);
        Ok(control)
    }

    /// `fix f` is f applied to `fix f`, where f is this closure. Naming the recursion unfolds it once more, so the
    /// argument is never evaluated by itself.
    fn unfold(&mut self, lam: u32, env: Env) -> Control {
        let env = self.heap.bind(env, Value::Recursion { lam, env });
        Control::Eval(self.program.tree.lams[lam as usize].body, env)
    }

    /// Goes on with the first branch that fits.
    fn choose(&mut self, node: NodeId, subject: Value, env: Env) -> Result<Control, Stop> {
        let tree = self.program.tree;
        let Expr::Match { cases, .. } = tree.expr(node) else { return Err(malformed(node)) };
        let first = tree.cases[cases as usize].first as usize;
        for (index, branch) in (first..).zip(tree.branches(cases)) {
            let fits = match branch.pattern {
                Pattern::Else => {
                    self.step()?;
                    true
                }
                Pattern::Lit(_) => match self.program.patterns[index] {
                    Value::TooLarge => return Err(too_large(node)),
                    pattern => self.equal(subject, pattern)?,
                },
                Pattern::Broken => return Err(malformed(node)),
            };
            if fits {
                return Ok(Control::Eval(branch.result, env));
            }
        }
        let shown = self.show(subject)?;
        Err(error(node, format!("no branch fits {shown}")))
    }

    fn collect(&mut self, control: &mut Control) {
        let Machine { heap, frames, operands, .. } = self;
        heap.collect(|collection| {
            match control {
                Control::Eval(_, env) => collection.env(env),
                Control::Return(value) => collection.value(value),
            }
            for frame in frames {
                match frame {
                    Frame::Elements { env, .. }
                    | Frame::Function { env, .. }
                    | Frame::Arguments { env, .. }
                    | Frame::Match { env, .. } => collection.env(env),
                    Frame::Fix { .. } => {}
                }
            }
            operands.iter_mut().for_each(|operand| collection.value(operand));
        });
    }
}

#[cold]
pub(super) fn error(node: NodeId, message: String) -> Stop {
    Stop::Runtime { node, message }
}

fn too_large(node: NodeId) -> Stop {
    error(node, "a number here is beyond 64-bit floats".to_owned())
}

fn malformed(node: NodeId) -> Stop {
    error(node, "the node is malformed".to_owned())
}

//! The check `semantic`: does everything in the tree mean something?
//!
//! One walk in the order of the text, with the scope as a table: for each name, the innermost parameter of that
//! name. Entering a `lam` writes its parameters there and keeps what they hide, leaving it puts that back, so that
//! neither deep scopes nor long parameter lists cost more than they are long. The walk also fills in what each `ref`
//! means, which the interpreter needs.

use super::canonical::Canonical;
use crate::builtins::Builtin;
use crate::codes::{self, Code};
use crate::findings::{At, Findings, spelled};
use crate::names::{Name, Names};
use crate::tape::{NONE, Tape};
use crate::tree::{Binding, Expr, NodeId, Part, Pattern, Tree};

#[derive(Debug, Clone, Copy)]
enum Step {
    Enter(NodeId),
    /// The branches of this match from this one on.
    Branches(NodeId, u32),
    /// The elements of this vector from this one on.
    Elements(NodeId, u32),
    /// The end of this `lam`'s scope.
    Leave(u32),
}

/// Memory that is kept from item to item.
#[derive(Debug, Default)]
pub(crate) struct Room {
    steps: Vec<Step>,
    /// For each name: the level of the innermost parameter of that name, [`NONE`] if there is none.
    scope: Vec<u32>,
    /// Names with what they meant outside of the parameters that hide them.
    hidden: Vec<(Name, u32)>,
    canonical: Canonical,
}

impl Room {
    fn clear(&mut self, names: usize) {
        self.steps.clear();
        self.steps.shrink_to(1 << 12);
        self.scope.clear();
        self.scope.shrink_to(1 << 12);
        self.scope.resize(names, NONE);
        self.hidden.clear();
        self.hidden.shrink_to(1 << 12);
        self.canonical.clear();
    }
}

/// What the walk reads and writes.
pub(crate) struct Semantic<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) tape: &'a Tape,
    pub(crate) names: &'a mut Names,
    pub(crate) tree: &'a mut Tree,
    pub(crate) room: &'a mut Room,
    /// Where to tell what is wrong; `None` if only the meaning of the refs is wanted.
    pub(crate) findings: Option<&'a mut Findings>,
}

impl Semantic<'_> {
    /// Walks the tree.
    pub(crate) fn check(self) {
        self.room.clear(self.names.len());
        Walk { semantic: self, level: 0, opaque: 0 }.run();
    }
}

struct Walk<'a> {
    semantic: Semantic<'a>,
    /// Parameters in scope, hidden ones included.
    level: u32,
    /// Lams in scope whose parameters are not all known: a name that nothing else binds may be theirs.
    opaque: u32,
}

impl Walk<'_> {
    fn run(&mut self) {
        self.push(Step::Enter(0));
        while let Some(step) = self.semantic.room.steps.pop() {
            match step {
                Step::Enter(id) => self.enter(id),
                Step::Leave(lam) => self.leave(lam),
                Step::Elements(id, index) => {
                    if let Expr::Vec { first, count } = self.semantic.tree.expr(id)
                        && let Some(&element) = self.semantic.tree.elements(first, count).get(index as usize)
                    {
                        self.push(Step::Elements(id, index + 1));
                        self.push(Step::Enter(element));
                    }
                }
                Step::Branches(id, index) => {
                    if let Expr::Match { cases, .. } = self.semantic.tree.expr(id)
                        && let Some(branch) = self.semantic.tree.branches(cases).get(index as usize)
                    {
                        let result = branch.result;
                        self.push(Step::Branches(id, index + 1));
                        self.push(Step::Enter(result));
                    }
                }
            }
        }
    }

    #[inline]
    fn push(&mut self, step: Step) {
        self.semantic.room.steps.push(step);
    }

    #[inline]
    fn enter(&mut self, id: NodeId) {
        match self.semantic.tree.expr(id) {
            Expr::Broken | Expr::Lit(_) => {}
            Expr::Ref { name, .. } => self.reference(id, name),
            Expr::Vec { .. } => self.push(Step::Elements(id, 0)),
            Expr::Lam(lam) => self.lambda(id, lam),
            Expr::App { function, args } => {
                self.application(id, function, args);
                self.push(Step::Enter(args));
                self.push(Step::Enter(function));
            }
            Expr::Match { subject, cases } => {
                self.branches(id, cases);
                self.push(Step::Branches(id, 0));
                self.push(Step::Enter(subject));
            }
            Expr::Fix(inner) => self.push(Step::Enter(inner)),
        }
    }

    fn reference(&mut self, id: NodeId, name: Name) {
        let binding = match self.semantic.room.scope[name as usize] {
            NONE if Builtin::named(name).is_some() => Binding::Builtin,
            NONE => Binding::Unbound,
            level => Binding::Parameter(level),
        };
        self.semantic.tree.nodes[id as usize].expr = Expr::Ref { name, binding };
        if binding == Binding::Unbound && self.opaque == 0 {
            let Semantic { tape, names, tree, findings: Some(findings), .. } = &mut self.semantic else { return };
            let at = At { node: Some((id, Part::Whole)), offset: tape.offset(tree.nodes[id as usize].entry) };
            findings.add(codes::UNBOUND_REF, at, || {
                format!("`{}` is bound by no parameter around it and is no builtin", spelled(names.text(name)))
            });
        }
    }

    fn lambda(&mut self, id: NodeId, lam: u32) {
        let record = self.semantic.tree.lams[lam as usize];
        let outside = self.level;
        self.semantic.room.hidden.reserve(record.count as usize);
        for index in 0..record.count {
            let param = self.semantic.tree.params[(record.first + index) as usize];
            if param.name != NONE {
                let hides = std::mem::replace(&mut self.semantic.room.scope[param.name as usize], self.level);
                self.semantic.room.hidden.push((param.name, hides));
                if hides != NONE && hides >= outside {
                    let (tape, body) = (self.semantic.tape, self.semantic.body);
                    self.say_with(codes::DUPLICATE_PARAMETER, (id, Part::Param(index)), param.entry, || {
                        let name = spelled(tape.raw(body, param.entry));
                        format!("the parameter `{name}` stands twice in one `lam`; the last one holds")
                    });
                }
            }
            self.level += 1;
        }
        self.opaque += u32::from(record.opaque);
        self.push(Step::Leave(lam));
        self.push(Step::Enter(record.body));
    }

    fn leave(&mut self, lam: u32) {
        let record = self.semantic.tree.lams[lam as usize];
        let named = self.semantic.tree.params(record).iter().filter(|param| param.name != NONE).count();
        for _ in 0..named {
            if let Some((name, meant)) = self.semantic.room.hidden.pop() {
                self.semantic.room.scope[name as usize] = meant;
            }
        }
        self.level -= record.count;
        self.opaque -= u32::from(record.opaque);
    }

    fn application(&mut self, id: NodeId, function: NodeId, args: NodeId) {
        let Some(given) = self.semantic.tree.argument_count(args) else { return };
        match self.semantic.tree.expr(function) {
            Expr::Ref { name, .. } if self.semantic.room.scope[name as usize] == NONE => {
                if let Some(builtin) = Builtin::named(name)
                    && builtin.arity() != given
                {
                    let entry = self.semantic.tree.nodes[id as usize].entry;
                    self.say_with(codes::BUILTIN_ARITY, (id, Part::Whole), entry, || {
                        format!("`{}` takes {}, not {given}", builtin.name(), arguments(builtin.arity()))
                    });
                }
            }
            Expr::Lam(lam) => {
                let Some(lam) = self.semantic.tree.lams.get(lam as usize).filter(|lam| !lam.opaque) else { return };
                let takes = lam.count;
                if takes != given {
                    let entry = self.semantic.tree.nodes[id as usize].entry;
                    self.say_with(codes::LAMBDA_ARITY, (id, Part::Whole), entry, || {
                        format!("the `lam` takes {}, not {given}", arguments(takes))
                    });
                }
            }
            _ => {}
        }
    }

    /// Tells which branches come too late.
    fn branches(&mut self, id: NodeId, cases: u32) {
        if self.semantic.findings.is_none() {
            return;
        }
        let count = self.semantic.tree.branches(cases).len();
        let literals =
            |tree: &Tree| tree.branches(cases).iter().filter(|b| matches!(b.pattern, Pattern::Lit(_))).take(2).count();
        let compare = literals(self.semantic.tree) > 1;
        let mut caught = false;
        for index in 0..count {
            let branch = self.semantic.tree.branches(cases)[index];
            let why = match branch.pattern {
                Pattern::Broken => continue,
                _ if caught => "an `else_pattern` before this branch fits anything",
                Pattern::Else => {
                    caught = true;
                    continue;
                }
                Pattern::Lit(value) => {
                    let Semantic { tape, body, names, room, .. } = &mut self.semantic;
                    if !compare || room.canonical.first_in(id, tape, body, value, names) {
                        continue;
                    }
                    "an earlier branch has an equal pattern"
                }
            };
            let here = (id, Part::Branch(index as u32));
            self.say_with(codes::UNREACHABLE_BRANCH, here, branch.entry, || {
                format!("this branch can never be reached: {why}")
            });
        }
    }

    #[cold]
    fn say_with(&mut self, code: Code, here: (NodeId, Part), entry: u32, message: impl FnOnce() -> String) {
        if let Some(findings) = &mut self.semantic.findings {
            findings.add(code, At { node: Some(here), offset: self.semantic.tape.offset(entry) }, message);
        }
    }
}

fn arguments(count: u32) -> String {
    if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") }
}

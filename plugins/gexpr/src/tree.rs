//! The program as a tree of nodes, flat in memory: nodes name one another by index, in the order of the text.
//!
//! A node knows its parent and its place there, so that a JSON Pointer can be told for the few nodes that a finding
//! is about, and costs nothing for the others.

use crate::names::Name;

/// The longest JSON Pointer that a finding may carry, in bytes.
const MAX_POINTER: usize = 1024;

/// Index of a node.
pub(crate) type NodeId = u32;

/// What a node is. A child that is missing, or too malformed to be a node, is [`NONE`](crate::tape::NONE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expr {
    /// What [`Tree::expr`] says of [`NONE`](crate::tape::NONE): no node of the tree.
    Broken,
    /// The literal whose value begins at this entry of the tape.
    Lit(u32),
    Ref {
        name: Name,
        /// What the name means: filled in by [`resolve`](crate::check::semantic).
        binding: Binding,
    },
    /// Children `first..first + count` of [`Tree::children`].
    Vec {
        first: u32,
        count: u32,
    },
    /// Index into [`Tree::lams`].
    Lam(u32),
    App {
        function: NodeId,
        args: NodeId,
    },
    /// `cases` is an index into [`Tree::cases`].
    Match {
        subject: NodeId,
        cases: u32,
    },
    Fix(NodeId),
}

/// What a `ref` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Nothing that is known.
    Unbound,
    /// The parameter that has this many others around it.
    Parameter(u32),
    /// The builtin whose name has this id.
    Builtin,
}

/// A node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) expr: Expr,
    /// Where its value begins on the tape.
    pub(crate) entry: u32,
    pub(crate) parent: NodeId,
    /// Which child of its parent it is: the index in a vector; 0 for a function and 1 for its arguments; 0 for the
    /// subject of a match, and from 1 on its branches' results.
    pub(crate) place: u32,
}

/// What a `lam` has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lam {
    /// Its parameters are `first..first + count` of [`Tree::params`].
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) body: NodeId,
    /// Its parameters are not all known: any name in it may be one.
    pub(crate) opaque: bool,
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Param {
    /// [`NONE`](crate::tape::NONE) where it is no string.
    pub(crate) name: Name,
    pub(crate) entry: u32,
}

/// The branches of a `match`: `first..first + count` of [`Tree::branches`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cases {
    pub(crate) first: u32,
    pub(crate) count: u32,
}

/// One branch of a `match`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Branch {
    pub(crate) entry: u32,
    pub(crate) pattern: Pattern,
    pub(crate) result: NodeId,
}

/// What a branch fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    Broken,
    /// Whatever equals the value that begins at this entry of the tape.
    Lit(u32),
    /// Anything.
    Else,
}

/// A part of a node, for pointers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The node itself.
    Whole,
    /// What stands where the child with this place must, though it may be no node.
    Child(u32),
    Value,
    Param(u32),
    Params,
    Branches,
    Branch(u32),
    Pattern(u32),
}

/// The tree. The root is node 0.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) children: Vec<NodeId>,
    pub(crate) lams: Vec<Lam>,
    pub(crate) params: Vec<Param>,
    pub(crate) cases: Vec<Cases>,
    pub(crate) branches: Vec<Branch>,
}

impl Tree {
    /// Forgets all nodes, and gives memory back that an ordinary program does not need.
    pub(crate) fn clear(&mut self) {
        fn clear<T>(list: &mut Vec<T>) {
            list.clear();
            list.shrink_to(1 << 12);
        }
        clear(&mut self.nodes);
        clear(&mut self.children);
        clear(&mut self.lams);
        clear(&mut self.params);
        clear(&mut self.cases);
        clear(&mut self.branches);
    }

    /// What the node `id` is; [`Expr::Broken`] if there is none.
    #[inline]
    pub(crate) fn expr(&self, id: NodeId) -> Expr {
        self.nodes.get(id as usize).map_or(Expr::Broken, |node| node.expr)
    }

    /// The parameters of a `lam`.
    #[inline]
    pub(crate) fn params(&self, lam: Lam) -> &[Param] {
        slice(&self.params, lam.first, lam.count)
    }

    /// The branches of a `match`.
    #[inline]
    pub(crate) fn branches(&self, cases: u32) -> &[Branch] {
        let Cases { first, count } = self.cases[cases as usize];
        slice(&self.branches, first, count)
    }

    /// The elements of a `vec`.
    #[inline]
    pub(crate) fn elements(&self, first: u32, count: u32) -> &[NodeId] {
        slice(&self.children, first, count)
    }

    /// How many arguments an `app` with these `args` gives; `None` where that is not known.
    #[inline]
    pub(crate) fn argument_count(&self, args: NodeId) -> Option<u32> {
        match self.expr(args) {
            Expr::Broken => None,
            Expr::Vec { count, .. } => Some(count),
            _ => Some(1),
        }
    }

    /// Makes `child` what stands at `place` of `parent`.
    #[inline]
    pub(crate) fn attach(&mut self, parent: NodeId, place: u32, child: NodeId) {
        let Some(node) = self.nodes.get_mut(parent as usize) else { return };
        match &mut node.expr {
            Expr::Vec { first, .. } => self.children[(*first + place) as usize] = child,
            Expr::Lam(lam) => self.lams[*lam as usize].body = child,
            Expr::App { function, .. } if place == 0 => *function = child,
            Expr::App { args, .. } => *args = child,
            Expr::Match { subject, .. } if place == 0 => *subject = child,
            Expr::Match { cases, .. } => {
                let first = self.cases[*cases as usize].first;
                self.branches[(first + place - 1) as usize].result = child;
            }
            Expr::Fix(inner) => *inner = child,
            Expr::Broken | Expr::Lit(_) | Expr::Ref { .. } => {}
        }
    }

    /// The JSON Pointer of a part of a node ([`NONE`](crate::tape::NONE): of what stands in for the root); `None` where it would be
    /// longer than a finding may carry. Looks at no more ancestors than such a pointer can name, however deep the
    /// node lies.
    pub(crate) fn pointer(&self, id: NodeId, part: Part) -> Option<String> {
        let last = match part {
            Part::Whole => String::new(),
            Part::Child(place) => self.token(id, place),
            Part::Value => "/v".to_owned(),
            Part::Params => "/v/params".to_owned(),
            Part::Param(index) => format!("/v/params/{index}"),
            Part::Branches => "/v/branches".to_owned(),
            Part::Branch(index) => format!("/v/branches/{index}"),
            Part::Pattern(index) => format!("/v/branches/{index}/pattern"),
        };
        let mut length = last.len();
        let mut tokens = vec![last];
        let mut at = id;
        while let Some(node) = self.nodes.get(at as usize) {
            let token = self.token(node.parent, node.place);
            length += token.len();
            if length > MAX_POINTER {
                return None;
            }
            tokens.push(token);
            at = node.parent;
        }
        tokens.reverse();
        Some(tokens.concat())
    }

    /// The way from a node to the child at `place`.
    fn token(&self, parent: NodeId, place: u32) -> String {
        match self.expr(parent) {
            Expr::Vec { .. } => format!("/v/{place}"),
            Expr::Lam(_) => "/v/body".to_owned(),
            Expr::App { .. } if place == 0 => "/v/fn".to_owned(),
            Expr::App { .. } => "/v/args".to_owned(),
            Expr::Match { .. } if place == 0 => "/v/expr".to_owned(),
            Expr::Match { .. } => format!("/v/branches/{}/result", place - 1),
            Expr::Fix(_) => "/v".to_owned(),
            Expr::Broken | Expr::Lit(_) | Expr::Ref { .. } => String::new(),
        }
    }
}

#[inline]
fn slice<T>(list: &[T], first: u32, count: u32) -> &[T] {
    list.get(first as usize..(first + count) as usize).unwrap_or_default()
}

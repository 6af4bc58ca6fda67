//! The check `syntax`: is everything in the tree of the shape that its tag asks for?
//!
//! One walk over the tape, which also builds the [`Tree`] that the other checks work on. What is malformed is told
//! and left out of the tree; its well-formed neighbours and children are walked all the same. The walk keeps a
//! cursor for each level that it is in, so that depth costs memory and nothing else.

use crate::codes::{self, Code};
use crate::findings::{At, Findings, Severity, spelled};
use crate::names::Names;
use crate::tape::{Kind, NONE, Tape};
use crate::tree::{Binding, Branch, Cases, Expr, Lam, Node, NodeId, Param, Part, Pattern, Tree};

/// What is still to be walked on one level: the values from `next` to `end` on the tape are what `parent` has from
/// `place` on.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    next: u32,
    end: u32,
    parent: NodeId,
    place: u32,
}

/// Memory that is kept from item to item.
#[derive(Debug, Default)]
pub(crate) struct Room {
    cursors: Vec<Cursor>,
    /// For each name: the object in which it was last seen as a key that means nothing.
    seen: Vec<u32>,
    unescaped: Vec<u8>,
}

impl Room {
    fn clear(&mut self) {
        self.cursors.clear();
        self.cursors.shrink_to(1 << 12);
        self.seen.clear();
        self.seen.shrink_to(1 << 12);
        self.unescaped.clear();
        self.unescaped.shrink_to(1 << 12);
    }
}

/// What the walk reads and writes.
pub(crate) struct Syntax<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) tape: &'a Tape,
    pub(crate) names: &'a mut Names,
    pub(crate) tree: &'a mut Tree,
    pub(crate) room: &'a mut Room,
    /// Where to tell what is wrong; `None` if nobody asked.
    pub(crate) findings: Option<&'a mut Findings>,
}

impl Syntax<'_> {
    /// Builds the tree, tells what is malformed, and returns how many errors there are.
    pub(crate) fn check(self) -> u64 {
        self.tree.clear();
        self.room.clear();
        let mut walk = Walk { syntax: self, errors: 0 };
        walk.run();
        walk.errors
    }
}

struct Walk<'a> {
    syntax: Syntax<'a>,
    errors: u64,
}

/// The values of the keys that were looked for ([`NONE`] if absent), and whether one of them was repeated.
struct Fields<const N: usize> {
    values: [u32; N],
    repeated: bool,
}

impl Walk<'_> {
    fn run(&mut self) {
        self.descend(0, NONE, 0);
        while let Some(cursor) = self.syntax.room.cursors.last_mut() {
            let Cursor { next, end, parent, place } = *cursor;
            if next >= end {
                self.syntax.room.cursors.pop();
                continue;
            }
            cursor.next = self.syntax.tape.next(next);
            cursor.place += 1;
            match self.syntax.tree.expr(parent) {
                Expr::Match { cases, .. } if place > 0 => self.branch(next, parent, cases, place),
                _ => self.node(next, parent, place),
            }
        }
    }

    /// One value is to be walked, next of all.
    #[inline]
    fn descend(&mut self, entry: u32, parent: NodeId, place: u32) {
        if entry != NONE {
            self.syntax.room.cursors.push(Cursor { next: entry, end: entry + 1, parent, place });
        }
    }

    /// The value at `entry` stands where a node must.
    fn node(&mut self, entry: u32, parent: NodeId, place: u32) {
        let here = (parent, Part::Child(place));
        let tape = self.syntax.tape;
        if tape.kind(entry) != Kind::Object {
            let found = describe(tape.kind(entry));
            return self.say_with(codes::NODE_NOT_AN_OBJECT, here, entry, || format!("expected a node, found {found}"));
        }
        let Fields { values: [g, v], .. } = self.fields(entry, [b"g", b"v"], here);
        if g == NONE {
            return self.say(codes::MISSING_G, here, entry);
        }
        if tape.kind(g) != Kind::String {
            return self.say(codes::G_NOT_A_STRING, here, entry);
        }
        let body = self.syntax.body;
        let tag = self.unescaped(g);
        let expected = match tag {
            b"lit" if v == NONE => return self.say(codes::LIT_WITHOUT_V, here, entry),
            b"lit" => {
                self.add(Expr::Lit(v), entry, parent, place);
                return;
            }
            b"ref" => (Kind::String, codes::REF_NOT_A_STRING, Self::reference as fn(&mut Self, u32, [u32; 3])),
            b"vec" => (Kind::Array, codes::VEC_NOT_AN_ARRAY, Self::vector as _),
            b"lam" => (Kind::Object, codes::LAM_NOT_AN_OBJECT, Self::lambda as _),
            b"app" => (Kind::Object, codes::APP_NOT_AN_OBJECT, Self::application as _),
            b"match" => (Kind::Object, codes::MATCH_NOT_AN_OBJECT, Self::choice as _),
            b"fix" if v != NONE => {
                let id = self.add(Expr::Fix(NONE), entry, parent, place);
                return self.descend(v, id, 0);
            }
            b"fix" => return self.say(codes::MISSING_V, here, entry),
            _ => {
                let name = || format!("`{}` is no kind of node", spelled(tape.raw(body, g)));
                return self.say_with(codes::UNKNOWN_TAG, here, entry, name);
            }
        };
        let (kind, code, build) = expected;
        if v == NONE {
            return self.say(codes::MISSING_V, here, entry);
        }
        if tape.kind(v) != kind {
            return self.say(code, here, entry);
        }
        build(self, v, [entry, parent, place]);
    }

    fn reference(&mut self, v: u32, [entry, parent, place]: [u32; 3]) {
        let name = self.intern(v);
        self.add(Expr::Ref { name, binding: Binding::Unbound }, entry, parent, place);
    }

    fn vector(&mut self, v: u32, [entry, parent, place]: [u32; 3]) {
        let tape = self.syntax.tape;
        let children = &mut self.syntax.tree.children;
        let first = children.len() as u32;
        children.resize(children.len() + tape.elements(v).count(), NONE);
        let count = children.len() as u32 - first;
        let id = self.add(Expr::Vec { first, count }, entry, parent, place);
        self.syntax.room.cursors.push(Cursor { next: v + 1, end: tape.next(v), parent: id, place: 0 });
    }

    fn lambda(&mut self, v: u32, [entry, parent, place]: [u32; 3]) {
        let tape = self.syntax.tape;
        let first = self.syntax.tree.params.len() as u32;
        let lam = self.syntax.tree.lams.len() as u32;
        let id = self.add(Expr::Lam(lam), entry, parent, place);
        let fields = self.fields(v, [b"params", b"body"], (id, Part::Value));
        let [params, body] = fields.values;
        let mut opaque = fields.repeated;
        if params == NONE {
            opaque = true;
            self.say(codes::LAM_WITHOUT_PARAMS, (id, Part::Whole), entry);
        } else if tape.kind(params) != Kind::Array {
            opaque = true;
            self.say(codes::PARAMS_NOT_AN_ARRAY, (id, Part::Params), params);
        } else {
            // At once: a long list that grows by doubling would ask for three times its memory.
            self.syntax.tree.params.reserve(tape.elements(params).count());
            for (index, param) in tape.elements(params).enumerate() {
                let name = if tape.kind(param) == Kind::String {
                    self.intern(param)
                } else {
                    self.say(codes::PARAM_NOT_A_STRING, (id, Part::Param(index as u32)), param);
                    NONE
                };
                self.syntax.tree.params.push(Param { name, entry: param });
            }
        }
        if body == NONE {
            self.say(codes::LAM_WITHOUT_BODY, (id, Part::Whole), entry);
        }
        let count = self.syntax.tree.params.len() as u32 - first;
        self.syntax.tree.lams.push(Lam { first, count, body: NONE, opaque });
        self.descend(body, id, 0);
    }

    fn application(&mut self, v: u32, [entry, parent, place]: [u32; 3]) {
        let id = self.add(Expr::App { function: NONE, args: NONE }, entry, parent, place);
        let Fields { values: [function, args], .. } = self.fields(v, [b"fn", b"args"], (id, Part::Value));
        if function == NONE {
            self.say(codes::APP_WITHOUT_FN, (id, Part::Whole), entry);
        }
        if args == NONE {
            self.say(codes::APP_WITHOUT_ARGS, (id, Part::Whole), entry);
        }
        self.descend(args, id, 1);
        self.descend(function, id, 0);
    }

    fn choice(&mut self, v: u32, [entry, parent, place]: [u32; 3]) {
        let tape = self.syntax.tape;
        let cases = self.syntax.tree.cases.len() as u32;
        let id = self.add(Expr::Match { subject: NONE, cases }, entry, parent, place);
        let Fields { values: [subject, branches], .. } = self.fields(v, [b"expr", b"branches"], (id, Part::Value));
        if subject == NONE {
            self.say(codes::MATCH_WITHOUT_EXPR, (id, Part::Whole), entry);
        }
        let first = self.syntax.tree.branches.len() as u32;
        let mut count = 0;
        if branches == NONE {
            self.say(codes::MATCH_WITHOUT_BRANCHES, (id, Part::Whole), entry);
        } else if tape.kind(branches) != Kind::Array {
            self.say(codes::BRANCHES_NOT_AN_ARRAY, (id, Part::Branches), branches);
        } else {
            // The branches of one match lie side by side; those of matches within them come behind.
            let blank = |entry| Branch { entry, pattern: Pattern::Broken, result: NONE };
            self.syntax.tree.branches.extend(tape.elements(branches).map(blank));
            count = self.syntax.tree.branches.len() as u32 - first;
            let end = tape.next(branches);
            self.syntax.room.cursors.push(Cursor { next: branches + 1, end, parent: id, place: 1 });
        }
        self.syntax.tree.cases.push(Cases { first, count });
        self.descend(subject, id, 0);
    }

    /// The value at `entry` stands where a branch must: `place` counts the branches from 1.
    fn branch(&mut self, entry: u32, id: NodeId, cases: u32, place: u32) {
        let index = place - 1;
        let here = (id, Part::Branch(index));
        if self.syntax.tape.kind(entry) != Kind::Object {
            return self.say(codes::BRANCH_NOT_AN_OBJECT, here, entry);
        }
        let Fields { values: [pattern, result], .. } = self.fields(entry, [b"pattern", b"result"], here);
        if pattern == NONE {
            self.say(codes::BRANCH_WITHOUT_PATTERN, here, entry);
        } else {
            let pattern = self.pattern(pattern, id, index);
            let first = self.syntax.tree.cases[cases as usize].first;
            self.syntax.tree.branches[(first + index) as usize].pattern = pattern;
        }
        if result == NONE {
            return self.say(codes::BRANCH_WITHOUT_RESULT, here, entry);
        }
        self.node(result, id, place);
    }

    fn pattern(&mut self, entry: u32, id: NodeId, index: u32) -> Pattern {
        let tape = self.syntax.tape;
        let here = (id, Part::Pattern(index));
        match tape.kind(entry) {
            Kind::String if self.unescaped(entry) == b"else_pattern" => return Pattern::Else,
            Kind::Object => {
                let mut keys = tape.keys(entry);
                if let (Some(key), second) = (keys.next(), keys.next())
                    && self.unescaped(key) == b"lit_pattern"
                {
                    match second {
                        None => return Pattern::Lit(key + 1),
                        Some(second) if self.unescaped(second) == b"lit_pattern" => {
                            self.repeated(second, here);
                            return Pattern::Broken;
                        }
                        Some(_) => {}
                    }
                }
            }
            _ => {}
        }
        self.say(codes::UNKNOWN_PATTERN, here, entry);
        Pattern::Broken
    }

    /// Looks through the keys of an object for the `known` ones, and tells of the others.
    #[inline]
    fn fields<const N: usize>(&mut self, object: u32, known: [&[u8]; N], here: (NodeId, Part)) -> Fields<N> {
        let tape = self.syntax.tape;
        let mut fields = Fields { values: [NONE; N], repeated: false };
        for key in tape.keys(object) {
            let text = self.unescaped(key);
            match known.iter().position(|known| *known == text) {
                Some(index) => {
                    if fields.values[index] != NONE {
                        fields.repeated = true;
                        self.repeated(key, here);
                    }
                    fields.values[index] = key + 1;
                }
                None => self.unknown(object, key, here),
            }
        }
        fields
    }

    #[cold]
    fn unknown(&mut self, object: u32, key: u32, here: (NodeId, Part)) {
        let name = self.intern(key);
        let seen = &mut self.syntax.room.seen;
        if seen.len() <= name as usize {
            seen.resize(name as usize + 1, NONE);
        }
        if std::mem::replace(&mut seen[name as usize], object) == object {
            return self.repeated(key, here);
        }
        let (tape, body) = (self.syntax.tape, self.syntax.body);
        self.say_with(codes::UNKNOWN_KEY, here, key, || {
            format!("the key `{}` means nothing here", spelled(tape.raw(body, key)))
        });
    }

    #[cold]
    fn repeated(&mut self, key: u32, here: (NodeId, Part)) {
        let (tape, body) = (self.syntax.tape, self.syntax.body);
        self.say_with(codes::REPEATED_KEY, here, key, || {
            format!("the key `{}` stands here twice", spelled(tape.raw(body, key)))
        });
    }

    /// What a key or string means.
    #[inline]
    fn unescaped(&mut self, entry: u32) -> &[u8] {
        let raw = self.syntax.tape.raw(self.syntax.body, entry);
        if !self.syntax.tape.escaped(entry) {
            return raw;
        }
        let room = &mut self.syntax.room.unescaped;
        room.clear();
        strict_json::unescape(raw, room);
        room
    }

    #[inline]
    fn intern(&mut self, entry: u32) -> u32 {
        let raw = self.syntax.tape.raw(self.syntax.body, entry);
        if !self.syntax.tape.escaped(entry) {
            return self.syntax.names.intern(raw);
        }
        let room = &mut self.syntax.room.unescaped;
        room.clear();
        strict_json::unescape(raw, room);
        self.syntax.names.intern(room)
    }

    #[inline]
    fn add(&mut self, expr: Expr, entry: u32, parent: NodeId, place: u32) -> NodeId {
        let id = self.syntax.tree.nodes.len() as u32;
        self.syntax.tree.nodes.push(Node { expr, entry, parent, place });
        self.syntax.tree.attach(parent, place, id);
        id
    }

    #[cold]
    fn say(&mut self, code: Code, here: (NodeId, Part), entry: u32) {
        self.say_with(code, here, entry, || code.description.to_owned());
    }

    #[cold]
    fn say_with(&mut self, code: Code, here: (NodeId, Part), entry: u32, message: impl FnOnce() -> String) {
        self.errors += u64::from(code.severity == Some(Severity::Error));
        if let Some(findings) = &mut self.syntax.findings {
            findings.add(code, At { node: Some(here), offset: self.syntax.tape.offset(entry) }, message);
        }
    }
}

fn describe(kind: Kind) -> &'static str {
    match kind {
        Kind::Object => "an object",
        Kind::Array => "an array",
        Kind::String | Kind::Key => "a string",
        Kind::Number => "a number",
        Kind::Word => "true, false or null",
    }
}

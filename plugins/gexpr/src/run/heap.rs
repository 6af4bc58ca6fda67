//! What running programs make: bindings and vectors, in two flat lists that are collected when they have grown.
//!
//! An environment is a chain of bindings, each with its place in the chain and a second link that jumps further
//! back (Myers, *An applicative random-access stack*, 1983): binding takes constant time and shares everything, and
//! a name that is n bindings away is found in log n hops. So closures copy nothing, and neither deep scopes nor many
//! closures cost more than the steps that made them.
//!
//! Collection copies what can still be reached into new lists (Cheney, 1970), without recursion. Values refer to
//! contents by index, so there is nothing to count and nothing to drop.

use super::value::{Env, Value};
use crate::tape::NONE;

/// The least that must have been made before a collection is worth it, in bytes.
const COLLECT_FROM: usize = 1 << 20;

/// The place of a binding that has moved; its parent is then where to.
const MOVED: u32 = u32::MAX;

/// A name's value, in the place that the name's scope gives it.
#[derive(Debug, Clone, Copy)]
struct Binding {
    value: Value,
    parent: Env,
    /// A binding further out; the outermost one jumps to itself.
    jump: Env,
    /// How many bindings are around it.
    place: u32,
}

/// The heap.
#[derive(Debug)]
pub(crate) struct Heap {
    bindings: Vec<Binding>,
    elements: Vec<Value>,
    /// Indices of elements below this one are the pool's.
    base: u32,
    /// Bytes at which the next collection is due.
    due: usize,
}

impl Heap {
    /// An empty heap beside a pool that has `base` elements.
    pub(crate) fn new(base: u32) -> Heap {
        Heap { bindings: Vec::new(), elements: Vec::new(), base, due: COLLECT_FROM }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.bindings.clear();
        self.elements.clear();
        self.due = COLLECT_FROM;
    }

    fn bytes(&self) -> usize {
        self.bindings.len() * size_of::<Binding>() + self.elements.len() * size_of::<Value>()
    }

    /// `env` with one more binding.
    #[inline]
    pub(crate) fn bind(&mut self, env: Env, value: Value) -> Env {
        let new = self.bindings.len() as u32;
        let binding = match self.bindings.get(env as usize) {
            None => Binding { value, parent: NONE, jump: new, place: 0 },
            Some(parent) => {
                let jump = &self.bindings[parent.jump as usize];
                let far = &self.bindings[jump.jump as usize];
                let equal = parent.place - jump.place == jump.place - far.place;
                let jump = if equal { jump.jump } else { env };
                Binding { value, parent: env, jump, place: parent.place + 1 }
            }
        };
        self.bindings.push(binding);
        new
    }

    /// The value in a place of an environment.
    #[inline]
    pub(crate) fn lookup(&self, env: Env, place: u32) -> Option<Value> {
        let mut binding = self.bindings.get(env as usize)?;
        while binding.place > place {
            let jump = self.bindings.get(binding.jump as usize)?;
            binding = if jump.place >= place { jump } else { self.bindings.get(binding.parent as usize)? };
        }
        (binding.place == place).then_some(binding.value)
    }

    /// A vector of these elements.
    pub(crate) fn vector(&mut self, elements: &[Value]) -> Value {
        let start = self.base + self.elements.len() as u32;
        self.elements.extend_from_slice(elements);
        let functions = elements.iter().any(|element| element.holds_function());
        Value::Vector { start, len: elements.len() as u32, functions }
    }

    /// The element at `index`, which is the pool's or the heap's.
    #[inline]
    pub(crate) fn element(&self, pool: &[Value], index: u32) -> Value {
        let found = match index.checked_sub(self.base) {
            None => pool.get(index as usize),
            Some(own) => self.elements.get(own as usize),
        };
        found.copied().unwrap_or(Value::Null)
    }

    /// Whether so much was made that a collection is worth its cost.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.bytes() > self.due
    }

    /// Keeps what `roots` reaches and forgets the rest. `roots` is handed a [`Collection`], to which it must show
    /// every value and environment that is still in use.
    pub(crate) fn collect(&mut self, roots: impl FnOnce(&mut Collection<'_>)) {
        let mut old = std::mem::replace(self, Heap::new(self.base));
        let mut collection = Collection { old: &mut old, new: self, bindings_done: 0, elements_done: 0 };
        roots(&mut collection);
        collection.finish();
        self.due = COLLECT_FROM.max(self.bytes() * 2);
    }
}

/// A collection under way.
pub(crate) struct Collection<'a> {
    old: &'a mut Heap,
    new: &'a mut Heap,
    /// What lies before these in the new heap refers to the new heap alone.
    bindings_done: usize,
    elements_done: usize,
}

impl Collection<'_> {
    /// Moves an environment, if it was not yet, and puts its new index in place.
    pub(crate) fn env(&mut self, env: &mut Env) {
        let Some(binding) = self.old.bindings.get_mut(*env as usize) else { return };
        if binding.place != MOVED {
            let new = self.new.bindings.len() as u32;
            self.new.bindings.push(*binding);
            binding.place = MOVED;
            binding.parent = new;
        }
        *env = binding.parent;
    }

    /// Moves what a value refers to, if it was not yet.
    pub(crate) fn value(&mut self, value: &mut Value) {
        match value {
            Value::Closure { env, .. } | Value::Recursion { env, .. } => self.env(env),
            Value::Vector { start, len, .. } if *len > 0 && *start >= self.old.base => {
                let from = (*start - self.old.base) as usize;
                if let Some(&Value::Moved(new)) = self.old.elements.get(from) {
                    *start = new;
                    return;
                }
                let new = self.new.base + self.new.elements.len() as u32;
                let elements = self.old.elements.get_mut(from..from + *len as usize).unwrap_or_default();
                self.new.elements.extend_from_slice(elements);
                if let Some(first) = elements.first_mut() {
                    *first = Value::Moved(new);
                }
                *start = new;
            }
            _ => {}
        }
    }

    fn finish(mut self) {
        loop {
            if let Some(&binding) = self.new.bindings.get(self.bindings_done) {
                let Binding { mut value, mut parent, mut jump, place } = binding;
                self.value(&mut value);
                self.env(&mut parent);
                self.env(&mut jump);
                self.new.bindings[self.bindings_done] = Binding { value, parent, jump, place };
                self.bindings_done += 1;
            } else if let Some(&element) = self.new.elements.get(self.elements_done) {
                let mut value = element;
                self.value(&mut value);
                self.new.elements[self.elements_done] = value;
                self.elements_done += 1;
            } else {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: Value) -> f64 {
        match value {
            Value::Number(number) => number,
            other => panic!("{other:?}"),
        }
    }

    /// A chain of `count` bindings, each bound to its place.
    fn chain(heap: &mut Heap, count: u32) -> Env {
        (0..count).fold(NONE, |env, place| heap.bind(env, Value::Number(f64::from(place))))
    }

    #[test]
    fn finds_every_place() {
        let mut heap = Heap::new(0);
        let env = chain(&mut heap, 1000);
        for place in 0..1000 {
            assert_eq!(number(heap.lookup(env, place).unwrap()), f64::from(place));
        }
        assert!(heap.lookup(env, 1000).is_none());
        assert!(heap.lookup(NONE, 0).is_none());
    }

    #[test]
    fn far_places_are_few_hops_away() {
        let mut heap = Heap::new(0);
        let count = 1 << 17;
        let env = chain(&mut heap, count);
        for place in (0..count).step_by(997) {
            let (mut at, mut hops) = (heap.bindings[env as usize], 0);
            while at.place > place {
                let jump = heap.bindings[at.jump as usize];
                at = if jump.place >= place { jump } else { heap.bindings[at.parent as usize] };
                hops += 1;
            }
            assert!(hops <= 3 * 17, "{hops} hops to {place}");
        }
    }

    #[test]
    fn collection_keeps_what_is_reached_and_shares_it() {
        let mut heap = Heap::new(5);
        chain(&mut heap, 100_000);
        let mut env = chain(&mut heap, 1000);
        let inner = heap.vector(&[Value::Number(1.0), Value::Closure { lam: 0, env }]);
        let mut outer = heap.vector(&[inner, inner, Value::Vector { start: 2, len: 3, functions: false }]);
        let before = heap.bytes();
        heap.collect(|collection| {
            collection.env(&mut env);
            collection.value(&mut outer);
        });
        assert!(heap.bytes() < before / 50);
        assert_eq!((heap.bindings.len(), heap.elements.len()), (1000, 5));
        for place in 0..1000 {
            assert_eq!(number(heap.lookup(env, place).unwrap()), f64::from(place));
        }
        let Value::Vector { start, len: 3, functions: true } = outer else { panic!("{outer:?}") };
        let both = [heap.element(&[], start), heap.element(&[], start + 1)];
        let [Value::Vector { start: left, .. }, Value::Vector { start: right, .. }] = both else { panic!("{both:?}") };
        assert_eq!(left, right);
        assert!(matches!(heap.element(&[], left + 1), Value::Closure { env: moved, .. } if moved == env));
        assert!(matches!(heap.element(&[], start + 2), Value::Vector { start: 2, len: 3, .. }), "the pool stays");
    }

    #[test]
    fn a_million_vectors_within_one_another_are_collected() {
        let mut heap = Heap::new(0);
        let mut value = Value::Null;
        for _ in 0..1_000_000 {
            value = heap.vector(&[value]);
        }
        heap.collect(|collection| collection.value(&mut value));
        assert_eq!(heap.elements.len(), 1_000_000);
    }
}

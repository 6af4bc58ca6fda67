//! From paths in a tree back to offsets in the text that the tree was read from.
//!
//! The wanted paths make a trie, and one walk over the text goes down it: linear in the text, whatever the number of
//! paths. Where a key is repeated the last one holds, as it does in the tree.

use std::collections::BTreeMap;

use jsonschema::paths::{Location, LocationSegment};
use strict_json::{Sink, contents, parse, to_text};

/// The offset of the value at each of `paths` in `body`.
pub(super) fn offsets<'a>(body: &[u8], paths: impl Iterator<Item = &'a Location>) -> Vec<usize> {
    let mut nodes = vec![Node::default()];
    let wanted: Vec<usize> = paths.map(|path| insert(&mut nodes, path)).collect();
    let mut walk = Walk { body, nodes, levels: Vec::new(), member: None };
    let _ = parse(body, &mut walk);
    wanted.into_iter().map(|node| walk.nodes.get(node).map_or(0, |node| node.offset)).collect()
}

/// A path that is wanted, or the beginning of one.
#[derive(Default)]
struct Node {
    keys: BTreeMap<String, usize>,
    indexes: BTreeMap<usize, usize>,
    offset: usize,
}

/// The node of `path`, made where it is missing.
fn insert(nodes: &mut Vec<Node>, path: &Location) -> usize {
    let mut at = 0;
    for segment in path.segments() {
        let fresh = nodes.len();
        let Some(node) = nodes.get_mut(at) else { return at };
        at = match segment {
            LocationSegment::Property(key) => *node.keys.entry(key.into_owned()).or_insert(fresh),
            LocationSegment::Index(index) => *node.indexes.entry(index).or_insert(fresh),
        };
        if at == fresh {
            nodes.push(Node::default());
        }
    }
    at
}

struct Walk<'a> {
    body: &'a [u8],
    nodes: Vec<Node>,
    levels: Vec<Level>,
    /// The node of the member whose key was met last.
    member: Option<usize>,
}

/// An open object or array, with its node if one of the wanted paths leads through it.
struct Level {
    node: Option<usize>,
    /// The index of the next element; `None` in an object.
    index: Option<usize>,
}

impl Walk<'_> {
    /// A value begins at `at`; its node, if a wanted path leads to it or through it.
    fn enter(&mut self, at: usize) -> Option<usize> {
        let found = match self.levels.last_mut() {
            None => Some(0),
            Some(Level { index: None, .. }) => self.member.take(),
            Some(Level { node, index: Some(index) }) => {
                let here = *index;
                *index += 1;
                node.and_then(|node| self.nodes.get(node)).and_then(|node| node.indexes.get(&here).copied())
            }
        };
        if let Some(node) = found.and_then(|node| self.nodes.get_mut(node)) {
            node.offset = at;
        }
        found
    }
}

impl Sink for Walk<'_> {
    fn begin_object(&mut self, at: usize) {
        let node = self.enter(at);
        self.levels.push(Level { node, index: None });
    }
    fn end_object(&mut self, _end: usize) {
        self.levels.pop();
    }
    fn begin_array(&mut self, at: usize) {
        let node = self.enter(at);
        self.levels.push(Level { node, index: Some(0) });
    }
    fn end_array(&mut self, _end: usize) {
        self.levels.pop();
    }
    fn key(&mut self, start: usize, end: usize, escaped: bool) {
        let node = self.levels.last().and_then(|level| level.node).and_then(|node| self.nodes.get(node));
        self.member = node
            .filter(|node| !node.keys.is_empty())
            .and_then(|node| node.keys.get(to_text(&contents(self.body, start, end, escaped)).as_ref()).copied());
    }
    fn string(&mut self, start: usize, _end: usize, _escaped: bool) {
        self.enter(start);
    }
    fn number(&mut self, start: usize, _end: usize) {
        self.enter(start);
    }
    fn literal(&mut self, start: usize, _end: usize) {
        self.enter(start);
    }
}

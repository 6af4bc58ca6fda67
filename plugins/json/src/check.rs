//! The strict check: grammar, duplicate keys, depth.
//!
//! One walk finds what is wrong and remembers offsets; a second one, only if there is something to tell, turns them
//! into places.

use pigeon_plugin::{Finding, Findings, Place, Severity};
use strict_json::{Outline, Sink, contents, locate, to_text};

use crate::metadata::code;

/// The most characters of the document that a message quotes.
pub(crate) const QUOTE_LIMIT: usize = 200;

/// What is checked, and the memory that the checking of one item leaves to the next.
pub(crate) struct Check {
    /// What a repeated key is; `None`: not looked for.
    duplicate_keys: Option<Severity>,
    max_depth: Option<usize>,
    keys: Vec<Key>,
    objects: Vec<u32>,
}

/// A key of an object that has not ended yet.
#[derive(Clone, Copy)]
struct Key {
    start: u32,
    /// One past the closing quote; the highest bit says that there are escapes.
    end: u32,
}

/// No host takes an item of half the address space of wasm32; one that is larger would lose keys here, no more.
const ESCAPED: u32 = 1 << 31;

impl Check {
    pub(crate) fn new(duplicate_keys: Option<Severity>, max_depth: Option<usize>) -> Self {
        Check { duplicate_keys, max_depth, keys: Vec::new(), objects: Vec::new() }
    }

    /// Tells `findings` what is wrong with `body`; `None` if it is not JSON.
    pub(crate) fn document(&mut self, body: &[u8], findings: &mut Findings) -> Option<Outline> {
        self.keys.clear();
        self.objects.clear();
        let mut walk =
            Walk { body, check: self, depth: 0, too_deep_at: None, deepest: 0, repeated: Vec::new(), omitted: 0 };
        let parsed = strict_json::parse(body, &mut walk);
        let Walk { too_deep_at, deepest, repeated, omitted, .. } = walk;
        if parsed.is_ok_and(|outline| !outline.bom) && too_deep_at.is_none() && repeated.is_empty() {
            return parsed.ok();
        }
        let mut found = Vec::new();
        if body.starts_with(b"\xEF\xBB\xBF") && parsed.is_ok() {
            found.push((
                0,
                Finding::warning(code::BOM, "the document begins with a byte order mark, which was skipped"),
            ));
        }
        if let (Some(at), Some(max_depth)) = (too_deep_at, self.max_depth) {
            let message = format!("nested {deepest} levels deep, more than the {max_depth} of max_depth");
            found.push((at, Finding::error(code::TOO_DEEP, message)));
        }
        let severity = self.duplicate_keys.unwrap_or(Severity::Warning);
        for (start, end, escaped) in repeated {
            let name = contents(body, start, end, escaped);
            let message =
                format!("the key \"{}\" stands twice in its object; the last one holds", cut(&to_text(&name)));
            found.push((start, Finding::new(severity, code::DUPLICATE_KEY, message)));
        }
        if let Err(error) = parsed {
            found.push((error.offset, Finding::error(error.kind.code(), error.message(body))));
        }
        found.sort_by_key(|(offset, _)| *offset);
        let offsets: Vec<usize> = found.iter().map(|(offset, _)| *offset).collect();
        for ((_, finding), place) in found.into_iter().zip(locate(body, &offsets)) {
            findings.push(finding.at(place_of(place)));
        }
        for _ in 0..omitted {
            findings.omit(severity);
        }
        parsed.ok()
    }
}

/// A place as findings have it.
pub(crate) fn place_of(place: strict_json::Place) -> Place {
    let found = Place { line: Some(place.line), ..Place::offset(place.offset) }.column(place.column);
    match place.pointer {
        Some(pointer) => found.pointer(pointer),
        None => found,
    }
}

/// The beginning of `text`, as much as a message may quote.
pub(crate) fn cut(text: &str) -> &str {
    text.char_indices().nth(QUOTE_LIMIT).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}

struct Walk<'a> {
    body: &'a [u8],
    check: &'a mut Check,
    depth: usize,
    too_deep_at: Option<usize>,
    deepest: usize,
    /// Where keys stand that stood in their object before, up to as many as can be listed.
    repeated: Vec<(usize, usize, bool)>,
    omitted: u64,
}

impl Walk<'_> {
    #[inline]
    fn enter(&mut self, at: usize) {
        self.depth += 1;
        if self.depth > self.deepest {
            self.deepest = self.depth;
            if self.too_deep_at.is_none() && self.check.max_depth.is_some_and(|max_depth| self.depth > max_depth) {
                self.too_deep_at = Some(at);
            }
        }
    }

    /// The keys from `first` on are those of one object: finds those that stood before.
    fn compare_keys(&mut self, first: usize) {
        let keys = self.check.keys.get(first..).unwrap_or_default();
        // Most objects are small, and most keys differ in length or in their first bytes.
        if keys.len() <= 8 {
            for (index, key) in keys.iter().enumerate() {
                let earlier = keys.get(..index).unwrap_or_default();
                if earlier.iter().any(|other| same(self.body, *key, *other)) {
                    remember(*key, &mut self.repeated, &mut self.omitted);
                }
            }
            return;
        }
        let mut sorted: Vec<_> = keys.iter().map(|key| (key.meaning(self.body), *key)).collect();
        sorted.sort_unstable_by(|(left, left_key), (right, right_key)| {
            left.cmp(right).then(left_key.start.cmp(&right_key.start))
        });
        let mut repeated: Vec<Key> =
            sorted.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1).collect();
        repeated.sort_unstable_by_key(|key| key.start);
        for key in repeated {
            remember(key, &mut self.repeated, &mut self.omitted);
        }
    }
}

fn remember(key: Key, repeated: &mut Vec<(usize, usize, bool)>, omitted: &mut u64) {
    if repeated.len() == pigeon_plugin::FINDINGS_LIMIT {
        *omitted += 1;
    } else {
        repeated.push(key.span());
    }
}

impl Key {
    fn span(self) -> (usize, usize, bool) {
        (self.start as usize, (self.end & !ESCAPED) as usize, self.end & ESCAPED != 0)
    }

    fn meaning(self, body: &[u8]) -> std::borrow::Cow<'_, [u8]> {
        let (start, end, escaped) = self.span();
        contents(body, start, end, escaped)
    }
}

#[inline]
fn same(body: &[u8], left: Key, right: Key) -> bool {
    if (left.end | right.end) & ESCAPED == 0 && left.end - left.start != right.end - right.start {
        return false;
    }
    left.meaning(body) == right.meaning(body)
}

impl Sink for Walk<'_> {
    #[inline]
    fn begin_object(&mut self, at: usize) {
        self.enter(at);
        if self.check.duplicate_keys.is_some() {
            self.check.objects.push(u32::try_from(self.check.keys.len()).unwrap_or(u32::MAX));
        }
    }

    #[inline]
    fn end_object(&mut self, _end: usize) {
        self.depth -= 1;
        if let Some(first) = self.check.objects.pop() {
            let first = first as usize;
            if self.check.keys.len() > first + 1 {
                self.compare_keys(first);
            }
            self.check.keys.truncate(first);
        }
    }

    #[inline]
    fn begin_array(&mut self, at: usize) {
        self.enter(at);
    }

    #[inline]
    fn end_array(&mut self, _end: usize) {
        self.depth -= 1;
    }

    #[inline]
    fn key(&mut self, start: usize, end: usize, escaped: bool) {
        if self.check.duplicate_keys.is_some()
            && let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(end))
            && end < ESCAPED
        {
            self.check.keys.push(Key { start, end: if escaped { end | ESCAPED } else { end } });
        }
    }
}

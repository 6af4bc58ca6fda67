//! Reads items one by one, out of all files in order.

use std::{ops::Range, time::Duration};

use bytes::{Bytes, BytesMut};
use pigeon_api::{Chunk, ChunkBuilder};
use serde::{Deserialize, Serialize};

use super::{
    array::{Array, Phase},
    buffer::{Buffer, Filled},
    error::InputError,
    source::{Inputs, RootIdentity, SourceFile, Walk},
    split::{Fault, Split, Splitter, Step},
    text::{self, Position},
};
use crate::units::Size;

/// Where a reader stands between two items. Kept with each chunk, so that a resumed job goes on exactly there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Which of the things given.
    pub(crate) root: usize,
    /// Which file in it.
    pub(crate) file: u64,
    /// Bytes of it that are done with.
    pub(crate) offset: u64,
    /// The place that these bytes end at.
    pub(crate) position: Position,
    /// Items of the file so far.
    pub(crate) index: u64,
    /// Where in an array.
    pub(crate) phase: Phase,
    /// Whether the file is done with, and the reader stands before the next.
    pub(crate) file_done: bool,
    /// Blank lines skipped so far, in all files.
    pub(crate) blank: u64,
}

/// How an item is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ItemId<'a> {
    given: &'a str,
    part: Part,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Whole,
    Line(u64),
    Element(u64),
}

impl ItemId<'_> {
    pub(crate) fn write(self, out: &mut impl std::fmt::Write) {
        // Writing to memory cannot fail.
        let _ = match self.part {
            Part::Whole => out.write_str(self.given),
            Part::Line(line) => write!(out, "{}:{line}", self.given),
            Part::Element(index) => write!(out, "{}[{index}]", self.given),
        };
    }
}

impl std::fmt::Display for ItemId<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.write(f);
        Ok(())
    }
}

/// An item, as long as the reader does not go on.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) id: ItemId<'a>,
    pub(crate) body: &'a [u8],
    /// Where in its file it begins.
    pub(crate) position: Position,
}

/// What a call for the next item found.
enum Next {
    Item(Located),
    /// A stream has nothing for now.
    Nothing,
    End,
}

/// An item found: where its body is, and where it begins in the file.
#[derive(Debug, Clone)]
struct Located {
    body: Body,
    position: Position,
    index: u64,
}

#[derive(Debug, Clone)]
enum Body {
    Buffer(Range<usize>),
    Row,
}

/// The file that is being read.
struct Open {
    file: SourceFile,
    splitter: Splitter,
    buffer: Buffer,
}

/// Reads items. See the module above it for how.
pub(crate) struct Reader {
    inputs: Inputs,
    walk: Walk,
    open: Option<Open>,
    /// Bytes of a former buffer, kept so that a folder of small files does not allocate for each.
    spare: Vec<u8>,
    now: Cursor,
    /// Where the last item that was given away ended.
    given: Cursor,
    /// An item that was found and not given away yet.
    pending: Option<Located>,
    /// What is wrong behind the items that the last chunk brought.
    failed: Option<InputError>,
    /// Which of the things given are left out.
    skipped: Vec<bool>,
    /// What the others must still be known by.
    expected: Vec<Option<RootIdentity>>,
}

impl Reader {
    /// A reader at the beginning. `expected` is what the roots were known by when they were checked.
    pub(crate) fn new(inputs: Inputs, expected: Vec<Option<RootIdentity>>) -> Self {
        Self::without(inputs, expected, Vec::new())
    }

    fn without(inputs: Inputs, expected: Vec<Option<RootIdentity>>, skipped: Vec<bool>) -> Self {
        let walk = Walk::new(&inputs, skipped.clone());
        let (now, given) = (Cursor::default(), Cursor::default());
        Self { inputs, walk, open: None, spare: Vec::new(), now, given, pending: None, failed: None, skipped, expected }
    }

    /// A reader that goes on behind `cursor`, and leaves out what is `skipped`.
    pub(crate) fn resume(
        inputs: Inputs,
        expected: Vec<Option<RootIdentity>>,
        cursor: Cursor,
        skipped: Vec<bool>,
    ) -> Result<Self, InputError> {
        let mut reader = Self::without(inputs, expected, skipped);
        (reader.now, reader.given) = (cursor, cursor);
        while let Some(file) = reader.walk.next(&reader.inputs)? {
            let here = (file.root, file.number);
            let there = (cursor.root, cursor.file);
            if here < there || here == there && cursor.file_done {
                continue;
            }
            if here == there {
                let mut open = open(file, &mut reader.spare, Some(&cursor), reader.inputs.max_item)?;
                if let Splitter::Array(array) = &mut open.splitter {
                    *array = Array::at(cursor.phase);
                }
                reader.now.offset = open.buffer.offset();
                reader.open = Some(open);
            } else {
                reader.begin(file)?;
            }
            break;
        }
        Ok(reader)
    }

    /// A reader that leaves streams out.
    pub(crate) fn of_files(inputs: Inputs) -> Self {
        let skipped = inputs.roots.iter().map(|root| root.kind.is_stream()).collect();
        Self::without(inputs, Vec::new(), skipped)
    }

    fn is_skipped(&self, root: usize) -> bool {
        self.skipped.get(root).is_some_and(|skipped| *skipped)
    }

    /// Blank lines skipped so far.
    pub(crate) fn blank(&self) -> u64 {
        self.now.blank
    }

    /// What the roots are known by; all of them once the end was reached.
    pub(crate) fn into_identities(self) -> Vec<Option<RootIdentity>> {
        self.walk.identities
    }

    /// The next item.
    ///
    /// # Errors
    /// If the input cannot be read or split. Items before the bad place were all given.
    pub(crate) fn next(&mut self) -> Result<Option<Item<'_>>, InputError> {
        match self.find(None)? {
            Next::Item(located) => {
                self.given = self.now;
                Ok(self.item(&located))
            }
            Next::Nothing | Next::End => Ok(None),
        }
    }

    /// The next chunk: full, or of `most` items, or of what there was when the input ended or a stream paused.
    /// `None` at the end.
    pub(crate) fn next_chunk(&mut self, builder: &mut ChunkBuilder, most: usize) -> Result<Option<Chunk>, InputError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        while builder.len() < most {
            let patience = (!builder.is_empty()).then_some(STREAM_PATIENCE);
            let located = match self.pending.take() {
                Some(located) => located,
                None => match self.find(patience) {
                    Ok(Next::Item(located)) => located,
                    Ok(Next::Nothing | Next::End) => break,
                    // What came before the bad place is still given.
                    Err(error) if !builder.is_empty() => {
                        self.failed = Some(error);
                        break;
                    }
                    Err(error) => return Err(error),
                },
            };
            let Some(item) = self.item(&located) else { break };
            if builder.is_full_for(item.body.len()) {
                self.pending = Some(located);
                break;
            }
            builder.push(|ids: &mut BytesMut| item.id.write(ids), item.position.line, item.body);
            self.given = self.now;
        }
        if builder.is_empty() {
            return Ok(None);
        }
        // A struct of numbers is always JSON.
        let cursor = serde_json::to_vec(&self.given).unwrap_or_default();
        Ok(Some(builder.finish(Bytes::from(cursor))))
    }

    fn item(&self, located: &Located) -> Option<Item<'_>> {
        let open = self.open.as_ref()?;
        let body = match (&located.body, &open.splitter) {
            (Body::Row, Splitter::Csv(csv)) => csv.row(),
            (Body::Row, _) => return None,
            (Body::Buffer(range), _) => open.buffer.last(range.clone()),
        };
        let id = open.id(located.position, located.index);
        Some(Item { id, body, position: located.position })
    }

    /// Find the next item. Its bytes stay in the buffer until this is called again.
    fn find(&mut self, patience: Option<Duration>) -> Result<Next, InputError> {
        loop {
            let Some(open) = &mut self.open else {
                match self.walk.next(&self.inputs)? {
                    Some(file) => self.begin(file)?,
                    None => {
                        self.compare()?;
                        return Ok(Next::End);
                    }
                }
                continue;
            };
            let step = match open.splitter.step(open.buffer.data(), open.buffer.at_end()) {
                Ok(step) => step,
                Err(fault) => return Err(open.malformed(fault, self.now.position)),
            };
            let (taken, body) = match step {
                Step::Item { body, taken } => (taken, Some(Body::Buffer(body))),
                Step::Row { taken } => (taken, Some(Body::Row)),
                Step::Skip { taken, blank } => {
                    self.now.blank += u64::from(blank);
                    (taken, None)
                }
                Step::More => {
                    if let Some(at) = open.buffer.bad_text() {
                        return Err(open.not_utf8(at, self.now.position, self.now.offset));
                    }
                    if open.buffer.data().len() as u64 > self.inputs.max_item.saturating_add(SLACK) {
                        let at = self.now.position;
                        return Err(open.too_large(at, self.now.index, self.inputs.max_item));
                    }
                    match open.buffer.fill(patience).map_err(|source| open.read_error(source))? {
                        Filled::Bytes | Filled::End => continue,
                        Filled::Nothing => return Ok(Next::Nothing),
                    }
                }
                Step::End => {
                    if !open.file.kind.is_stream() && open.file.size > 0 && self.now.offset != open.file.size {
                        return Err(InputError::Changed { given: open.file.given.clone() });
                    }
                    self.now.file_done = true;
                    if let Some(open) = self.open.take() {
                        self.spare = open.buffer.into_bytes();
                    }
                    continue;
                }
            };
            // Where the item itself begins: an element stands behind white space, brackets and commas.
            let start = match &body {
                Some(Body::Buffer(range)) if range.start > 0 => {
                    self.now.position.after(&open.buffer.data()[..range.start])
                }
                _ => self.now.position,
            };
            let size = match (&body, &open.splitter) {
                (Some(Body::Buffer(range)), _) => range.len(),
                (Some(Body::Row), Splitter::Csv(csv)) => csv.row().len(),
                _ => 0,
            };
            if size as u64 > self.inputs.max_item {
                return Err(open.too_large(start, self.now.index, self.inputs.max_item));
            }
            let index = self.now.index;
            let bytes = &open.buffer.data()[..taken];
            self.now.position = match &open.splitter {
                Splitter::Whole { .. } => self.now.position,
                Splitter::Lines => Position { line: self.now.position.line + 1, column: 1 },
                Splitter::Csv(_) => {
                    Position { line: self.now.position.line + text::count_lines(bytes).max(1), column: 1 }
                }
                Splitter::Array(_) => self.now.position.after(bytes),
            };
            self.now.offset += taken as u64;
            match &open.splitter {
                Splitter::Array(array) => self.now.phase = array.phase,
                // Nothing follows a whole file: whoever goes on here must not find the nothing behind it.
                Splitter::Whole { given } => self.now.file_done = *given,
                _ => {}
            }
            open.buffer.take(taken);
            if let Some(body) = body {
                self.now.index += 1;
                if size == 0 && open.file.kind.is_stream() && self.inputs.roots.len() == 1 {
                    return Err(InputError::Empty { given: open.file.given.clone() });
                }
                return Ok(Next::Item(Located { body, position: start, index }));
            }
        }
    }

    /// Open the next file at its beginning.
    fn begin(&mut self, file: SourceFile) -> Result<(), InputError> {
        let blank = self.now.blank;
        self.now = Cursor { root: file.root, file: file.number, blank, ..Cursor::default() };
        let open = open(file, &mut self.spare, None, self.inputs.max_item)?;
        self.now.offset = open.buffer.offset();
        self.open = Some(open);
        Ok(())
    }

    /// At the end: whether what was read is what was checked.
    fn compare(&self) -> Result<(), InputError> {
        let known = self.expected.iter().zip(&self.walk.identities);
        for (at, (root, (expected, found))) in self.inputs.roots.iter().zip(known).enumerate() {
            if expected != found && !self.is_skipped(at) {
                return Err(InputError::Changed { given: root.given.clone() });
            }
        }
        Ok(())
    }
}

/// Bytes by which what is looked at for an item may exceed the item itself: a line break, quotes, commas.
const SLACK: u64 = 4096;

/// How long a stream may pause before what came is sent on its way.
const STREAM_PATIENCE: Duration = Duration::from_millis(50);

/// Open a file, at its beginning or at a cursor.
fn open(file: SourceFile, spare: &mut Vec<u8>, cursor: Option<&Cursor>, max_item: u64) -> Result<Open, InputError> {
    let mut splitter = Splitter::new(file.split);
    let is_text = splitter.is_text();
    let mut buffer = Buffer::open(&file, std::mem::take(spare), is_text)?;
    let read_error = |source| super::source::read_error(&file.given, source);
    if is_text {
        buffer.skip_mark().map_err(read_error)?;
    }
    if let Some(cursor) = cursor.filter(|cursor| cursor.offset > buffer.offset()) {
        // Rows need the header, which stands at the beginning.
        if let Splitter::Csv(csv) = &mut splitter {
            while !csv.has_header() {
                match csv.step(buffer.data(), buffer.at_end()) {
                    Ok(Step::Skip { taken, .. }) => buffer.take(taken),
                    Ok(Step::More) if buffer.data().len() as u64 <= max_item => {
                        buffer.fill(None).map_err(read_error)?;
                    }
                    _ => return Err(InputError::Changed { given: file.given }),
                }
            }
        }
        buffer.seek(cursor.offset).map_err(read_error)?;
    }
    Ok(Open { file, splitter, buffer })
}

impl Open {
    fn id(&self, position: Position, index: u64) -> ItemId<'_> {
        let part = match self.file.split {
            Split::Whole => Part::Whole,
            Split::Array => Part::Element(index),
            Split::Jsonl | Split::Lines | Split::Csv => Part::Line(position.line),
        };
        ItemId { given: &self.file.given, part }
    }

    fn malformed(&self, fault: Fault, position: Position) -> InputError {
        let Position { line, column } = position.after(&self.buffer.data()[..fault.at]);
        InputError::Malformed { given: self.file.given.clone(), line, column, problem: fault.problem }
    }

    fn not_utf8(&self, at: usize, position: Position, offset: u64) -> InputError {
        let Position { line, column } = position.after(&self.buffer.data()[..at]);
        InputError::NotUtf8 { given: self.file.given.clone(), line, column, offset: offset + at as u64 }
    }

    fn too_large(&self, position: Position, index: u64, max: u64) -> InputError {
        InputError::TooLarge {
            id: self.id(position, index).to_string(),
            max: Size(max),
            split: self.file.split != Split::Whole,
        }
    }

    fn read_error(&self, source: std::io::Error) -> InputError {
        InputError::Read { given: self.file.given.clone(), source }
    }
}

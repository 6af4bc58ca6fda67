//! The bytes of a file that are in memory: those that were not split yet, and the item that was found last.

use std::{
    fs::File,
    io::{self, Read, Seek as _, SeekFrom},
    ops::Range,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use super::{
    error::InputError,
    source::{RootKind, SourceFile, read_error},
    text::{BOM, Utf8},
};

/// Bytes read at a time.
const BLOCK: usize = 256 << 10;

/// What came of an attempt to read more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    Bytes,
    End,
    /// A stream has nothing for now.
    Nothing,
}

enum Feed {
    File(File),
    Stream(Receiver<io::Result<Vec<u8>>>),
}

/// A window on a file.
pub(crate) struct Buffer {
    feed: Feed,
    bytes: Vec<u8>,
    /// Where in `bytes` what was taken last begins, what was not taken begins, and what was read ends.
    last: usize,
    start: usize,
    stop: usize,
    /// Offset of `start` in the file.
    offset: u64,
    end: bool,
    utf8: Option<Utf8>,
    /// Index in `bytes` of the first that is not UTF-8. Nothing behind it is shown.
    bad: Option<usize>,
}

impl Buffer {
    /// Open a file. `bytes` is memory to use.
    pub(crate) fn open(file: &SourceFile, bytes: Vec<u8>, is_text: bool) -> Result<Self, InputError> {
        let feed = match file.kind {
            RootKind::File | RootKind::Folder => {
                Feed::File(File::open(&file.path).map_err(|source| read_error(&file.given, source))?)
            }
            RootKind::Stream => {
                let stream = File::open(&file.path).map_err(|source| read_error(&file.given, source))?;
                Feed::Stream(pump(stream).map_err(|source| read_error(&file.given, source))?)
            }
            RootKind::Stdin => Feed::Stream(pump(io::stdin()).map_err(|source| read_error(&file.given, source))?),
        };
        let utf8 = is_text.then(Utf8::default);
        Ok(Self { feed, bytes, last: 0, start: 0, stop: 0, offset: 0, end: false, utf8, bad: None })
    }

    /// What was read and not taken.
    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.bad.unwrap_or(self.stop)]
    }

    /// Whether nothing follows [`data`](Self::data).
    pub(crate) fn at_end(&self) -> bool {
        self.end && self.bad.is_none()
    }

    /// Index in [`data`](Self::data) of the first byte that is not UTF-8: the one behind its end.
    pub(crate) fn bad_text(&self) -> Option<usize> {
        self.bad.map(|bad| bad - self.start)
    }

    /// Offset of [`data`](Self::data) in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Be done with the first bytes. They can still be had by [`last`](Self::last) until more is read.
    pub(crate) fn take(&mut self, count: usize) {
        self.last = self.start;
        self.start += count;
        self.offset += count as u64;
    }

    /// Of what was taken last.
    pub(crate) fn last(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[self.last..][range]
    }

    /// Give the memory back.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        // What one large item needed is not kept for all the small ones behind it.
        if self.bytes.len() > 8 * BLOCK {
            self.bytes = Vec::new();
        }
        self.bytes
    }

    /// Go on at this offset of the file.
    pub(crate) fn seek(&mut self, offset: u64) -> io::Result<()> {
        if let Feed::File(file) = &mut self.feed {
            file.seek(SeekFrom::Start(offset))?;
        }
        (self.last, self.start, self.stop, self.offset, self.end) = (0, 0, 0, offset, false);
        self.utf8 = self.utf8.as_ref().map(|_| Utf8::default());
        Ok(())
    }

    /// Drop a byte order mark.
    pub(crate) fn skip_mark(&mut self) -> io::Result<()> {
        while self.stop < BOM.len() && self.bad.is_none() && self.fill(None)? != Filled::End {}
        if self.bytes[..self.stop].starts_with(BOM) && self.bad.is_none_or(|bad| bad >= BOM.len()) {
            self.take(BOM.len());
        }
        Ok(())
    }

    /// Read more. Waits no longer than `patience` for a stream.
    pub(crate) fn fill(&mut self, patience: Option<Duration>) -> io::Result<Filled> {
        if self.end || self.bad.is_some() {
            return Ok(Filled::End);
        }
        let before = match &mut self.feed {
            Feed::File(_) => {
                self.make_room(BLOCK);
                let Feed::File(file) = &mut self.feed else { return Ok(Filled::End) };
                let before = self.stop;
                let read = loop {
                    match file.read(&mut self.bytes[self.stop..]) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        other => break other?,
                    }
                };
                self.stop += read;
                before
            }
            Feed::Stream(blocks) => {
                let block = match patience {
                    None => blocks.recv().ok(),
                    Some(patience) => match blocks.recv_timeout(patience) {
                        Ok(block) => Some(block),
                        Err(RecvTimeoutError::Timeout) => return Ok(Filled::Nothing),
                        Err(RecvTimeoutError::Disconnected) => None,
                    },
                };
                let block = block.transpose()?.unwrap_or_default();
                self.make_room(block.len());
                let before = self.stop;
                self.bytes[before..before + block.len()].copy_from_slice(&block);
                self.stop += block.len();
                before
            }
        };
        self.end = self.stop == before;
        if let Some(utf8) = &mut self.utf8 {
            let bad = match utf8.push(&self.bytes[before..self.stop]) {
                Err(good) => Some(before + good),
                Ok(()) if self.end && !utf8.may_end() => Some(before),
                Ok(()) => None,
            };
            // A character cut in two is bad where it begins.
            self.bad = bad.map(|bad| bad - utf8.begun_before(bad == before).min(bad - self.start));
        }
        Ok(if self.end { Filled::End } else { Filled::Bytes })
    }

    /// Make room for `count` bytes behind what was read.
    fn make_room(&mut self, count: usize) {
        if self.bytes.len() - self.stop >= count {
            return;
        }
        self.bytes.copy_within(self.start..self.stop, 0);
        self.stop -= self.start;
        (self.last, self.start) = (0, 0);
        let needed = self.stop + count;
        if self.bytes.len() < needed {
            // Twice as much each time, so that an item that is looked at again with each block costs no more than
            // twice its size.
            let size = needed.max(2 * if self.stop > BLOCK { self.bytes.len() } else { BLOCK });
            self.bytes.resize(size, 0);
        }
    }
}

/// Read a stream on a thread of its own, a few blocks ahead. It ends with the stream, or with the process.
fn pump(mut stream: impl Read + Send + 'static) -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let (sender, receiver): (SyncSender<io::Result<Vec<u8>>>, _) = sync_channel(4);
    thread::Builder::new().name("input".to_owned()).spawn(move || {
        let mut block = vec![0; BLOCK];
        loop {
            let message = match stream.read(&mut block) {
                Ok(0) => return,
                Ok(read) => Ok(block[..read].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = message.is_err();
            if sender.send(message).is_err() || failed {
                return;
            }
        }
    })?;
    Ok(receiver)
}

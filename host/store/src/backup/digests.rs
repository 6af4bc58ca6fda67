//! What was written into an archive, told in it, so that whoever restores it sees what was damaged since.
//!
//! ```text
//! HEX 600 pigeon.db         a file: the SHA-256 of its content, its mode, its name
//! - 700 ca                  a directory
//! HEX                       the SHA-256 of the lines before
//! ```
//!
//! A list has so many lines at most, so that neither side holds more of them than that. The end of the archive tells the
//! SHA-256 of all lists.

use std::{
    io::{self, Read},
    mem,
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use pigeon_protocol::id::Digest;
use ring::digest::{Context, SHA256};

/// Lines of a list.
const MOST: usize = 256;

/// What was written, or read, since the last list, and the digest of all lists.
pub(super) struct Digests {
    list: Vec<u8>,
    lines: usize,
    all: Context,
}

impl Default for Digests {
    fn default() -> Self {
        Self { list: Vec::new(), lines: 0, all: Context::new(&SHA256) }
    }
}

impl Digests {
    /// The next entry; a directory has no content.
    pub(super) fn add(&mut self, name: &Path, mode: u32, content: Option<Digest>) {
        let content = content.map_or_else(|| "-".to_owned(), |digest| digest.to_hex());
        self.list.extend(format!("{content} {mode:o} ").bytes());
        self.list.extend(name.as_os_str().as_bytes());
        self.list.push(b'\n');
        self.lines += 1;
    }

    /// Whether it is time for a list.
    pub(super) fn is_full(&self) -> bool {
        self.lines >= MOST
    }

    /// Whether a list ought to have come.
    pub(super) fn is_overdue(&self) -> bool {
        self.lines > MOST
    }

    /// Whether all that was added is in a list.
    pub(super) fn are_checked(&self) -> bool {
        self.lines == 0
    }

    /// The list, and begin the next.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut list = mem::take(&mut self.list);
        self.lines = 0;
        let own = hex_line(&Digest::of(&list));
        list.extend(own);
        self.all.update(&list);
        list
    }

    /// How long the list is, if it is whole.
    pub(super) fn size(&self) -> usize {
        self.list.len() + hex_line(&Digest::of(&[])).len()
    }

    /// Whether a list says of all that was added what it is, and begin the next.
    ///
    /// # Errors
    /// What is damaged.
    pub(super) fn check(&mut self, said: &[u8]) -> Result<(), String> {
        let list = self.take();
        if said == list {
            return Ok(());
        }
        let own = said.len().saturating_sub(hex_line(&Digest::of(&[])).len());
        let (lines, own) = said.split_at(own);
        let differs =
            list.split(|byte| *byte == b'\n').zip(lines.split(|byte| *byte == b'\n')).find(|(is, was)| is != was);
        match differs {
            Some((is, _)) if own == hex_line(&Digest::of(lines)) => {
                let name = is.splitn(3, |byte| *byte == b' ').nth(2).unwrap_or_default();
                Err(format!("{} is not what was written", String::from_utf8_lossy(name)))
            }
            _ => Err("its digests are damaged".to_owned()),
        }
    }

    /// What the end of the archive says.
    pub(super) fn of_all(&self) -> Vec<u8> {
        hex_line(&digest(&self.all))
    }
}

fn hex_line(digest: &Digest) -> Vec<u8> {
    format!("{}\n", digest.to_hex()).into_bytes()
}

fn digest(context: &Context) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.clone().finish().as_ref());
    Digest::from_bytes(bytes)
}

/// Content that is digested while it is read.
pub(super) struct Hashed<R> {
    content: R,
    context: Context,
}

impl<R> Hashed<R> {
    pub(super) fn new(content: R) -> Self {
        Self { content, context: Context::new(&SHA256) }
    }

    /// The digest of what was read.
    pub(super) fn digest(&self) -> Digest {
        digest(&self.context)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.context.update(&buffer[..read]);
        Ok(read)
    }
}

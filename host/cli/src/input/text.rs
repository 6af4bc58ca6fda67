//! UTF-8 in blocks, and where in a text we are.

/// The UTF-8 byte order mark.
pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";

/// Space, tab and what ends lines: what JSON calls white space.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Checks text that comes in blocks, which may cut a character in two.
#[derive(Default)]
pub(crate) struct Utf8 {
    /// The beginning of a character that the last block ended with.
    carry: [u8; 4],
    carried: usize,
    /// How many of these the last block found there.
    begun: usize,
}

impl Utf8 {
    /// How many bytes of `block` are good: all of them, or those before the first character that is not one.
    /// Where a character that the last block began is bad, that is none.
    pub(crate) fn push(&mut self, block: &[u8]) -> Result<(), usize> {
        let mut from = 0;
        self.begun = self.carried;
        while self.carried > 0 {
            match std::str::from_utf8(&self.carry[..self.carried]) {
                Ok(_) => self.carried = 0,
                Err(error) if error.error_len().is_some() => return Err(0),
                Err(_) => {
                    let Some(byte) = block.get(from) else { return Ok(()) };
                    self.carry[self.carried] = *byte;
                    self.carried += 1;
                    from += 1;
                }
            }
        }
        let rest = &block[from..];
        // The basic check is the fastest by far; only a block that fails it is asked where.
        if simdutf8::basic::from_utf8(rest).is_ok() {
            return Ok(());
        }
        match simdutf8::compat::from_utf8(rest) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(from + error.valid_up_to()),
            Err(error) => {
                let tail = &rest[error.valid_up_to()..];
                self.carry[..tail.len()].copy_from_slice(tail);
                self.carried = tail.len();
                Ok(())
            }
        }
    }

    /// How many bytes of a character that is not complete came before the last block; none unless `at_start`, that
    /// is, unless the last block was found bad at its very start.
    pub(crate) fn begun_before(&self, at_start: bool) -> usize {
        if at_start { self.begun } else { 0 }
    }

    /// Whether the text may end here.
    pub(crate) fn may_end(&self) -> bool {
        self.carried == 0
    }
}

/// A place in a text: line and column from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Position {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Default for Position {
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

impl Position {
    /// The place behind these bytes.
    pub(crate) fn after(mut self, bytes: &[u8]) -> Self {
        let rest = match memchr::memrchr(b'\n', bytes) {
            Some(at) => {
                self.line += count_lines(&bytes[..=at]);
                self.column = 1;
                &bytes[at + 1..]
            }
            None => bytes,
        };
        // Bytes of the form 10xxxxxx continue a character.
        self.column += rest.iter().filter(|byte| (**byte as i8) >= -0x40).count() as u64;
        self
    }
}

/// How many line breaks there are.
pub(crate) fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

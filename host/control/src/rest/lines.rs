//! Lines of a stream: cut out of pieces that end wherever they end.

use bytes::BytesMut;

/// Cuts pieces into lines. What is kept of them is the beginning of one line at most.
pub(super) struct Lines {
    begun: BytesMut,
    /// Bytes of a line, at most.
    most: usize,
    /// Lines so far.
    number: u64,
}

/// Why there are no more lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stuck<E> {
    /// This line is longer than lines may be.
    TooLong(u64),
    /// What was done with this line failed.
    Failed(u64, E),
}

impl Lines {
    pub(super) fn new(most: usize) -> Self {
        Self { begun: BytesMut::new(), most, number: 0 }
    }

    /// Bytes of a line, at most.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Bytes of the line that has begun.
    pub(super) fn begun(&self) -> usize {
        self.begun.len()
    }

    /// The next piece. Each line that it ends is given with its number, from 1, without what ended it; empty ones only
    /// count.
    pub(super) fn feed<E>(
        &mut self,
        mut piece: &[u8],
        mut each: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), Stuck<E>> {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let (line, rest) = (piece.get(..end).unwrap_or_default(), piece.get(end + 1..).unwrap_or_default());
            self.number += 1;
            if self.begun.len() + line.len() > self.most {
                return Err(Stuck::TooLong(self.number));
            }
            if self.begun.is_empty() {
                one(self.number, line, &mut each)?;
            } else {
                self.begun.extend_from_slice(line);
                let whole = std::mem::take(&mut self.begun);
                one(self.number, &whole, &mut each)?;
            }
            piece = rest;
        }
        if self.begun.len() + piece.len() > self.most {
            return Err(Stuck::TooLong(self.number + 1));
        }
        self.begun.extend_from_slice(piece);
        Ok(())
    }

    /// That was the last piece: a line that nothing ended is one as well.
    pub(super) fn finish<E>(&mut self, mut each: impl FnMut(u64, &[u8]) -> Result<(), E>) -> Result<(), Stuck<E>> {
        let last = std::mem::take(&mut self.begun);
        if last.is_empty() {
            return Ok(());
        }
        self.number += 1;
        one(self.number, &last, &mut each)
    }
}

fn one<E>(number: u64, line: &[u8], each: &mut impl FnMut(u64, &[u8]) -> Result<(), E>) -> Result<(), Stuck<E>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Ok(());
    }
    each(number, line).map_err(|error| Stuck::Failed(number, error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]], most: usize) -> Result<Vec<(u64, Vec<u8>)>, Stuck<()>> {
        let (mut lines, mut told) = (Lines::new(most), Vec::new());
        let mut each = |number, line: &[u8]| {
            told.push((number, line.to_vec()));
            Ok(())
        };
        for piece in pieces {
            lines.feed(piece, &mut each)?;
        }
        lines.finish(&mut each)?;
        Ok(told)
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_cut(
            text in prop::collection::vec(prop::sample::select(b"ab\r\n".to_vec()), 0..60),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([text.len()]);
            let pieces: Vec<&[u8]> = ends.scan(0, |begin, end| Some(&text[std::mem::replace(begin, end)..end])).collect();
            let expected: Vec<(u64, Vec<u8>)> = (1..)
                .zip(text.split(|&byte| byte == b'\n'))
                .map(|(number, line)| (number, line.strip_suffix(b"\r").unwrap_or(line).to_vec()))
                .filter(|(_, line)| !line.is_empty())
                .collect();
            prop_assert_eq!(lines(&pieces, 100), Ok(expected));
        }
    }

    #[test]
    fn a_line_has_a_bound_before_it_is_in_memory() {
        assert_eq!(lines(&[b"12345\n", b"1234", b"5"], 5).unwrap().len(), 2);
        assert_eq!(lines(&[b"1\n123456\n"], 5), Err(Stuck::TooLong(2)));
        assert_eq!(lines(&[b"1234", b"56"], 5), Err(Stuck::TooLong(1)));
    }

    #[test]
    fn what_fails_says_where() {
        let mut lines = Lines::new(10);
        let failing = |_: u64, line: &[u8]| if line == b"bad" { Err("why") } else { Ok(()) };
        assert_eq!(lines.feed(b"good\n\nbad\nnever", failing), Err(Stuck::Failed(3, "why")));
    }
}

//! Varints and slices: what the packed columns are made of.
//!
//! A varint is LEB128: seven bits a byte, the lowest first. Reading is zero-copy out of [`Bytes`], and whatever does
//! not fit is [`StoreError::Corrupt`](crate::StoreError::Corrupt), never a panic and never a large allocation.

use bytes::Bytes;

use crate::{Result, StoreError};

/// Append a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Append a length and the bytes.
pub(crate) fn put_slice(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what was put.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    bytes: Bytes,
    at: usize,
    what: &'static str,
}

impl Reader {
    /// A reader of `bytes`; `what` names them in errors.
    pub(crate) fn new(bytes: Bytes, what: &'static str) -> Self {
        Self { bytes, at: 0, what }
    }

    /// Bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// What is wrong with them.
    pub(crate) fn corrupt(&self) -> StoreError {
        StoreError::Corrupt { what: format!("{} cannot be read at byte {}", self.what, self.at) }
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Result<u8> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.corrupt())?;
        self.at += 1;
        Ok(byte)
    }

    /// The next varint.
    pub(crate) fn varint(&mut self) -> Result<u64> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(self.corrupt());
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// The next varint, as the number of things that follow of which each takes `least` bytes or more. So a damaged
    /// count cannot ask for more memory than there are bytes.
    pub(crate) fn count(&mut self, least: usize) -> Result<usize> {
        let count = self.varint()?;
        match usize::try_from(count) {
            Ok(count) if count.checked_mul(least).is_some_and(|bytes| bytes <= self.remaining()) => Ok(count),
            _ => Err(self.corrupt()),
        }
    }

    /// The next `length` bytes, shared.
    pub(crate) fn take(&mut self, length: u64) -> Result<Bytes> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        match end {
            Some(end) if end <= self.bytes.len() => {
                let slice = self.bytes.slice(self.at..end);
                self.at = end;
                Ok(slice)
            }
            _ => Err(self.corrupt()),
        }
    }

    /// The next slice with its length before it.
    pub(crate) fn slice(&mut self) -> Result<Bytes> {
        let length = self.varint()?;
        self.take(length)
    }

    /// The next slice, as text.
    pub(crate) fn text(&mut self) -> Result<String> {
        let slice = self.slice()?;
        String::from_utf8(slice.into()).map_err(|_| self.corrupt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_put_is_read(values: Vec<u64>, slice: Vec<u8>) {
            let mut out = Vec::new();
            for &value in &values {
                put_varint(&mut out, value);
            }
            put_slice(&mut out, &slice);
            let mut reader = Reader::new(out.into(), "test");
            for &value in &values {
                prop_assert_eq!(reader.varint().unwrap(), value);
            }
            prop_assert_eq!(reader.slice().unwrap(), slice);
            prop_assert_eq!(reader.remaining(), 0);
        }

        #[test]
        fn nonsense_is_an_error_and_no_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(bytes.into(), "test");
            while reader.slice().is_ok() {}
            prop_assert!(reader.count(1).map_or(true, |count| count <= reader.remaining()));
        }
    }

    #[test]
    fn a_varint_beyond_64_bits_is_refused() {
        let mut long = vec![0xff; 9];
        long.push(2);
        assert!(matches!(Reader::new(long.into(), "test").varint(), Err(StoreError::Corrupt { .. })));
    }
}

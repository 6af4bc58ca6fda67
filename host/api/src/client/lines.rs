//! Bodies that come line by line, with a bound on what a line may take.

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt as _};
use serde::de::DeserializeOwned;

use super::pace::{Sort, Trouble};
use crate::{ApiError, ErrorKind, page::Broken};

/// Bytes that a line may have. An outcome is at most 1 MiB, of which JSON may make six times as much, and a batch of
/// them is one event.
pub(super) const MOST_LINE: usize = 256 << 20;

/// A body as it comes in.
pub(super) type Body = BoxStream<'static, Result<Bytes, Trouble>>;

/// The lines of a body.
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// How much of the buffer holds no line's end.
    scanned: usize,
    most: usize,
    over: bool,
}

impl Lines {
    pub(super) fn new(body: Body, most: usize) -> Self {
        Self { body, buffer: BytesMut::new(), scanned: 0, most, over: false }
    }

    /// The next line, without its end; nothing behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        loop {
            if let Some(line) = self.ready()? {
                return Ok(Some(line));
            }
            if self.over {
                let rest = self.buffer.split().freeze();
                self.scanned = 0;
                return Ok((!rest.is_empty()).then_some(rest));
            }
            match self.body.next().await {
                Some(bytes) => self.buffer.extend_from_slice(&bytes?),
                None => self.over = true,
            }
        }
    }

    /// A line that is there already, so that nobody has to wait for it.
    pub(super) fn ready(&mut self) -> Result<Option<Bytes>, Trouble> {
        match memchr::memchr(b'\n', &self.buffer[self.scanned..]) {
            Some(at) => {
                let mut line = self.buffer.split_to(self.scanned + at + 1);
                self.scanned = 0;
                line.truncate(line.len() - 1);
                if line.ends_with(b"\r") {
                    line.truncate(line.len() - 1);
                }
                Ok(Some(line.freeze()))
            }
            None if self.buffer.len() > self.most => {
                Err(unreadable(format!("the control host sent a line of more than {} bytes", self.most)))
            }
            None => {
                self.scanned = self.buffer.len();
                Ok(None)
            }
        }
    }
}

/// What a line says, or that it is the last because something went wrong.
pub(super) fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, Trouble> {
    serde_json::from_slice(line).map_err(|error| match serde_json::from_slice::<Broken>(line) {
        Ok(broken) => Trouble { error: broken.error.into(), sort: Sort::Final },
        Err(_) => {
            let mut trouble = unreadable("the control host sent a line that cannot be read");
            trouble.error = trouble.error.caused_by(error);
            trouble
        }
    })
}

/// What came is nothing that a control host sends.
pub(super) fn unreadable(message: impl Into<String>) -> Trouble {
    Trouble { error: ApiError::new(ErrorKind::Internal, message), sort: Sort::Final }
}

#[cfg(test)]
pub(super) mod tests {
    use futures::stream;

    use super::*;

    /// A body that comes in these pieces.
    pub(in super::super) fn body(pieces: &[&str]) -> Body {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from((*piece).to_owned()))).collect();
        stream::iter(pieces).boxed()
    }

    async fn all(mut lines: Lines) -> Result<Vec<Bytes>, Trouble> {
        let mut all = Vec::new();
        while let Some(line) = lines.next().await? {
            all.push(line);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn lines_come_whole_however_they_are_cut() {
        let text = "one\ntwo\r\n\nfour, without an end";
        for size in 1..text.len() {
            let pieces: Vec<&str> =
                (0..text.len()).step_by(size).map(|at| &text[at..text.len().min(at + size)]).collect();
            let lines = all(Lines::new(body(&pieces), 100)).await.unwrap();
            assert_eq!(lines, ["one", "two", "", "four, without an end"]);
        }
        assert!(all(Lines::new(body(&[]), 100)).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_line_without_end_is_not_gathered() {
        let trouble = all(Lines::new(body(&["ab\n", "0123456789", "0123456789"]), 15)).await.unwrap_err();
        assert_eq!(trouble.sort, Sort::Final);
        assert!(trouble.error.message.contains("more than 15 bytes"));
    }

    #[test]
    fn the_last_line_tells_what_went_wrong() {
        assert_eq!(parse::<u64>(b"7").unwrap(), 7);
        let told = parse::<u64>(br#"{"error":{"status":507,"kind":"exhausted","detail":"the disk is full"}}"#);
        let told = told.unwrap_err().error;
        assert_eq!((told.kind, &*told.message), (ErrorKind::Exhausted, "the disk is full"));
        assert_eq!(parse::<u64>(b"{}").unwrap_err().error.kind, ErrorKind::Internal);
    }
}

//! HTTP/1.1 by hand, for clients that behave worse than ours.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// One connection, which is kept.
pub(crate) struct Http {
    stream: BufReader<TcpStream>,
    token: String,
}

/// An answer, all of it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Http {
    pub(crate) fn connect(address: SocketAddr, token: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream: BufReader::new(stream), token: token.to_owned() })
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: pigeon\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.answer()
    }

    /// Asks for what goes on for ever, and gives it line by line.
    pub(crate) fn follow(mut self, path: &str) -> io::Result<impl Iterator<Item = String>> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: pigeon\r\nauthorization: Bearer {}\r\n\r\n", self.token);
        self.stream.get_mut().write_all(request.as_bytes())?;
        Ok(self.stream.lines().map_while(Result::ok))
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let (mut status, mut length, mut retry_after, mut line) = (None, 0, None, String::new());
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            match line.split_once(": ") {
                _ if line.is_empty() => break,
                Some(("content-length", value)) => length = value.parse().map_err(io::Error::other)?,
                Some(("retry-after", value)) => retry_after = Some(value.to_owned()),
                Some(_) => {}
                None => status = line.split(' ').nth(1).and_then(|status| status.parse().ok()),
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let status = status.ok_or_else(|| io::Error::other("an answer without a status"))?;
        Ok(Answer { status, retry_after, body })
    }
}

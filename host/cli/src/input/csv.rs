//! CSV rows (RFC 4180), each as a JSON object of strings whose keys are the header's fields.
//!
//! Commas part fields, LF or CRLF part rows, a quoted field may hold both, and a doubled quote in it is a quote. The
//! first row is the header. Blank lines are skipped and counted. A row with more or fewer fields than the header, or
//! with a quote where none may be, is bad input rather than a guess.

use super::{
    error::Problem,
    split::{Fault, Step, is_blank},
};

/// Splits CSV.
#[derive(Debug, Default)]
pub(crate) struct Csv {
    /// The columns' names, each already written as `"name":`. Empty before the header was seen.
    columns: Vec<Vec<u8>>,
    /// The row that was found last, as a JSON object.
    row: Vec<u8>,
    fields: Vec<Field>,
}

/// A field: its bytes, without the quotes around it.
#[derive(Debug, Clone, Copy)]
struct Field {
    from: usize,
    to: usize,
    /// Whether it holds doubled quotes.
    doubled: bool,
}

impl Csv {
    /// The row that [`Step::Row`] announced.
    pub(crate) fn row(&self) -> &[u8] {
        &self.row
    }

    /// Whether the header is known. A reader that starts in the middle of a file shows it the header first.
    pub(crate) fn has_header(&self) -> bool {
        !self.columns.is_empty()
    }

    /// The next row.
    pub(crate) fn step(&mut self, data: &[u8], end: bool) -> Result<Step, Fault> {
        if data.is_empty() {
            return Ok(if end { Step::End } else { Step::More });
        }
        match memchr::memchr(b'\n', data) {
            Some(at) if is_blank(&data[..at]) => return Ok(Step::Skip { taken: at + 1, blank: true }),
            None if end && is_blank(data) => return Ok(Step::Skip { taken: data.len(), blank: true }),
            None if !end => return Ok(Step::More),
            _ => {}
        }
        let Some(taken) = self.scan(data, end)? else { return Ok(Step::More) };
        if self.columns.is_empty() {
            self.header(data)?;
            return Ok(Step::Skip { taken, blank: false });
        }
        if self.fields.len() != self.columns.len() {
            let problem = Problem::FieldCount { found: self.fields.len(), header: self.columns.len() };
            return Err(Fault { at: 0, problem });
        }
        self.row.clear();
        self.row.push(b'{');
        for (at, (column, field)) in self.columns.iter().zip(&self.fields).enumerate() {
            if at > 0 {
                self.row.push(b',');
            }
            self.row.extend_from_slice(column);
            write_string(&mut self.row, data, *field);
        }
        self.row.push(b'}');
        Ok(Step::Row { taken })
    }

    /// Find the fields of the row at the start of `data`, and how many bytes it takes; `None` if it is not all there.
    fn scan(&mut self, data: &[u8], end: bool) -> Result<Option<usize>, Fault> {
        self.fields.clear();
        let mut at = 0;
        loop {
            let (field, next) = if data.get(at) == Some(&b'"') {
                match quoted(data, at, end)? {
                    Some(found) => found,
                    None => return Ok(None),
                }
            } else {
                match memchr::memchr3(b',', b'\n', b'"', &data[at..]).map(|found| at + found) {
                    Some(stop) if data[stop] == b'"' => return Err(Fault { at: stop, problem: Problem::BareQuote }),
                    Some(stop) => (Field { from: at, to: stop, doubled: false }, stop),
                    None if end => (Field { from: at, to: data.len(), doubled: false }, data.len()),
                    None => return Ok(None),
                }
            };
            let mut field = field;
            match data.get(next) {
                Some(b',') => {
                    self.fields.push(field);
                    at = next + 1;
                }
                // A line feed, or the end of the file. The CR of a CRLF belongs to no field that is not quoted.
                stop => {
                    if field.to == next && field.to > field.from && data[field.to - 1] == b'\r' {
                        field.to -= 1;
                    }
                    self.fields.push(field);
                    return Ok(Some(next + usize::from(stop.is_some())));
                }
            }
        }
    }

    fn header(&mut self, data: &[u8]) -> Result<(), Fault> {
        for field in &self.fields {
            let mut column = Vec::new();
            write_string(&mut column, data, *field);
            column.push(b':');
            if self.columns.contains(&column) {
                let name = String::from_utf8_lossy(&data[field.from..field.to]).into_owned();
                self.columns.clear();
                return Err(Fault { at: field.from, problem: Problem::DuplicateColumn(name) });
            }
            self.columns.push(column);
        }
        Ok(())
    }
}

/// The quoted field whose opening quote is at `open`, and where the comma or line break behind it is.
fn quoted(data: &[u8], open: usize, end: bool) -> Result<Option<(Field, usize)>, Fault> {
    let (mut at, mut doubled) = (open + 1, false);
    loop {
        let Some(quote) = memchr::memchr(b'"', &data[at..]).map(|found| at + found) else {
            return if end { Err(Fault { at: open, problem: Problem::OpenQuote }) } else { Ok(None) };
        };
        let field = Field { from: open + 1, to: quote, doubled };
        match (data.get(quote + 1), data.get(quote + 2)) {
            (Some(b'"'), _) => {
                doubled = true;
                at = quote + 2;
            }
            (Some(b',' | b'\n'), _) => return Ok(Some((field, quote + 1))),
            (Some(b'\r'), Some(b'\n')) => return Ok(Some((field, quote + 2))),
            (Some(b'\r'), None) if end => return Ok(Some((field, quote + 2))),
            (None, _) if end => return Ok(Some((field, quote + 1))),
            (None, _) | (Some(b'\r'), None) => return Ok(None),
            (Some(_), _) => return Err(Fault { at: quote + 1, problem: Problem::BehindQuote }),
        }
    }
}

/// Write a field as a JSON string. The text was found to be UTF-8 before it was split.
fn write_string(out: &mut Vec<u8>, data: &[u8], field: Field) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = &data[field.from..field.to];
    out.push(b'"');
    let mut from = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            at += 1;
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        match byte {
            b'"' => {
                out.extend_from_slice(b"\\\"");
                // The second of a doubled pair.
                at += usize::from(field.doubled);
            }
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        at += 1;
        from = at;
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

//! What can be wrong with a text, and how to say so.

use std::fmt;

/// The first thing in a text that is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Where: bytes from the start of the body, a byte order mark included. At most the body's length.
    pub offset: usize,
}

/// The ways in which a text can fail to be JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are not UTF-8. Looked for first, in the whole body.
    NotUtf8,
    /// Nothing but white space.
    Empty,
    /// The text ends in the middle of an object or an array.
    UnexpectedEnd,
    /// Something that begins no value stands where one must.
    ExpectedValue,
    /// An object's member does not begin with a string.
    ExpectedKey,
    /// No colon behind a key.
    ExpectedColon,
    /// Neither a comma nor the end behind an element.
    ExpectedComma,
    /// A comma with no element behind it.
    TrailingComma,
    /// Something other than white space behind the document.
    TrailingData,
    /// A string that never ends. The offset is that of its opening quote.
    UnclosedString,
    /// A character below U+0020 in a string, not escaped.
    ControlCharacter,
    /// A backslash with a character behind it that makes no escape.
    BadEscape,
    /// `\u` without four hexadecimal digits.
    BadUnicodeEscape,
    /// A number that begins with a superfluous zero.
    LeadingZero,
    /// A number that lacks digits.
    BadNumber,
}

impl ErrorKind {
    /// All there are, in the order in which they are declared.
    pub const ALL: [ErrorKind; 15] = [
        ErrorKind::NotUtf8,
        ErrorKind::Empty,
        ErrorKind::UnexpectedEnd,
        ErrorKind::ExpectedValue,
        ErrorKind::ExpectedKey,
        ErrorKind::ExpectedColon,
        ErrorKind::ExpectedComma,
        ErrorKind::TrailingComma,
        ErrorKind::TrailingData,
        ErrorKind::UnclosedString,
        ErrorKind::ControlCharacter,
        ErrorKind::BadEscape,
        ErrorKind::BadUnicodeEscape,
        ErrorKind::LeadingZero,
        ErrorKind::BadNumber,
    ];

    /// A stable name for machines, in kebab-case.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            ErrorKind::NotUtf8 => "not-utf8",
            ErrorKind::Empty => "empty",
            ErrorKind::UnexpectedEnd => "unexpected-end",
            ErrorKind::ExpectedValue => "expected-value",
            ErrorKind::ExpectedKey => "expected-key",
            ErrorKind::ExpectedColon => "expected-colon",
            ErrorKind::ExpectedComma => "expected-comma",
            ErrorKind::TrailingComma => "trailing-comma",
            ErrorKind::TrailingData => "trailing-data",
            ErrorKind::UnclosedString => "unclosed-string",
            ErrorKind::ControlCharacter => "control-character",
            ErrorKind::BadEscape => "bad-escape",
            ErrorKind::BadUnicodeEscape => "bad-unicode-escape",
            ErrorKind::LeadingZero => "leading-zero",
            ErrorKind::BadNumber => "bad-number",
        }
    }

    /// What it means, for people, without a place.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            ErrorKind::NotUtf8 => "the bytes are not UTF-8",
            ErrorKind::Empty => "the text holds no JSON value",
            ErrorKind::UnexpectedEnd => "the text ends before its objects and arrays do",
            ErrorKind::ExpectedValue => "expected a value",
            ErrorKind::ExpectedKey => "expected a key: a string in double quotes",
            ErrorKind::ExpectedColon => "expected a colon behind the key",
            ErrorKind::ExpectedComma => "expected a comma or the end of the object or array",
            ErrorKind::TrailingComma => "a comma with no element behind it",
            ErrorKind::TrailingData => "expected nothing but white space behind the document",
            ErrorKind::UnclosedString => "the string has no closing quote",
            ErrorKind::ControlCharacter => "a control character in a string must be escaped",
            ErrorKind::BadEscape => "a backslash that begins no escape",
            ErrorKind::BadUnicodeEscape => "\\u needs four hexadecimal digits",
            ErrorKind::LeadingZero => "a number must not begin with a superfluous zero",
            ErrorKind::BadNumber => "a number lacks digits",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

impl Error {
    /// One sentence for people that names what was found. `body` is the text that was parsed.
    #[must_use]
    pub fn message(&self, body: &[u8]) -> String {
        let mut message = self.kind.describe().to_owned();
        if matches!(self.kind, ErrorKind::Empty | ErrorKind::UnexpectedEnd | ErrorKind::UnclosedString) {
            return message;
        }
        message.push_str(", found ");
        let rest = body.get(self.offset..).unwrap_or_default();
        match (rest.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()), rest.first()) {
            (Some(found), _) if found.is_control() || found == '\u{feff}' => {
                message.push_str(&format!("U+{:04X}", u32::from(found)));
            }
            (Some(found), _) => {
                message.push('`');
                message.push(found);
                message.push('`');
            }
            (None, Some(byte)) => message.push_str(&format!("the byte 0x{byte:02X}")),
            (None, None) => message.push_str("the end of the text"),
        }
        message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind, self.offset)
    }
}

impl std::error::Error for Error {}

//! Values as JSON text for messages, cut at 200 characters, a step for each node that is written.

use super::machine::{Machine, Stop};
use super::value::Value;

/// The most characters of a value in a message.
const MOST: usize = 200;

/// What is still to be written, the last first.
#[derive(Debug, Clone, Copy)]
enum Item {
    Value(Value),
    /// This many elements or members, from the first of them on.
    Rest {
        next: u32,
        remaining: u32,
        members: bool,
    },
    Close(char),
}

/// Text that grows no further than it will be told.
#[derive(Debug, Default)]
struct Text {
    text: String,
    characters: usize,
}

impl Text {
    fn push(&mut self, char: char) {
        if self.characters < MOST {
            self.text.push(char);
        }
        self.characters += 1;
    }

    fn push_str(&mut self, text: &str) {
        text.chars().take(MOST + 1).for_each(|char| self.push(char));
    }

    fn push_quoted(&mut self, wtf8: &[u8]) {
        // No more than 4 bytes a character: a string of a megabyte is not looked through.
        let head = wtf8.get(..wtf8.len().min(4 * MOST + 4)).unwrap_or_default();
        self.push('"');
        for char in String::from_utf8_lossy(head).chars() {
            match char {
                '"' | '\\' => {
                    self.push('\\');
                    self.push(char);
                }
                '\n' => self.push_str("\\n"),
                '\r' => self.push_str("\\r"),
                '\t' => self.push_str("\\t"),
                control if control.is_control() => self.push_str(&format!("\\u{:04x}", u32::from(control))),
                other => self.push(other),
            }
        }
        self.push('"');
    }

    fn is_full(&self) -> bool {
        self.characters > MOST
    }
}

impl Machine<'_> {
    /// The value as JSON text; functions as `a function`.
    ///
    /// # Errors
    /// [`Stop::StepLimit`] if the steps do not suffice.
    pub(super) fn show(&mut self, value: Value) -> Result<String, Stop> {
        let mut text = Text::default();
        let mut items = vec![Item::Value(value)];
        while let Some(item) = items.pop()
            && !text.is_full()
        {
            match item {
                Item::Close(bracket) => text.push(bracket),
                Item::Rest { next, remaining, members } => {
                    if remaining > 1 {
                        items.push(Item::Rest { next: next + 1, remaining: remaining - 1, members });
                        items.push(Item::Close(','));
                    }
                    let pool = self.program.pool;
                    let value = if members {
                        let Some((name, value)) = pool.members.get(next as usize) else { continue };
                        text.push_quoted(self.program.names.text(*name));
                        text.push(':');
                        *value
                    } else {
                        self.heap.element(&pool.elements, next)
                    };
                    items.push(Item::Value(value));
                }
                Item::Value(value) => {
                    self.step()?;
                    match value {
                        Value::Bool(bool) => text.push_str(if bool { "true" } else { "false" }),
                        Value::Number(number) => text.push_str(&number.to_string()),
                        Value::Text(name) => text.push_quoted(self.program.names.text(name)),
                        Value::Vector { start, len, .. } => {
                            text.push('[');
                            items.push(Item::Close(']'));
                            if len > 0 {
                                items.push(Item::Rest { next: start, remaining: len, members: false });
                            }
                        }
                        Value::Object { start, len } => {
                            text.push('{');
                            items.push(Item::Close('}'));
                            if len > 0 {
                                items.push(Item::Rest { next: start, remaining: len, members: true });
                            }
                        }
                        other => text.push_str(other.describe()),
                    }
                }
            }
        }
        if text.is_full() {
            text.text.push('\u{2026}');
        }
        Ok(text.text)
    }
}

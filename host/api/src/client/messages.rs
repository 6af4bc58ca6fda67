//! Server-sent events, as the HTML standard has them, over bounded lines.
//!
//! The crates that read them gather an event of any size; what bounds lines bounds events as well, and the format has
//! three fields that matter here.

use super::{
    lines::{Body, Lines, MOST_LINE, unreadable},
    pace::Trouble,
};

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// An event.
    Message {
        /// Its name.
        event: String,
        /// Its data.
        data: String,
    },
    /// A comment, which shows that the connection lives.
    Comment,
}

/// The events of a body.
pub(super) struct Messages {
    lines: Lines,
    begun: bool,
    event: String,
    data: Option<String>,
    most: usize,
}

impl Messages {
    pub(super) fn new(body: Body) -> Self {
        Self::bounded(body, MOST_LINE)
    }

    fn bounded(body: Body, most: usize) -> Self {
        Self { lines: Lines::new(body, most), begun: false, event: String::new(), data: None, most }
    }

    /// The next of them; nothing at the end. An event that is not ended is not told.
    pub(super) async fn next(&mut self) -> Result<Option<Said>, Trouble> {
        while let Some(line) = self.lines.next().await? {
            let line = std::str::from_utf8(&line);
            let mut line = line.map_err(|_| unreadable("the control host sent an event that is not UTF-8"))?;
            if !std::mem::replace(&mut self.begun, true) {
                line = line.strip_prefix('\u{feff}').unwrap_or(line);
            }
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                match self.data.take() {
                    Some(data) => return Ok(Some(Said::Message { event, data })),
                    None => continue,
                }
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => return Ok(Some(Said::Comment)),
                "event" => value.clone_into(&mut self.event),
                "data" => {
                    let data = match &mut self.data {
                        Some(data) => {
                            data.push('\n');
                            data
                        }
                        none => none.insert(String::new()),
                    };
                    data.push_str(value);
                    if data.len() > self.most {
                        return Err(unreadable(format!(
                            "the control host sent an event of more than {} bytes",
                            self.most
                        )));
                    }
                }
                // The cursor lies in the data, and when to come back is for the client to say.
                _ => {}
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::lines::tests::body, *};

    async fn all(mut messages: Messages) -> Result<Vec<Said>, Trouble> {
        let mut all = Vec::new();
        while let Some(said) = messages.next().await? {
            all.push(said);
        }
        Ok(all)
    }

    fn message(event: &str, data: &str) -> Said {
        Said::Message { event: event.to_owned(), data: data.to_owned() }
    }

    #[tokio::test]
    async fn events_are_read_as_the_standard_has_them() {
        let text = concat!(
            "\u{feff}event: note\nid: 3\ndata: \"a: b\"\n\n",
            ": still there\n",
            "retry: 10\n\n",
            "data:first\r\ndata:  second\r\nunknown: x\r\n\r\n",
            "data\n\n",
            "event: lost\ndata: because it has no end\n",
        );
        let expected = [message("note", "\"a: b\""), Said::Comment, message("", "first\n second"), message("", "")];
        assert_eq!(all(Messages::new(body(&[text]))).await.unwrap(), expected);
        let pieces: Vec<String> = text.chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        assert_eq!(all(Messages::new(body(&pieces))).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn an_event_of_many_lines_is_bounded_as_one_of_one() {
        let endless = ["data: 0123456789\n"; 10].concat();
        let error = all(Messages::bounded(body(&[&endless]), 50)).await.unwrap_err().error;
        assert!(error.message.contains("more than 50 bytes"), "{error}");
    }
}

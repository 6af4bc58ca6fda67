//! Streams of events that outlive their connection.
//!
//! The cursor moves with every event that has one. When the connection is lost, or nothing came for too long, the stream
//! asks for what is behind the cursor; what comes again although it was told already is dropped. So whoever listens hears
//! every event with a cursor once, whatever restarts in between.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt as _};
use reqwest::Url;
use serde::de::DeserializeOwned;

use super::{
    Inner,
    call::{Call, lost},
    lines::{Body, Lines, MOST_LINE, parse},
    messages::{Messages, Said},
    pace::{Pace, Repeat, Sort, Trouble},
};
use crate::{ApiError, ErrorKind, Event, ItemResult, JobEvent, Landed, Result, sse};

/// Something that is told in events.
pub(super) trait Told: Sized + Send + 'static {
    /// What an event says; nothing if it is of no use.
    fn read(event: &str, data: &str) -> Result<Option<Self>>;
    /// The cursor behind it.
    fn cursor(&self) -> Option<u64>;
    /// Whether nothing follows.
    fn is_last(&self) -> bool;
}

impl Told for JobEvent {
    fn read(event: &str, data: &str) -> Result<Option<Self>> {
        sse::job_event(event, data)
    }

    fn cursor(&self) -> Option<u64> {
        match self {
            JobEvent::Landed(landed) => Some(landed.batch),
            JobEvent::Progress(_) | JobEvent::Note(_) | JobEvent::Finished(_) => None,
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, JobEvent::Finished(_))
    }
}

impl Told for Event {
    fn read(event: &str, data: &str) -> Result<Option<Self>> {
        sse::log_event(event, data)
    }

    fn cursor(&self) -> Option<u64> {
        Some(self.seq)
    }

    fn is_last(&self) -> bool {
        false
    }
}

/// What is told at this URL, whose query gets the cursor as `after`. Whether it can be told at all is known when this
/// returns.
pub(super) async fn events<T: Told>(client: Arc<Inner>, url: Url, after: u64) -> Result<BoxStream<'static, Result<T>>> {
    let mut follow = Follow { client, url, after, messages: None, pace: Pace::default(), over: false };
    follow.connect().await?;
    let events = stream::unfold(follow, |mut follow| async move {
        let event = follow.next::<T>().await.transpose()?;
        follow.over |= event.is_err();
        Some((event, follow))
    });
    Ok(events.boxed())
}

struct Follow {
    client: Arc<Inner>,
    url: Url,
    after: u64,
    messages: Option<Messages>,
    /// Of connections that brought nothing.
    pace: Pace,
    over: bool,
}

impl Follow {
    async fn connect(&mut self) -> Result<&mut Messages> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("after", &self.after.to_string());
        let body = self.client.open(&Call::get(url)).await?;
        Ok(self.messages.insert(Messages::new(body)))
    }

    async fn next<T: Told>(&mut self) -> Result<Option<T>> {
        while !self.over {
            let messages = match &mut self.messages {
                Some(messages) => messages,
                None => self.connect().await?,
            };
            let trouble = match messages.next().await {
                Ok(Some(said)) => {
                    self.pace.reset();
                    let Said::Message { event, data } = said else { continue };
                    match T::read(&event, &data) {
                        Ok(Some(told)) => {
                            if let Some(cursor) = told.cursor() {
                                if cursor <= self.after {
                                    continue;
                                }
                                self.after = cursor;
                            }
                            self.over = told.is_last();
                            return Ok(Some(told));
                        }
                        Ok(None) => continue,
                        Err(error) => Trouble { sort: sort(&error), error },
                    }
                }
                Ok(None) => lost(&self.url),
                Err(trouble) => trouble,
            };
            self.messages = None;
            self.client.pause(&mut self.pace, Repeat::Safe, trouble).await?;
        }
        Ok(None)
    }
}

/// What an error that was told in the middle of a stream means for the stream.
fn sort(error: &ApiError) -> Sort {
    match error.kind {
        ErrorKind::Unreachable | ErrorKind::Overloaded => Sort::Later(None),
        _ => Sort::Final,
    }
}

/// A line that knows where it stands in its stream.
pub(super) trait Placed: DeserializeOwned + Send + 'static {
    /// Its place, ascending.
    fn place(&self) -> u64;
}

impl Placed for ItemResult {
    fn place(&self) -> u64 {
        self.index
    }
}

impl Placed for Landed {
    fn place(&self) -> u64 {
        self.batch
    }
}

/// Lines gathered at most before they are given on.
const PAGE: usize = 1024;

/// What stands at this URL line by line, some of them at a time. After a lost connection it is read once more, and what
/// was told already is passed over.
pub(super) async fn lines<T: Placed>(client: Arc<Inner>, url: Url) -> Result<BoxStream<'static, Result<Vec<T>>>> {
    let call = Call::get(url);
    let lines = Some(open(client.open(&call).await?));
    let read = Read { client, call, lines, told: None, trouble: None, pace: Pace::default(), over: false };
    let pages = stream::unfold(read, |mut read| async move {
        let page = read.page::<T>().await.transpose()?;
        read.over |= page.is_err();
        Some((page, read))
    });
    Ok(pages.boxed())
}

fn open(body: Body) -> Lines {
    Lines::new(body, MOST_LINE)
}

struct Read {
    client: Arc<Inner>,
    call: Call,
    lines: Option<Lines>,
    /// Place of the last line that was told.
    told: Option<u64>,
    /// What went wrong behind it.
    trouble: Option<Trouble>,
    pace: Pace,
    over: bool,
}

impl Read {
    async fn page<T: Placed>(&mut self) -> Result<Option<Vec<T>>> {
        while !self.over {
            if let Some(trouble) = self.trouble.take() {
                self.lines = None;
                self.client.pause(&mut self.pace, Repeat::Safe, trouble).await?;
            }
            let lines = match &mut self.lines {
                Some(lines) => lines,
                None => self.lines.insert(open(self.client.open(&self.call).await?)),
            };
            let (page, more) = gather(lines, &mut self.told).await;
            match more {
                Ok(more) => self.over = !more,
                Err(trouble) => self.trouble = Some(trouble),
            }
            if !page.is_empty() {
                self.pace.reset();
                return Ok(Some(page));
            }
        }
        Ok(None)
    }
}

/// The next line and those that are there with it, as far as they are new; and whether more may follow.
async fn gather<T: Placed>(lines: &mut Lines, told: &mut Option<u64>) -> (Vec<T>, Result<bool, Trouble>) {
    let mut page = Vec::new();
    let mut line = lines.next().await;
    let more = loop {
        match line {
            // Said while there is nothing to say, to show that the connection lives.
            Ok(Some(bytes)) if bytes.is_empty() => {}
            Ok(Some(bytes)) => match parse::<T>(&bytes) {
                Ok(value) if told.is_some_and(|told| value.place() <= told) => {}
                Ok(value) => {
                    *told = Some(value.place());
                    page.push(value);
                }
                Err(trouble) => break Err(trouble),
            },
            Ok(None) => break Ok(false),
            Err(trouble) => break Err(trouble),
        }
        if page.len() >= PAGE {
            break Ok(true);
        }
        line = match lines.ready() {
            Ok(None) if page.is_empty() => lines.next().await,
            Ok(None) => break Ok(true),
            ready => ready,
        };
    };
    (page, more)
}

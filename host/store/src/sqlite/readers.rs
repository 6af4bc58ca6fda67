//! Connections that read, off the async threads and beside the writer.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::schema;
use crate::{Result, StoreError};

/// Reads that are made at once.
const READERS: usize = 4;

/// A small pool of connections that read.
#[derive(Debug, Clone)]
pub(super) struct Readers(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    database: PathBuf,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Readers of a database that exists. Connections are opened as they are needed.
    pub(super) fn new(database: PathBuf) -> Self {
        Self(Arc::new(Pool { database, permits: Semaphore::new(READERS), idle: Mutex::new(Vec::new()) }))
    }

    /// Read. All of it sees what was committed before it began, and nothing that comes later.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let pool = self.0.clone();
        let _permit = self.0.permits.acquire().await.map_err(|_| StoreError::Closed)?;
        let work = move || {
            let idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = idle.map_or_else(|| schema::open_reader(&pool.database), Ok)?;
            // It changes nothing, so whether it is committed or rolled back is one.
            let value = connection.unchecked_transaction().map_err(StoreError::from).and_then(|moment| read(&moment));
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            value
        };
        let read = spawn_blocking(work).await.map_err(|_| StoreError::Closed)?;
        read.map_err(|error| error.in_database(&self.0.database))
    }
}

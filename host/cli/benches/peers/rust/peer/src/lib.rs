//! What the programs of both Rust peers do alike: read the document, validate it, count, and say how far they are.

use std::{
    env::var,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use tokio::signal::unix::{SignalKind, signal};

/// Where the database is.
pub fn url() -> Result<String> {
    Ok(var("PEER_URL")?)
}

/// The document that is enqueued, over and over.
pub fn document() -> Result<String> {
    Ok(fs::read_to_string(var("PEER_DOCUMENT")?)?.trim_end().to_owned())
}

/// Counts what a worker has validated: a byte of a file for each.
#[derive(Clone)]
pub struct Counter(Arc<File>);

impl Counter {
    /// Makes the file, which says that the worker is ready.
    pub fn new() -> Result<Self> {
        let path = Path::new(&var("PEER_COUNT")?).join(std::process::id().to_string());
        Ok(Self(Arc::new(OpenOptions::new().create(true).append(true).open(path)?)))
    }

    /// Whether a document is JSON; counted if it is.
    pub fn validate(&self, document: &str) -> Result<()> {
        let value: serde_json::Value = serde_json::from_str(document)?;
        ensure!(value.is_object(), "the document is no object");
        (&*self.0).write_all(b".").context("failed to count")
    }
}

/// Says that all is ready, and waits for the word.
pub fn wait_for_the_word() -> Result<()> {
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Waits until this process is told to end.
pub async fn stopped() -> Result<()> {
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

//! Items on their way from the reader into the job.
//!
//! Reading blocks, so it has a thread of its own; two chunks may wait between it and the job, and the job holds back
//! where much is not judged yet.

use std::thread;

use pigeon_api::{Chunk, ChunkBuilder, JobId, Pigeon};
use tokio::sync::mpsc;

use super::cuts::Cuts;
use crate::{
    exit::Failed,
    input::{InputError, Reader},
};

/// Chunks between the reader and the job.
const AHEAD: usize = 2;

/// A reader, and what it has read already.
pub(super) struct Feed {
    pub(super) reader: Reader,
    pub(super) builder: ChunkBuilder,
    /// Chunks that go first.
    pub(super) read: Vec<Chunk>,
    /// What stood behind them instead of more.
    pub(super) failed: Option<InputError>,
    /// Whether blank lines are still to be told of: those of streams are not known before.
    pub(super) tell_blank: bool,
    /// What is missing already.
    pub(super) cuts: Cuts,
}

/// What became of the feeding.
pub(super) struct Fed {
    /// Blank lines that were skipped and not told of.
    pub(super) blank: u64,
    /// What was wrong with the input. The job was sealed with what came before it, unless it is held open.
    pub(super) cuts: Cuts,
    /// Whether the job was left open: it lacks a part of its input.
    pub(super) held: bool,
}

impl Feed {
    /// Append all that there is, and seal the job.
    ///
    /// What is missing of a job in this process is written down here, where its reports are made. A server is asked by
    /// others, who would take a sealed job for a whole one: there it stays open, nothing is appended past the part that
    /// is missing, and once that is back the job goes on with it.
    ///
    /// # Errors
    /// If the job does not take it.
    pub(super) async fn run(self, client: &dyn Pigeon, job: JobId, local: bool) -> Result<Fed, Failed> {
        let Feed { mut reader, mut builder, read, failed, tell_blank, cuts } = self;
        for chunk in read {
            client.append(job, chunk).await?;
        }
        let mut fed = Fed { blank: reader.blank(), cuts, held: false };
        let is_cut = !fed.cuts.cuts.is_empty();
        if let Some(error) = &failed {
            fed.cuts.add(error);
        } else if local || !is_cut {
            let (sender, mut chunks) = mpsc::channel(AHEAD);
            let reading = thread::Builder::new().name("reader".to_owned()).spawn(move || {
                loop {
                    let next = reader.next_chunk(&mut builder, usize::MAX).transpose();
                    let Some(next) = next else { return reader.blank() };
                    let failed = next.is_err();
                    if sender.blocking_send(next).is_err() || failed {
                        return reader.blank();
                    }
                }
            });
            let reading = reading.map_err(|error| Failed::machinery("failed to start reading").caused_by(error))?;
            while let Some(chunk) = chunks.recv().await {
                match chunk {
                    Ok(chunk) => client.append(job, chunk).await?,
                    Err(error) => fed.cuts.add(&error),
                }
            }
            // The channel is closed, so the thread is at its end.
            fed.blank = reading.join().unwrap_or(0);
        }
        if !tell_blank {
            fed.blank = 0;
        }
        fed.held = !local && !fed.cuts.cuts.is_empty();
        if fed.held {
            return Ok(fed);
        }
        // First, so that a sealed job never looks whole that is not.
        fed.cuts.write(job)?;
        client.seal(job).await?;
        Ok(fed)
    }
}

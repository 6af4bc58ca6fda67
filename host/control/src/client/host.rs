//! The control host itself: tokens, limits, figures, backups.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
};

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};
use pigeon_api::{
    ApiError, ErrorKind, EventKind, HostStats, HostStatus, JobState, NewToken, PluginLimits, QueueStatus, Result,
    ScheduleInfo, ScheduleSpec, TokenSpec, words::plural,
};
use tokio::sync::mpsc;

use super::Client;
use crate::{
    clock,
    core::{Core, Serving, group, grouped},
    error::store_error,
    journal::About,
    owner::{Command, Overview},
    stats,
    status::word,
};

/// Pieces of a backup that wait to be taken, and how large they are, in bytes.
const PIECES: usize = 4;
const PIECE: usize = 256 << 10;

impl Client {
    /// What only a control host that serves many has.
    pub(super) fn serving(&self) -> Result<&Serving> {
        let refuse = || ApiError::new(ErrorKind::Unsupported, "an embedded control host has no tokens: nobody asks it");
        self.core.serving.as_ref().ok_or_else(refuse)
    }

    pub(super) async fn new_token(&self, spec: TokenSpec) -> Result<NewToken> {
        let token = self.serving()?.tokens.create(spec).await?;
        let message = format!("was made, with the role {}", token.info.role);
        self.core.journal.note(&self.author, EventKind::TokenCreated, About::named(&token.info.name), message);
        self.core.journal.flush().await;
        Ok(token)
    }

    pub(super) async fn forget_token(&self, name: &str) -> Result<()> {
        self.serving()?.tokens.revoke(name).await?;
        self.core.journal.note(&self.author, EventKind::TokenRevoked, About::named(name), "was revoked");
        self.core.journal.flush().await;
        Ok(())
    }

    pub(super) async fn new_schedule(&self, spec: ScheduleSpec) -> Result<ScheduleInfo> {
        let added = self.core.schedules()?.add(spec, &self.author).await?;
        self.note_schedule(EventKind::ScheduleAdded, &added.name, "was added").await;
        Ok(added)
    }

    pub(super) async fn hold_schedule(&self, name: &str, paused: bool) -> Result<ScheduleInfo> {
        let held = self.core.schedules()?.pause(name, paused).await?;
        match paused {
            true => self.note_schedule(EventKind::SchedulePaused, name, "was paused").await,
            false => self.note_schedule(EventKind::ScheduleResumed, name, "goes on").await,
        }
        Ok(held)
    }

    pub(super) async fn forget_schedule(&self, name: &str) -> Result<()> {
        self.core.schedules()?.remove(name).await?;
        self.note_schedule(EventKind::ScheduleRemoved, name, "was removed").await;
        Ok(())
    }

    async fn note_schedule(&self, kind: EventKind, name: &str, message: &str) {
        self.core.journal.note(&self.author, kind, About::named(name), message);
        self.core.journal.flush().await;
    }

    pub(super) async fn limits_of(&self, name: &str) -> Result<PluginLimits> {
        self.must_be_plugin(name).await?;
        let failed = || format!("failed to read the limits of plugin {name}");
        let all = self.core.store.plugin_limits().await.map_err(|error| store_error(failed(), error))?;
        match all.into_iter().find(|(limited, _)| limited == name) {
            Some((_, limits)) => serde_json::from_slice(&limits)
                .map_err(|error| ApiError::new(ErrorKind::Internal, failed()).caused_by(error)),
            None => Ok(PluginLimits::default()),
        }
    }

    pub(super) async fn limit_plugin(&self, name: &str, limits: PluginLimits) -> Result<()> {
        self.must_be_plugin(name).await?;
        let nothing = limits.rate.is_some_and(|rate| rate.runs == 0 || rate.per_ms == 0);
        if nothing || limits.max_parallel == Some(0) {
            let message = "limits of 0 would have nothing run";
            return Err(ApiError::new(ErrorKind::BadRequest, message).hint("pause the jobs that shall wait"));
        }
        let failed = || format!("failed to limit plugin {name}");
        let kept = match limits == PluginLimits::default() {
            true => None,
            false => {
                let kept = serde_json::to_vec(&limits);
                Some(kept.map_err(|error| ApiError::new(ErrorKind::Internal, failed()).caused_by(error))?.into())
            }
        };
        self.core.store.put_plugin_limits(name, kept).await.map_err(|error| store_error(failed(), error))?;
        self.core.tell(Command::Group(group(name), grouped(limits))).await?;
        let parallel = limits.max_parallel.map(|most| format!("at most {} at once", plural(most.into(), "lease")));
        let rate = limits.rate.map(|rate| format!("at most {} in {} ms", plural(rate.runs.into(), "run"), rate.per_ms));
        let told: Vec<String> = parallel.into_iter().chain(rate).collect();
        let message = if told.is_empty() { "has no limits any more".to_owned() } else { told.join(", ") };
        self.core.journal.note(&self.author, EventKind::PluginLimited, About::named(name), message);
        self.core.journal.flush().await;
        Ok(())
    }

    async fn must_be_plugin(&self, name: &str) -> Result<()> {
        let none = || ApiError::new(ErrorKind::NotFound, format!("there is no plugin named {name:?}"));
        if name.contains(['@', ':']) {
            return Err(none().hint("limits are of all versions: name it without one"));
        }
        match self.core.registry.resolve(name).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            Err(error) => Err(error.hint.map_or_else(none, |hint| none().hint(hint))),
        }
    }

    pub(super) async fn host_status(&self) -> Result<HostStatus> {
        let failed = |error| store_error("failed to look how the control host stands", error);
        let store = &self.core.store;
        let counts = store.job_counts().await.map_err(failed)?;
        let overview = self.core.ask(Command::Look).await?;
        let now_ms = clock::now_ms();
        let (queue, at_work) = self.core.queue(&overview, now_ms);
        let interrupted = counts.active.saturating_sub(at_work.iter().sum());
        let jobs = [
            (JobState::Open, at_work[0]),
            (JobState::Sealed, at_work[1]),
            (JobState::Interrupted, interrupted),
            (JobState::Paused, counts.paused),
            (JobState::Stopped, counts.failed_fast),
            (JobState::Cancelled, counts.cancelled),
            (JobState::Finished, counts.completed),
        ];
        Ok(HostStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: clock::signed(self.core.started_ms),
            now_ms: clock::signed(now_ms),
            jobs: jobs.into_iter().map(|(state, count)| (word(&state), count)).collect::<BTreeMap<_, _>>(),
            queue,
            throughput: self.core.figures.throughput(now_ms),
            dead: store.dead_count(None).await.map_err(failed)?,
            plugins: self.core.registry.count().await?,
            agents: overview.agents,
            disk_bytes: store.disk_bytes().await.map_err(failed)?,
        })
    }

    pub(super) async fn host_stats(&self) -> Result<HostStats> {
        // To its end: what it has counted is kept.
        self.whole(move |client| async move { stats::host(&client.core).await }).await
    }

    pub(super) async fn take_backup(&self) -> Result<BoxStream<'static, Result<Bytes>>> {
        let beside = match self.core.serving.is_some() {
            true => vec![PathBuf::from("ca")],
            false => Vec::new(),
        };
        let failed = |error| store_error("failed to take a backup", error);
        let backup = self.core.store.backup(beside).await.map_err(failed)?;
        self.core.journal.note(&self.author, EventKind::BackupTaken, About::HOST, "a backup is taken");
        let (pieces, taken) = mpsc::channel(PIECES);
        tokio::task::spawn_blocking(move || {
            let mut archive = Pieces { pieces, piece: Vec::with_capacity(PIECE) };
            let written = backup.write_to(&mut archive).map_err(failed);
            let written = written.and_then(|()| {
                let flushed = archive.flush();
                flushed.map_err(|error| ApiError::new(ErrorKind::Internal, "failed to take a backup").caused_by(error))
            });
            if let Err(error) = written {
                // Who takes it may have gone.
                let _ = archive.pieces.blocking_send(Err(error));
            }
        });
        Ok(futures::stream::unfold(taken, |mut taken| async move { taken.recv().await.map(|piece| (piece, taken)) })
            .boxed())
    }
}

impl Core {
    /// What is to be done, with the jobs that are paused; and how many of those at work are open, and sealed.
    pub(crate) fn queue(&self, overview: &Overview, now_ms: u64) -> (QueueStatus, [u64; 2]) {
        let (mut paused, mut at_work) = (0, [0; 2]);
        for job in self.jobs.all() {
            let pulse = job.now();
            let left = pulse.progress.planned.saturating_sub(pulse.progress.done);
            if pulse.is_at_work() {
                at_work[usize::from(pulse.progress.sealed)] += 1;
            } else if pulse.ended == Some(JobState::Paused) {
                paused += left;
            }
        }
        let queue = overview.queue;
        let oldest_ms = overview.since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
        (QueueStatus { runs: queue.runs + paused, paused, leases: queue.leases as u64, oldest_ms }, at_work)
    }
}

/// A backup on its way, in pieces.
struct Pieces {
    pieces: mpsc::Sender<Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody takes the backup any more");
        self.pieces.blocking_send(Ok(piece.into())).map_err(gone)
    }
}

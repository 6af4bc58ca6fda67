//! What an agent asks the hub for: jobs' contexts and plugins. Each is fetched once, however many lanes need it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use pigeon_protocol::{
    frame::{self, FrameError},
    id::{Digest, JobId, Shape},
    limits::{MAX_COMPONENT, MAX_FRAME, MAX_OPTIONS},
    message::{FetchJob, FetchPlugin, JobContext, OptionSize, PluginHead, Request, request::Ask},
};
use pigeon_runtime::Job;
use tokio::time::{Instant, timeout};

use crate::{
    convert,
    lanes::Lanes,
    transport::{ReadFailure, Reader},
};

/// Jobs whose contexts are kept; the one that was used longest ago goes first.
const JOBS: usize = 64;

/// A job's context is small: it comes within this time, or the hub does not answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plugins that the hub is told of; of more, those that were needed last.
const HELD: usize = 64;

/// A plugin that could not be loaded is not tried again for this long.
const FAILED: Duration = Duration::from_secs(10);

/// What could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The connection broke or the hub does not answer: nothing is known of the thing itself.
    #[error("the hub cannot be asked")]
    Unreachable,
    /// It is not known there (any more).
    #[error("the hub does not know it")]
    Unknown,
    /// It is there, and no good. The words are for people.
    #[error("{0}")]
    Bad(String),
}

impl From<ReadFailure> for FetchError {
    fn from(failure: ReadFailure) -> Self {
        match failure {
            ReadFailure::Frame(FrameError::CutShort) | ReadFailure::Stream(_) => FetchError::Unreachable,
            ReadFailure::Frame(error) => FetchError::Bad(error.to_string()),
        }
    }
}

/// What the runs of a job have in common.
#[derive(Debug)]
pub(crate) struct JobEntry {
    pub(crate) job: Arc<Job>,
    pub(crate) plugin: Digest,
    pub(crate) seed: u64,
    pub(crate) shape: Shape,
}

/// Jobs, the last used at the end.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    known: Mutex<Vec<(JobId, Arc<JobEntry>)>>,
    /// One fetch at a time: they are small, and lanes of one job ask at the same moment.
    fetching: tokio::sync::Mutex<()>,
}

impl Jobs {
    fn lookup(&self, job: JobId) -> Option<Arc<JobEntry>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let at = known.iter().position(|(id, _)| *id == job)?;
        let entry = known.remove(at);
        let found = Arc::clone(&entry.1);
        known.push(entry);
        Some(found)
    }

    /// The job's context.
    pub(crate) async fn need(&self, hub: &quinn::Connection, job: JobId) -> Result<Arc<JobEntry>, FetchError> {
        if let Some(entry) = self.lookup(job) {
            return Ok(entry);
        }
        let _one = self.fetching.lock().await;
        if let Some(entry) = self.lookup(job) {
            return Ok(entry);
        }
        let entry = timeout(PATIENCE, fetch_job(hub, job)).await.map_err(|_| FetchError::Unreachable)??;
        Ok(self.keep(job, entry))
    }

    /// A job's context that came with a lease. Nothing if it is no good: then it is asked for, and found wanting.
    pub(crate) fn learn(&self, job: JobId, context: JobContext) -> Option<Arc<JobEntry>> {
        if let Some(entry) = self.lookup(job) {
            return Some(entry);
        }
        let option = |option: &OptionSize| Some((option.key.clone(), option.value.clone()?));
        let options = context.options.iter().map(option).collect::<Option<_>>()?;
        Some(self.keep(job, entry(&context, options).ok()?))
    }

    fn keep(&self, job: JobId, entry: JobEntry) -> Arc<JobEntry> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have been quicker.
        if let Some((_, entry)) = known.iter().find(|(id, _)| *id == job) {
            return Arc::clone(entry);
        }
        let entry = Arc::new(entry);
        if known.len() >= JOBS {
            known.remove(0);
        }
        known.push((job, Arc::clone(&entry)));
        entry
    }
}

async fn ask(hub: &quinn::Connection, ask: Ask) -> Result<Reader, FetchError> {
    let frame = frame::encode(&Request { ask: Some(ask) }).map_err(|error| FetchError::Bad(error.to_string()))?;
    let (mut send, recv) = hub.open_bi().await.map_err(|_| FetchError::Unreachable)?;
    send.write_chunk(frame).await.map_err(|_| FetchError::Unreachable)?;
    // Cannot fail: it was not finished before.
    let _ = send.finish();
    Ok(Reader::new(recv, MAX_FRAME))
}

async fn fetch_job(hub: &quinn::Connection, job: JobId) -> Result<JobEntry, FetchError> {
    let mut reader = ask(hub, Ask::Job(FetchJob { job: job.to_bytes().to_vec() })).await?;
    let context: JobContext = reader.need().await?;
    if !context.known {
        return Err(FetchError::Unknown);
    }
    let sizes = context.options.iter().try_fold(0u64, |sum, option| sum.checked_add(option.size));
    if sizes.is_none_or(|sizes| sizes > MAX_OPTIONS) {
        return Err(FetchError::Bad(format!("the job's options are larger than {MAX_OPTIONS} bytes")));
    }
    let mut options = Vec::with_capacity(context.options.len());
    for option in &context.options {
        let mut value = BytesMut::new();
        reader.raw(option.size as usize, &mut value).await?;
        let value = String::from_utf8(value.into())
            .map_err(|_| FetchError::Bad(format!("the option {:?} is not UTF-8", option.key)))?;
        options.push((option.key.clone(), value));
    }
    entry(&context, options)
}

fn entry(context: &JobContext, options: Vec<(String, String)>) -> Result<JobEntry, FetchError> {
    Ok(JobEntry {
        plugin: Digest::from_slice(&context.plugin)
            .ok_or_else(|| FetchError::Bad("the job names no plugin".to_owned()))?,
        seed: context.seed,
        shape: Shape { places: context.places.max(1), iterations: context.iterations.max(1) },
        job: Arc::new(convert::job(context, options)),
    })
}

/// Plugins on their way here, and those that are here.
#[derive(Debug, Default)]
pub(crate) struct Plugins {
    coming: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<Coming>>>>,
    /// Those that a lane needed and had, the last at the end.
    held: Mutex<Vec<Digest>>,
}

/// One plugin on its way.
#[derive(Debug, Default)]
struct Coming {
    /// What has arrived. It outlives a broken connection: the next fetch goes on from there.
    bytes: BytesMut,
    /// Why it was no good, and when that was found.
    failed: Option<(Instant, String)>,
}

impl Plugins {
    fn coming(&self) -> MutexGuard<'_, HashMap<Digest, Arc<tokio::sync::Mutex<Coming>>>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that were needed, and are loaded still.
    pub(crate) fn held<L: Lanes>(&self, lanes: &L) -> Vec<Digest> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|digest| lanes.loaded(digest).is_some());
        held.clone()
    }

    /// A lane has it.
    fn hold(&self, digest: Digest) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.contains(&digest) {
            let surplus = (held.len() + 1).saturating_sub(HELD);
            held.drain(..surplus);
            held.push(digest);
        }
    }

    /// The plugin: as it is loaded, or fetched, verified and loaded now.
    pub(crate) async fn need<L: Lanes>(
        &self,
        hub: &quinn::Connection,
        lanes: &L,
        trusted: &[[u8; 32]],
        digest: Digest,
    ) -> Result<L::Plugin, FetchError> {
        let plugin = self.ready(hub, lanes, trusted, digest).await?;
        self.hold(digest);
        Ok(plugin)
    }

    async fn ready<L: Lanes>(
        &self,
        hub: &quinn::Connection,
        lanes: &L,
        trusted: &[[u8; 32]],
        digest: Digest,
    ) -> Result<L::Plugin, FetchError> {
        if let Some(plugin) = lanes.loaded(&digest) {
            return Ok(plugin);
        }
        let coming = Arc::clone(self.coming().entry(digest).or_default());
        let mut coming = coming.lock().await;
        if let Some(plugin) = lanes.loaded(&digest) {
            return Ok(plugin);
        }
        if let Some((when, why)) = &coming.failed
            && when.elapsed() < FAILED
        {
            return Err(FetchError::Bad(why.clone()));
        }
        let loaded = match download(hub, trusted, digest, &mut coming.bytes).await {
            Ok(component) => lanes.load(component).await.map_err(FetchError::Bad),
            Err(error) => Err(error),
        };
        match loaded {
            Ok(plugin) => {
                // From here on the runtime has it.
                self.coming().remove(&digest);
                Ok(plugin)
            }
            Err(error) => {
                if let FetchError::Bad(why) = &error {
                    tracing::warn!(plugin = %digest, "a plugin cannot be used: {why}");
                    *coming = Coming { bytes: BytesMut::new(), failed: Some((Instant::now(), why.clone())) };
                }
                Err(error)
            }
        }
    }
}

/// The component, believed: signed by a publisher that is trusted here, and exactly what was signed.
async fn download(
    hub: &quinn::Connection,
    trusted: &[[u8; 32]],
    digest: Digest,
    bytes: &mut BytesMut,
) -> Result<Bytes, FetchError> {
    let request = FetchPlugin { digest: digest.as_bytes().to_vec(), offset: bytes.len() as u64 };
    let mut reader = ask(hub, Ask::Plugin(request)).await?;
    let head: PluginHead = reader.need().await?;
    let signed = head.signed.ok_or(FetchError::Unknown)?;
    let bad = |what: &str| FetchError::Bad(what.to_owned());
    let manifest =
        signed.verify(trusted.iter().map(<[u8; 32]>::as_slice)).map_err(|error| FetchError::Bad(error.to_string()))?;
    if manifest.digest != digest.as_bytes() {
        return Err(bad("the plugin's manifest is that of another component"));
    }
    if manifest.size != head.size {
        return Err(bad("the plugin has not the size that its manifest says"));
    }
    if head.size > MAX_COMPONENT {
        return Err(FetchError::Bad(format!("the plugin is larger than {MAX_COMPONENT} bytes")));
    }
    let missing = (head.size as usize).checked_sub(bytes.len());
    let missing = missing.ok_or_else(|| bad("the plugin is smaller than what has come of it"))?;
    reader.raw(missing, bytes).await?;
    if Digest::of(bytes) != digest {
        return Err(bad("the plugin's bytes do not match its digest"));
    }
    Ok(std::mem::take(bytes).freeze())
}

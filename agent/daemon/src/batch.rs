//! One lease: received, run as a lane, delivered.
//!
//! The lane runs in a task of the agent's own and outlives the connection. Delivery is the connection's: it ends with
//! it, and the next connection takes up where it ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use pigeon_protocol::{
    close, frame,
    id::{Fence, JobId, LeaseId, RunIndex},
    limits::{MAX_FRAME, MAX_ITEM, MAX_LEASE_BODIES, MAX_LEASE_HEADS, MAX_LEASE_ITEMS, MAX_LEASE_RUNS},
    message::{Deliver, Lease, LeasedItems, Recorded, Request, RunRange, request::Ask},
};
use pigeon_runtime::{Event, Item, ItemId, Run, seed::run_seed};
use prost::Message as _;
use quinn::{RecvStream, SendStream};

use crate::{
    agent::{LaneGuard, Shared},
    buffers::Buffers,
    convert,
    fetch::{FetchError, JobEntry},
    lanes::Lanes,
    outbox::Lane,
    transport::{ReadFailure, Reader, code},
};

/// A batch, as it came.
struct Batch {
    /// Its job, where it came with that.
    job: Option<Arc<JobEntry>>,
    /// Sorted by index.
    items: Vec<(u64, Item)>,
    runs: Vec<RunRange>,
}

/// What ends the serving of a lease's stream early.
#[derive(Debug, thiserror::Error)]
enum BatchError {
    #[error(transparent)]
    Read(#[from] ReadFailure),
    #[error("failed to write to the hub")]
    Write(#[from] quinn::WriteError),
    #[error("the lease breaks the bound of {0}")]
    Bound(&'static str),
    #[error("the lease is here already")]
    Twice,
}

/// Serve a stream that the hub has opened for a lease.
pub(crate) async fn serve<L: Lanes>(
    shared: Arc<Shared<L>>,
    hub: quinn::Connection,
    mut send: SendStream,
    recv: RecvStream,
    guard: LaneGuard,
) {
    let mut reader = Reader::new(recv, MAX_FRAME);
    let served = async {
        let (lease, mut batch) = receive(&mut reader, &shared.buffers).await?;
        let job = JobId::from_slice(&lease.job).ok_or(BatchError::Bound("a job's id"))?;
        batch.job = lease.context.and_then(|context| shared.jobs.learn(job, context));
        let key = (LeaseId(lease.lease), Fence(lease.fence));
        let lane = shared.outbox.open(key, job, shared.cancel.child_token()).ok_or(BatchError::Twice)?;
        shared.runners.spawn(run(Arc::clone(&shared), hub.clone(), Arc::clone(&lane), batch, guard));
        deliver(&shared, &lane, &mut send, &mut reader).await
    };
    if let Err(error) = served.await {
        tracing::debug!("a lease's stream ended early: {error}");
        // Both fail only where the stream is over already.
        let _ = send.reset(code(close::ABANDONED));
        reader.stop(close::ABANDONED);
    }
}

/// Deliver what a lane has kept, on a stream of this connection.
pub(crate) async fn redeliver<L: Lanes>(shared: Arc<Shared<L>>, hub: quinn::Connection, lane: Arc<Lane>) {
    let served = async {
        let (mut send, recv) = hub.open_bi().await.map_err(quinn::WriteError::ConnectionLost)?;
        let (lease, fence) = (lane.key.0.0, lane.key.1.0);
        let ask = Ask::Deliver(Deliver { lease, fence, job: lane.job.to_bytes().to_vec() });
        let frame = frame::encode(&Request { ask: Some(ask) }).map_err(ReadFailure::Frame)?;
        send.write_chunk(frame).await?;
        deliver(&shared, &lane, &mut send, &mut Reader::new(recv, MAX_FRAME)).await
    };
    if let Err(error) = served.await {
        tracing::debug!(lease = lane.key.0.0, "kept outcomes were not delivered: {error}");
    }
}

/// Send what lands and forget what is recorded, until all of it is.
async fn deliver<L: Lanes>(
    shared: &Shared<L>,
    lane: &Lane,
    send: &mut SendStream,
    reader: &mut Reader,
) -> Result<(), BatchError> {
    let before = lane.rewind();
    let mut refused = false;
    let talk = async {
        while let Some(frame) = lane.next_frame().await {
            send.write_chunk(frame).await?;
        }
        // Fails only where the stream is over already.
        let _ = send.finish();
        Ok::<(), BatchError>(())
    };
    let hear = async {
        while !lane.delivered() {
            let recorded: Recorded = reader.need().await?;
            lane.recorded(before.saturating_add(recorded.count));
            if recorded.refused > 0 && !std::mem::replace(&mut refused, true) {
                tracing::info!(lease = lane.key.0.0, "the hub refuses outcomes of a lease: it is not ours (any more)");
            }
        }
        shared.outbox.forget(lane);
        shared.changed.notify_one();
        // The hub may still acknowledge the end by itself: who stops listening before it has finished breaks the stream.
        while reader.message::<Recorded>().await?.is_some() {}
        Ok(())
    };
    tokio::try_join!(talk, hear).map(drop)
}

async fn receive(reader: &mut Reader, buffers: &Buffers) -> Result<(Lease, Batch), BatchError> {
    let mut lease: Lease = reader.need().await?;
    let mut heads = lease.encoded_len();
    while lease.more {
        let next: Lease = reader.need().await?;
        heads += next.encoded_len();
        if heads > MAX_LEASE_HEADS {
            return Err(BatchError::Bound("the size of its item ids"));
        }
        if lease.items.len() + next.items.len() > MAX_LEASE_ITEMS {
            return Err(BatchError::Bound("the number of its items"));
        }
        lease.items.extend(next.items);
        lease.runs.extend(next.runs);
        lease.more = next.more;
    }
    let sizes = check(&lease)?;
    let mut buffer = buffers.take();
    reader.raw(sizes, &mut buffer).await?;
    let items = slice(std::mem::take(&mut lease.items), buffers.share(buffer));
    let runs = std::mem::take(&mut lease.runs);
    Ok((lease, Batch { job: None, items, runs }))
}

/// The bounds, checked before any room is made. Answers the sum of the bodies' sizes.
fn check(lease: &Lease) -> Result<usize, BatchError> {
    let count = lease.items.iter().map(LeasedItems::len).sum::<usize>();
    let most = if count == 1 { MAX_ITEM } else { MAX_LEASE_BODIES };
    if lease.items.iter().any(|items| items.items().is_none()) {
        return Err(BatchError::Bound("its items: their columns do not fit together"));
    }
    if count.max(lease.items.len()) > MAX_LEASE_ITEMS {
        return Err(BatchError::Bound("the number of its items"));
    }
    let runs = lease.runs.iter().try_fold(0u64, |sum, range| {
        range.first.checked_add(range.count)?;
        sum.checked_add(range.count)
    });
    if runs.is_none_or(|runs| runs > MAX_LEASE_RUNS) {
        return Err(BatchError::Bound("the number of its runs"));
    }
    let mut sizes = lease.items.iter().flat_map(|items| &items.sizes);
    match sizes.try_fold(0u64, |sum, size| sum.checked_add(*size)) {
        Some(sizes) if sizes <= most => Ok(sizes as usize),
        _ => Err(BatchError::Bound("the size of its bodies")),
    }
}

/// Items with their bodies, which are slices of the one piece that came; sorted by index.
fn slice(stretches: Vec<LeasedItems>, mut bodies: Bytes) -> Vec<(u64, Item)> {
    let mut items: Vec<(u64, Item)> = Vec::with_capacity(stretches.iter().map(LeasedItems::len).sum());
    for stretch in stretches {
        let ids: Arc<str> = stretch.ids.as_str().into();
        // `check` has seen to it that there are some.
        for (index, id, size) in stretch.items().into_iter().flatten() {
            let body = bodies.split_to((size as usize).min(bodies.len()));
            let id = ItemId::part(&ids, id).unwrap_or_else(|| "".into());
            items.push((index, Item { id, body }));
        }
    }
    if !items.is_sorted_by_key(|(index, _)| *index) {
        items.sort_by_key(|(index, _)| *index);
    }
    items
}

/// The batch's runs. A run whose item did not come has none: the hub has cut the batch wrongly.
fn runs(batch: Batch, job: &JobEntry) -> Vec<Run> {
    let count = batch.runs.iter().map(|range| range.count as usize).sum();
    let (mut runs, mut at) = (Vec::with_capacity(count), 0);
    for index in batch.runs.iter().flat_map(|range| range.first..range.first + range.count) {
        let key = job.shape.key(RunIndex(index));
        // Runs come in the order of their items: the item is the last one's, or its neighbour.
        let found = [at, at + 1].into_iter().find(|&at| batch.items.get(at).is_some_and(|item| item.0 == key.item));
        let found = found.or_else(|| batch.items.binary_search_by_key(&key.item, |item| item.0).ok());
        let Some((_, item)) = found.and_then(|found| {
            at = found;
            batch.items.get(found)
        }) else {
            tracing::warn!(run = index, "a run was leased without its item");
            continue;
        };
        runs.push(Run {
            index,
            item: item.clone(),
            place: key.place,
            iteration: key.iteration,
            seed: run_seed(job.seed, key.item, key.place, key.iteration),
        });
    }
    runs
}

/// Run the batch. Ends when every run has its outcome, or the lane is cancelled.
async fn run<L: Lanes>(
    shared: Arc<Shared<L>>,
    hub: quinn::Connection,
    lane: Arc<Lane>,
    batch: Batch,
    guard: LaneGuard,
) {
    let cancel = lane.cancel.clone();
    tokio::select! {
        () = make(&shared, &hub, &lane, batch) => {}
        // `make` hands the token on to the runs; this arm is for what comes before them.
        () = cancel.cancelled() => {}
    }
    lane.over();
    drop(guard);
}

async fn make<L: Lanes>(shared: &Shared<L>, hub: &quinn::Connection, lane: &Arc<Lane>, mut batch: Batch) {
    let known = batch.job.take();
    let prepared = async {
        let job = match known {
            Some(job) => job,
            None => shared.jobs.need(hub, lane.job).await?,
        };
        let trusted = &shared.config.identity.trusted_keys;
        let plugin = shared.plugins.need(hub, &shared.lanes, trusted, job.plugin).await;
        let plugin = plugin.map_err(|error| match error {
            FetchError::Unknown => FetchError::Bad("the control host has no such plugin".to_owned()),
            error => error,
        })?;
        Ok((job, plugin))
    };
    let (job, plugin) = match prepared.await {
        Ok(prepared) => prepared,
        Err(FetchError::Bad(why)) => {
            let failure = convert::load_failure(why);
            for run in batch.runs.iter().flat_map(|range| range.first..range.first + range.count) {
                if lane.cancel.is_cancelled() {
                    break;
                }
                lane.landed(&convert::unrun(run, failure.clone()));
            }
            return;
        }
        // Without a hub, or without the job, nothing was begun: the lease ends without outcomes.
        Err(error) => return tracing::debug!(lease = lane.key.0.0, "a batch was not begun: {error}"),
    };
    let runs = runs(batch, &job);
    let took_us = Arc::new(AtomicU64::new(0));
    let sink = {
        let (lane, took_us) = (Arc::clone(lane), Arc::clone(&took_us));
        move |event| match event {
            Event::Begun(run) => lane.begun(run),
            Event::Landed(run, report) => {
                let outcome = convert::outcome(run, report);
                took_us.fetch_add(outcome.time_us, Relaxed);
                lane.landed(&outcome);
            }
        }
    };
    shared.lanes.run(&plugin, Arc::clone(&job.job), runs, lane.cancel.clone(), sink).await;
    if !lane.cancel.is_cancelled() {
        shared.pace.ended(Duration::from_micros(took_us.load(Relaxed)));
    }
}

#[cfg(test)]
mod tests;

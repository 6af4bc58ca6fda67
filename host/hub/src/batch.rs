//! One lease: sent on a stream of its own, on which its outcomes come back.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use pigeon_protocol::{
    close, frame,
    limits::{MAX_FRAME, MAX_ITEM, MAX_LEASE_BODIES, MAX_LEASE_HEADS, MAX_LEASE_ITEMS, MAX_LEASE_RUNS},
    message::{Lease, LeasedItems},
};
use prost::Message as _;
use quinn::SendStream;
use tokio_util::sync::CancellationToken;

use crate::{
    collect::{About, CollectError, Context, collect},
    handler::{HubEvent, JobAnswer, LeaseError, LeaseOrder},
    offence::Offence,
    transport::{Reader, code},
};

/// Pieces of bodies smaller than this are copied together: QUIC's send buffer is searched piece by piece, so thousands
/// of small ones would cost more than the copy.
const SMALL: usize = 64 << 10;

/// Encoded items in one [`Lease`] message, at most: with room for ids of some KiB, below [`MAX_FRAME`].
const HEAD: usize = MAX_FRAME / 2;

/// How often it is looked whether the agent is waited for, in the time that it has.
const LOOKS: u32 = 16;

/// Whether the order keeps the bounds that the agent will hold it to.
pub(crate) fn check(order: &LeaseOrder) -> Result<(), LeaseError> {
    if order.items.iter().any(|items| items.items().is_none()) {
        return Err(LeaseError::TooLarge("its items: their columns do not fit together"));
    }
    let count: usize = order.items.iter().map(LeasedItems::len).sum();
    let mut sizes = order.items.iter().flat_map(|items| &items.sizes);
    let sizes = sizes.try_fold(0u64, |sum, size| sum.checked_add(*size));
    let bodies = order.bodies.iter().map(|piece| piece.len() as u64).sum::<u64>();
    let most = if count == 1 { MAX_ITEM } else { MAX_LEASE_BODIES };
    let runs = order.runs.iter().try_fold(0u64, |sum, range| sum.checked_add(range.count));
    if sizes != Some(bodies) {
        return Err(LeaseError::TooLarge("its bodies: they are not as long as its items say"));
    }
    if bodies > most {
        return Err(LeaseError::TooLarge("the size of its bodies"));
    }
    if count.max(order.items.len()) > MAX_LEASE_ITEMS {
        return Err(LeaseError::TooLarge("the number of its items"));
    }
    if runs.is_none_or(|runs| runs > MAX_LEASE_RUNS) || order.runs.len() > MAX_LEASE_ITEMS {
        return Err(LeaseError::TooLarge("the number of its runs"));
    }
    // A range of runs takes less than 32 bytes, and what goes along of a job's context less than twice its text may have.
    let heads: usize = order.items.iter().map(LeasedItems::bound).sum();
    let heads = heads + order.context.as_ref().map_or(0, |_| 2 * JobAnswer::SHORT);
    let longest = order.items.iter().flat_map(|items| &items.id_sizes).max();
    if heads + order.runs.len() * 32 > MAX_LEASE_HEADS || longest.is_some_and(|id| *id as usize > HEAD / 2) {
        return Err(LeaseError::TooLarge("the size of its item ids"));
    }
    Ok(())
}

/// Send the lease and collect its outcomes, until its end or the session's; `taken` fires when it is taken from its agent.
/// False where it ended by the agent's fault. Who did not end in time what was taken from it is told of, and nothing more:
/// the link may be slow, or the lease's runs hard to stop, and then a whole fleet is late at once.
pub(crate) async fn serve(
    context: Context,
    connection: quinn::Connection,
    order: LeaseOrder,
    taken: CancellationToken,
) -> bool {
    let about = About { lease: order.lease, fence: order.fence, job: order.job, kept: false };
    let Err(error) = lease(&context, &connection, about, order, taken).await else { return true };
    // Where the connection is gone, or goes, the session tells so for all its leases.
    if connection.close_reason().is_some() || context.closing.is_cancelled() {
        return true;
    }
    let (session, reason) = (context.session, error.to_string());
    let offence = match &error {
        CollectError::NotEnded => Some(Offence::SilentLease),
        error => error.is_offence().then_some(Offence::LeaseStream),
    };
    let in_order = matches!(offence, None | Some(Offence::SilentLease));
    match offence {
        Some(offence) => {
            let reason = format_args!("lease {}: {reason}", about.lease.0);
            context.offences.of_agent(context.agent, offence, reason);
        }
        None if matches!(error, CollectError::Taken) => {
            tracing::debug!(session = session.0, lease = about.lease.0, "{reason}");
        }
        None => tracing::warn!(session = session.0, lease = about.lease.0, "a lease's stream broke: {reason}"),
    }
    context.handler.event(HubEvent::LeaseBroken { session, lease: about.lease, fence: about.fence, reason }).await;
    in_order
}

async fn lease(
    context: &Context,
    connection: &quinn::Connection,
    about: About,
    order: LeaseOrder,
    taken: CancellationToken,
) -> Result<(), CollectError> {
    let (mut send, recv) =
        connection.open_bi().await.map_err(|error| CollectError::Write(quinn::WriteError::ConnectionLost(error)))?;
    let (mut reader, recording) = (Reader::new(recv, MAX_FRAME), AtomicBool::new(false));
    let served = async {
        tokio::select! {
            // First: what is written as a whole may be running by now.
            biased;
            written = write(&mut send, order) => written?,
            // The agent does not have it, and need not get the rest.
            () = taken.cancelled() => return Err(CollectError::Taken),
        }
        let collected = collect(context, about, &mut reader, &mut send, &recording);
        tokio::select! {
            collected = collected => collected,
            // It was told to stop, and has not.
            () = overdue(&taken, context.patience, &recording) => Err(CollectError::NotEnded),
        }
    };
    let result = served.await;
    if result.is_err() {
        // Tell the agent that it keeps what was not acknowledged. Fails only where the stream is gone already.
        let _ = send.reset(code(close::ABANDONED));
        reader.stop(close::ABANDONED);
    }
    result
}

/// Ends when the agent was waited for so long since the lease was taken from it. While outcomes wait to be recorded it is
/// the disk that is waited for.
async fn overdue(taken: &CancellationToken, patience: Duration, recording: &AtomicBool) {
    taken.cancelled().await;
    let mut looks = LOOKS;
    while looks > 0 {
        tokio::time::sleep(patience / LOOKS).await;
        looks -= u32::from(!recording.load(Relaxed));
    }
}

async fn write(send: &mut SendStream, mut order: LeaseOrder) -> Result<(), quinn::WriteError> {
    let mut pieces = heads(&mut order);
    pieces.extend(join(order.bodies));
    send.write_all_chunks(&mut pieces).await
}

/// The lease as one message, or several where its items' ids are long.
fn heads(order: &mut LeaseOrder) -> Vec<Bytes> {
    let mut frames = BytesMut::new();
    let context = order.context.as_deref().filter(|answer| answer.is_short()).map(|answer| answer.told(true));
    let mut size = context.as_ref().map_or(0, prost::Message::encoded_len);
    let mut head = Lease {
        lease: order.lease.0,
        fence: order.fence.0,
        job: order.job.to_bytes().to_vec(),
        attempt: order.attempt,
        runs: Vec::new(),
        items: Vec::new(),
        more: true,
        context,
    };
    let mut flush = |head: &mut Lease| {
        // `check` has seen to it that no part is too long.
        if let Err(error) = frame::encode_into(head, &mut frames) {
            tracing::error!("a lease was cut wrongly: {error}");
        }
        head.items.clear();
        head.runs.clear();
        head.context = None;
    };
    for mut items in std::mem::take(&mut order.items) {
        while let Some(rest) = items.split_for(HEAD.saturating_sub(size)) {
            let first = std::mem::replace(&mut items, rest);
            head.items.extend((!first.is_empty()).then_some(first));
            flush(&mut head);
            size = 0;
        }
        size += items.bound();
        head.items.push(items);
    }
    for runs in &order.runs {
        size += runs.encoded_len() + 8;
        if size > HEAD {
            flush(&mut head);
            size = runs.encoded_len() + 8;
        }
        head.runs.push(*runs);
    }
    head.more = false;
    flush(&mut head);
    vec![frames.freeze()]
}

/// Small neighbours copied together, large pieces left as they are.
fn join(bodies: Vec<Bytes>) -> Vec<Bytes> {
    let (mut joined, mut small) = (Vec::new(), BytesMut::new());
    for body in bodies {
        if body.len() < SMALL {
            if small.len() + body.len() > small.capacity() {
                if !small.is_empty() {
                    joined.push(small.split().freeze());
                }
                small.reserve(4 * SMALL);
            }
            small.extend_from_slice(&body);
        } else {
            if !small.is_empty() {
                joined.push(small.split().freeze());
            }
            joined.push(body);
        }
    }
    if !small.is_empty() {
        joined.push(small.freeze());
    }
    joined
}

#[cfg(test)]
mod tests;

//! What agents ask: a plugin, a job, to deliver what they had kept.

use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use pigeon_protocol::{
    close, frame,
    id::{Digest, Fence, JobId, LeaseId},
    limits::{MAX_COMPONENT, MAX_FRAME},
    message::{JobContext, PluginHead, Request, request::Ask},
};
use quinn::{RecvStream, SendStream};
use tokio::time::timeout;

use crate::{
    collect::{About, CollectError, Context, collect},
    hub::PATIENCE,
    offence::Offence,
    transport::{ReadFailure, Reader, code},
};

/// Serve one request stream. Whatever goes wrong is the asker's to notice: it may ask again. False where that was its
/// fault.
pub(crate) async fn serve(context: Context, mut send: SendStream, recv: RecvStream) -> bool {
    let mut reader = Reader::new(recv, MAX_FRAME);
    let served = match timeout(PATIENCE, reader.message::<Request>()).await {
        Ok(Ok(request)) => answer(&context, request.and_then(|request| request.ask), &mut send, &mut reader).await,
        Ok(Err(error)) => Err(error.into()),
        // Opened, and then silent.
        Err(_) => Err(CollectError::Silent),
    };
    let Err(error) = served else { return true };
    // Both fail only where the stream is over already.
    let _ = send.reset(code(close::ABANDONED));
    reader.stop(close::ABANDONED);
    let offence = error.is_offence() && !context.closing.is_cancelled();
    if offence {
        context.offences.of_agent(context.agent, Offence::Request, format_args!("on a stream of its own: {error}"));
    } else {
        tracing::debug!(session = context.session.0, "a request was not answered: {error}");
    }
    !offence
}

async fn answer(
    context: &Context,
    ask: Option<Ask>,
    send: &mut SendStream,
    reader: &mut Reader,
) -> Result<(), CollectError> {
    let mut pieces = match ask {
        Some(Ask::Plugin(ask)) => plugin(context, &ask.digest, ask.offset).await?,
        Some(Ask::Job(ask)) => job(context, &ask.job).await?,
        Some(Ask::Deliver(deliver)) => {
            let job = JobId::from_slice(&deliver.job).ok_or(CollectError::Unknown)?;
            let about = About { lease: LeaseId(deliver.lease), fence: Fence(deliver.fence), job, kept: true };
            return collect(context, about, reader, send, &AtomicBool::new(false)).await;
        }
        // From a newer peer: it learns by the reset that we do not know how.
        None => return Err(CollectError::Unknown),
    };
    pieces.retain(|piece| !piece.is_empty());
    let mut pieces = &mut pieces[..];
    while !pieces.is_empty() {
        let written =
            timeout(context.patience, send.write_chunks(pieces)).await.map_err(|_| CollectError::Silent)??;
        pieces = &mut pieces[written.chunks..];
    }
    // Fails only where the stream is over already.
    let _ = send.finish();
    Ok(())
}

fn encode(message: &impl prost::Message) -> Result<Bytes, CollectError> {
    frame::encode(message).map_err(|error| CollectError::Read(ReadFailure::Frame(error)))
}

async fn plugin(context: &Context, digest: &[u8], offset: u64) -> Result<Vec<Bytes>, CollectError> {
    let Some(digest) = Digest::from_slice(digest) else {
        context.offences.of_agent(context.agent, Offence::Request, "it asks for a plugin by what is no digest");
        return Ok(vec![encode(&PluginHead::default())?]);
    };
    let answer = context.handler.plugin(digest).await;
    let Some(answer) = answer.filter(|answer| answer.component.len() as u64 <= MAX_COMPONENT) else {
        // It may have been taken back since the lease, or could not be read: control tells of that.
        tracing::debug!(session = context.session.0, %digest, "there is no such plugin");
        return Ok(vec![encode(&PluginHead::default())?]);
    };
    let size = answer.component.len();
    let head = encode(&PluginHead { signed: Some(answer.signed), size: size as u64 })?;
    let from = usize::try_from(offset).map_or(size, |offset| offset.min(size));
    Ok(vec![head, answer.component.slice(from..)])
}

async fn job(context: &Context, job: &[u8]) -> Result<Vec<Bytes>, CollectError> {
    let answer = match JobId::from_slice(job) {
        Some(job) => context.handler.job(job).await,
        None => None,
    };
    let Some(answer) = answer else { return Ok(vec![encode(&JobContext::default())?]) };
    let mut pieces = vec![encode(&answer.told(false))?];
    pieces.extend(answer.options.into_iter().map(|(_, value)| Bytes::from(value)));
    Ok(pieces)
}

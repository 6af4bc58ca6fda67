//! Outcomes coming in, on a lease's own stream or on one that delivers what an agent had kept.
//!
//! Each message is handed to control as it comes; some may be on their way to the disk at once, and they are
//! acknowledged in the order in which they came.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, stream::FuturesOrdered};
use pigeon_protocol::{
    frame,
    id::{AgentId, Fence, JobId, LeaseId, RunIndex, SessionId},
    message::{FromBatch, Recorded},
};
use quinn::SendStream;
use tokio_util::sync::CancellationToken;

use crate::{
    handler::{HubHandler, Kept, Landed, Recorder},
    offence::{Offence, Offences},
    transport::{ReadFailure, Reader},
};

/// Messages of one stream that may wait to be recorded. Further ones wait in QUIC's window, and then at the agent.
const UNRECORDED: usize = 16;

/// What the tasks of a session share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) session: SessionId,
    pub(crate) agent: AgentId,
    pub(crate) handler: Arc<dyn HubHandler>,
    pub(crate) offences: Arc<Offences>,
    /// How long the agent may do nothing where it has to.
    pub(crate) patience: Duration,
    /// Fires when the session is to end: what was handed on is still acknowledged, nothing more is read.
    pub(crate) closing: CancellationToken,
}

/// The lease that a stream is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    pub(crate) lease: LeaseId,
    pub(crate) fence: Fence,
    pub(crate) job: JobId,
    pub(crate) kept: bool,
}

/// Why a stream's outcomes could not all be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] ReadFailure),
    /// Writing failed.
    #[error("failed to acknowledge outcomes")]
    Write(#[from] quinn::WriteError),
    /// The stream ended before the batch did.
    #[error("the stream ended before the batch did")]
    EndedEarly,
    /// The agent asks for what we do not know, as a newer one might.
    #[error("the request is none that is known here")]
    Unknown,
    /// Control could not record them; the agent keeps them.
    #[error("outcomes were not recorded")]
    NotRecorded,
    /// The lease was taken from the agent before all of it was sent.
    #[error("the lease was taken from the agent before all of it was sent")]
    Taken,
    /// The lease was taken from the agent, which did not end it.
    #[error("the agent did not end the lease in time, as it was told to")]
    NotEnded,
    /// Nothing was asked in time, or the answer was not read.
    #[error("nothing was asked in time, or the answer was not read")]
    Silent,
}

impl CollectError {
    /// Whether an agent that keeps to the protocol would not have brought this about, however it fares. Where its
    /// connection broke, or its process ended, that is no offence.
    pub(crate) fn is_offence(&self) -> bool {
        match self {
            Self::Read(ReadFailure::Frame(_) | ReadFailure::Stream(quinn::ReadError::Reset(_))) => true,
            Self::EndedEarly | Self::NotEnded | Self::Silent => true,
            Self::Read(_) | Self::Write(_) | Self::Unknown | Self::NotRecorded | Self::Taken => false,
        }
    }
}

/// Take outcomes until the batch ends, and acknowledge each. `recording` is true while some wait to be recorded, and the
/// agent is not what is waited for.
pub(crate) async fn collect(
    context: &Context,
    about: About,
    reader: &mut Reader,
    send: &mut SendStream,
    recording: &AtomicBool,
) -> Result<(), CollectError> {
    let mut waiting = FuturesOrdered::new();
    let (mut received, mut refused, mut over) = (0u64, 0u64, false);
    while !(over && waiting.is_empty()) {
        tokio::select! {
            // Recorded: tell the agent, once for all that are recorded by now.
            Some(recorded) = waiting.next(), if !waiting.is_empty() => {
                let (mut count, mut more) = Result::map_err(recorded, |_| CollectError::NotRecorded)?;
                refused += more;
                while let Some(Some(recorded)) = waiting.next().now_or_never() {
                    (count, more) = Result::map_err(recorded, |_| CollectError::NotRecorded)?;
                    refused += more;
                }
                recording.store(false, Relaxed);
                // Never too long: it is two numbers.
                if let Ok(frame) = frame::encode(&Recorded { count, refused }) {
                    send.write_chunk(frame).await?;
                }
                recording.store(!waiting.is_empty(), Relaxed);
            }
            // Outcomes: hand them on. This is safe to drop half way, see `Reader`.
            message = reader.message::<FromBatch>(), if !over && waiting.len() < UNRECORDED => {
                let message = message?.ok_or(CollectError::EndedEarly)?;
                let new = message.outcomes.len() as u64;
                received += new;
                over = message.end;
                recording.store(true, Relaxed);
                let (recorder, recorded) = Recorder::new();
                let count = received;
                waiting.push_back(recorded.map(move |recorded| match recorded {
                    Ok(Kept::Refused) => {
                        let reason = format_args!("it answers for lease {}, which is not its own (any more)", about.lease.0);
                        context.offences.of_agent(context.agent, Offence::NotHeld, reason);
                        Ok((count, new))
                    }
                    Ok(Kept::Recorded) => Ok((count, 0)),
                    Err(dropped) => Err(dropped),
                }));
                context
                    .handler
                    .landed(Landed {
                        session: context.session,
                        agent: context.agent,
                        lease: about.lease,
                        fence: about.fence,
                        job: about.job,
                        outcomes: message.outcomes,
                        begun: message.begun.into_iter().map(RunIndex).collect(),
                        end: message.end,
                        kept: about.kept,
                        recorded: recorder,
                    })
                    .await;
            }
            // The session ends: the agent keeps what was not read and delivers it in its next one.
            () = context.closing.cancelled(), if !over => over = true,
        }
    }
    // Already reset by the peer: as good.
    let _ = send.finish();
    // The acknowledgements have to arrive before a closing session closes the connection.
    if context.closing.is_cancelled() {
        let _ = send.stopped().await;
    }
    Ok(())
}

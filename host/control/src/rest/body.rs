//! Bodies of requests: so large, so slow and so many as the limits say, and no more.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, BodyDataStream},
    http::{HeaderMap, StatusCode, header::CONTENT_LENGTH},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    failure::{Answer, Failure},
    shared::Rest,
};

/// Memory is reserved by so many bytes.
pub(super) const UNIT: usize = 64 << 10;

/// How many units hold so many bytes.
pub(super) fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// Memory that bodies may take, of what all of them may take together. Goes back when it is dropped.
pub(super) struct Reservation {
    memory: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    units: u32,
}

impl Reservation {
    pub(super) fn new(rest: &Rest) -> Self {
        Self { memory: rest.memory.clone(), held: None, units: 0 }
    }

    /// See to it that so many bytes are reserved.
    ///
    /// # Errors
    /// 429, if the others have too much of it.
    pub(super) fn grow(&mut self, bytes: usize) -> Answer<()> {
        let more = units(bytes).saturating_sub(self.units);
        if more == 0 {
            return Ok(());
        }
        let permit = self.memory.clone().try_acquire_many_owned(more);
        let permit = permit.map_err(|_| Failure::overloaded("memory", "there is no memory for another body now"))?;
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        self.units += more;
        Ok(())
    }

    /// Do this, and hold the memory until it is done.
    pub(super) async fn during<T>(self, deed: impl Future<Output = T>) -> T {
        let done = deed.await;
        drop(self);
        done
    }
}

/// The pieces of a body as they come.
pub(super) struct Pieces {
    stream: BodyDataStream,
    silence: Duration,
}

impl Pieces {
    pub(super) fn new(body: Body, silence: Duration) -> Self {
        Self { stream: body.into_data_stream(), silence }
    }

    /// The next piece; nothing at the end.
    ///
    /// # Errors
    /// 408, if nothing came for too long; 400, if it broke off.
    pub(super) async fn next(&mut self) -> Answer<Option<Bytes>> {
        match tokio::time::timeout(self.silence, self.stream.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(piece))) => Ok(Some(piece)),
            Ok(Some(Err(error))) => Err(Failure::bad_request(format!("the request's body broke off: {error}"))),
            Err(_) => Err(slow(format!("nothing of the request's body came for {} s", self.silence.as_secs_f64()))),
        }
    }
}

/// A whole body of at most `most` bytes, with the memory that it takes.
pub(super) async fn whole(rest: &Rest, headers: &HeaderMap, body: Body, most: usize) -> Answer<(Bytes, Reservation)> {
    let too_large = || Failure::too_large(format!("the request's body is larger than {most} bytes"));
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let (limits, started) = (&rest.limits, Instant::now());
    let mut reservation = Reservation::new(rest);
    let mut pieces = Pieces::new(body, limits.silence);
    let Some(first) = pieces.next().await? else { return Ok((Bytes::new(), reservation)) };
    let mut whole = Joined::One(first);
    loop {
        if whole.len() > most {
            return Err(too_large());
        }
        reservation.grow(whole.len())?;
        let Some(piece) = pieces.next().await? else { break };
        whole = whole.and(&piece, announced);
        // Who sends a byte now and then is never silent.
        let allowed = limits.silence + Duration::from_millis(whole.len() as u64 * 1000 / limits.least_rate.max(1));
        if started.elapsed() > allowed {
            return Err(slow(format!("the request's body comes with less than {} bytes a second", limits.least_rate)));
        }
    }
    Ok((whole.into_bytes(), reservation))
}

fn slow(detail: String) -> Failure {
    Failure::status(StatusCode::REQUEST_TIMEOUT, detail)
}

/// Pieces put together; one alone is not copied.
enum Joined {
    One(Bytes),
    Many(BytesMut),
}

impl Joined {
    fn len(&self) -> usize {
        match self {
            Joined::One(piece) => piece.len(),
            Joined::Many(pieces) => pieces.len(),
        }
    }

    fn and(self, piece: &Bytes, announced: Option<usize>) -> Self {
        match self {
            Joined::One(first) => {
                // Address space only: memory is taken as it is written to, which is what is reserved.
                let mut pieces = BytesMut::with_capacity(announced.unwrap_or(0).max(first.len() + piece.len()));
                pieces.extend_from_slice(&first);
                pieces.extend_from_slice(piece);
                Joined::Many(pieces)
            }
            Joined::Many(mut pieces) => {
                pieces.extend_from_slice(piece);
                Joined::Many(pieces)
            }
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Joined::One(piece) => piece,
            Joined::Many(pieces) => pieces.freeze(),
        }
    }
}

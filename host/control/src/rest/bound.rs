//! How many requests may be under way at once.
//!
//! Those that are answered soon, those that go on and uploads have room of their own, so that a thousand watchers do not
//! keep anybody from submitting a job or from filling it; and no token has all the room of those that go on. Room is held
//! until the answer's last byte was handed on, not only until its first.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    caller::authenticate,
    failure::{Answer, Failure},
    shared::Rest,
};

/// Of a request that is answered soon.
pub(super) async fn short(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    let room = taken(&rest, &rest.requests, "requests");
    bounded(room, request, next).await
}

/// Of a request that may go on for long.
pub(super) async fn long(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    let room = taken(&rest, &rest.streams, "streams").and_then(|mut room| {
        // Who has no token is refused in a moment.
        if let Ok(principal) = authenticate(&rest, request.headers()) {
            room.share = Some(rest.shares.take(&principal.name)?);
        }
        Ok(room)
    });
    bounded(room, request, next).await
}

/// Of a request that brings items.
pub(super) async fn upload(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    let room = taken(&rest, &rest.upload_room, "uploads");
    bounded(room, request, next).await
}

/// Room for a request. It stands among the request's extensions as well, for what outlives its answer.
#[derive(Clone)]
pub(super) struct Room {
    _taken: Arc<Taken>,
}

struct Taken {
    _permit: OwnedSemaphorePermit,
    share: Option<Share>,
}

fn taken(rest: &Rest, room: &Arc<Semaphore>, of: &'static str) -> Answer<Taken> {
    if rest.stop.is_cancelled() {
        return Err(Failure::going_down());
    }
    match room.clone().try_acquire_owned() {
        Ok(permit) => Ok(Taken { _permit: permit, share: None }),
        Err(_) => Err(Failure::overloaded(of, format!("there are too many {of} under way"))),
    }
}

async fn bounded(room: Answer<Taken>, mut request: Request, next: Next) -> Response {
    let room = match room {
        Ok(taken) => Room { _taken: Arc::new(taken) },
        Err(refused) => return refused.into_response(),
    };
    request.extensions_mut().insert(room.clone());
    let response = next.run(request).await;
    if response.body().size_hint().exact().is_some() {
        // All of it is there.
        return response;
    }
    response.map(|body| {
        Body::from_stream(body.into_data_stream().inspect(move |_| {
            // Held as long as the stream is.
            let _ = &room;
        }))
    })
}

/// How many streams and waits each token has.
pub(super) struct Shares {
    most: usize,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

/// One of them. Given back when it is dropped.
struct Share {
    of: String,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

impl Shares {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    fn take(&self, of: &str) -> Answer<Share> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(of.to_owned()).or_default();
        if *count >= self.most {
            let message = format!("token {of:?} has {count} streams and waits under way, which is its share");
            return Err(Failure::overloaded("share", message));
        }
        *count += 1;
        Ok(Share { of: of.to_owned(), taken: self.taken.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.of) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_share_and_no_more() {
        let shares = Shares::new(2);
        let both = [shares.take("a").unwrap(), shares.take("a").unwrap()];
        assert!(shares.take("a").is_err());
        drop(shares.take("b").unwrap());
        let [first, second] = both;
        drop(first);
        let third = shares.take("a").unwrap();
        assert!(shares.take("a").is_err());
        drop((second, third));
        assert!(shares.taken.lock().unwrap().is_empty(), "nothing is kept of who has none");
    }
}

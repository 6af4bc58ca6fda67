//! The log of all that happens over a WebSocket.

use std::{pin::pin, time::Duration};

use axum::{
    extract::{
        FromRequestParts as _, Request,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    response::Response,
};
use futures::{SinkExt as _, StreamExt as _, stream::BoxStream};
use pigeon_api::{Event, Problem, Result, page::FollowQuery};
use tokio::time::{Instant, interval_at, timeout};

use super::{
    bound::Room,
    caller::{Caller, Viewer},
    extract::Query,
    failure::{Answer, Failure},
    shared::Rest,
};

/// What a client may say at once, in bytes: it has nothing to say.
const MOST_SAID: usize = 4 << 10;

/// How long a good-bye may take.
const GOOD_BYE: Duration = Duration::from_secs(2);

/// The bytes that a close frame takes for its words.
const CLOSE_WORDS: usize = 120;

/// Entries of the log over a WebSocket, each a text message with its JSON: those that are there, and then each as it is
/// written. Who is cut off comes again with the last number as `after`, and misses nothing. When the control host goes down
/// it closes with code 1001, with 1008 when the token is not good any more, and with 1011 when it fails.
#[utoipa::path(
    get,
    path = "/api/v1/events/ws",
    tag = "events",
    params(FollowQuery),
    responses(
        (status = 101, description = "The protocol is changed"),
        (status = 400, description = "It is no request for a WebSocket, or there never was an entry of that number", body = Problem,
            content_type = "application/problem+json"),
        (status = 426, description = "The connection cannot be one", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn events_socket(
    caller: Caller<Viewer>,
    Query(query): Query<FollowQuery>,
    request: Request,
) -> Answer<Response> {
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let upgrade = upgrade.map_err(|refused| Failure::status(refused.status(), refused.body_text()))?;
    // The answer is over at once; what comes behind it takes the request's room.
    let room = parts.extensions.remove::<Room>();
    let ended = caller.ended();
    let events = caller.pigeon().follow_events(query.into()).await?;
    let rest = Rest::clone(&caller);
    let upgrade = upgrade.max_message_size(MOST_SAID).max_frame_size(MOST_SAID);
    // Tracked as a deed: going down waits for its good-bye.
    let held = caller.deeds.token();
    Ok(upgrade.on_upgrade(move |socket| async move {
        let _held = held;
        let _room = room;
        tell(rest, socket, events, ended).await;
    }))
}

async fn tell(
    rest: Rest,
    socket: WebSocket,
    mut events: BoxStream<'static, Result<Event>>,
    ended: impl Future<Output = ()>,
) {
    let (mut sink, mut said) = socket.split();
    let every = rest.limits.keep_alive;
    let mut pings = interval_at(Instant::now() + every, every);
    let mut heard = Instant::now();
    let mut stop = pin!(rest.stop.cancelled());
    let mut ended = pin!(ended);
    let end = loop {
        let message = tokio::select! {
            // It goes down.
            () = &mut stop => break close(close_code::AWAY, "the control host is going down"),
            // Whoever has the token may not listen any more.
            () = &mut ended => break close(close_code::POLICY, "the token is not good any more"),
            // Something happened.
            event = events.next() => match event {
                Some(Ok(event)) => match serde_json::to_string(&event) {
                    Ok(text) => Message::text(text),
                    Err(_) => continue,
                },
                Some(Err(error)) => break close(close_code::ERROR, &error.message),
                None => break close(close_code::NORMAL, "there is no more"),
            },
            // The client says that it is there, or leaves.
            said = said.next() => match said {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {
                    heard = Instant::now();
                    continue;
                }
            },
            // It is asked whether it is there.
            _ = pings.tick() => {
                if heard.elapsed() > 3 * every {
                    tracing::debug!("a client does not answer any more");
                    return;
                }
                Message::Ping(Default::default())
            }
        };
        // Who does not read is let go by the connection's own bound, which makes this fail.
        if sink.send(message).await.is_err() {
            return;
        }
    };
    // Best effort: a client that does not hear it notices that the connection has ended.
    let _ = timeout(GOOD_BYE, async {
        sink.send(end).await?;
        while let Some(Ok(message)) = said.next().await {
            if matches!(message, Message::Close(_)) {
                break;
            }
        }
        Ok::<_, axum::Error>(())
    })
    .await;
}

fn close(code: u16, words: &str) -> Message {
    let end = words.char_indices().map(|(at, _)| at).take_while(|at| *at <= CLOSE_WORDS).last().unwrap_or(0);
    let words = if words.len() <= CLOSE_WORDS { words } else { words.get(..end).unwrap_or_default() };
    Message::Close(Some(CloseFrame { code, reason: words.to_owned().into() }))
}

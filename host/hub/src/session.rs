//! One agent's session: a task that owns the control stream and every task of the connection.
//!
//! ```text
//!   handshake ──► hello? ──► welcome ──► live ──► good-bye ──► gone
//!                   │                     │ ▲
//!                   └──► refused          └─┘ beats, credit, orders, streams
//! ```
//!
//! Good-bye is the same whether the agent, control or the hub ends it: no stream is read any more, what was handed on
//! is acknowledged, the connection is closed, and then `Left` is told, after everything else.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use pigeon_protocol::{
    close, frame,
    id::{IncarnationId, LeaseId},
    label::MAX_LABELS,
    limits::{MAX_FRAME, MAX_NAME},
    message::{Beat, BeatHeard, Cancel, Credit, Drain, Hello, Refused, ToAgent, ToHub, Welcome, to_agent, to_hub},
    version::Minor,
};
use quinn::{ConnectionError, SendStream};
use tokio::{
    sync::OwnedSemaphorePermit,
    task::JoinSet,
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    batch,
    collect::Context,
    handler::{HubEvent, SessionEnd},
    hub::{PATIENCE, Shared},
    offence::Offence,
    pace::Pace,
    request,
    sessions::{Entry, Order},
    tls::{self, Peer},
    transport::{Reader, code},
};

/// Most slots of an agent, and most runs in flight.
const MAX_SLOTS: u32 = 65_536;

/// Plugins, and models, of a beat that are handed on.
const MAX_TOLD: usize = 64;

/// Streams that an agent may garble or break off and stay, where it does nothing sensible between them.
const STRIKES: u32 = 128;

/// Serve a connection whose handshake is done. The permit is given back once the agent is in.
pub(crate) async fn run(shared: Arc<Shared>, connection: quinn::Connection, permit: OwnedSemaphorePermit) {
    let address = connection.remote_address();
    let entered = match enter(&shared, &connection).await {
        Ok(entered) => entered,
        Err(refusal) => {
            let why = match refusal.offence {
                Offence::ExpiredCertificate => close::EXPIRED,
                _ if refusal.try_again => close::TRY_AGAIN,
                _ => close::REFUSED,
            };
            connection.close(code(why), refusal.reason.as_bytes());
            return shared.sessions.refused(address, refusal.offence, refusal.reason);
        }
    };
    drop(permit);
    entered.live(shared).await;
}

/// Not in.
struct Refusal {
    offence: Offence,
    reason: String,
    try_again: bool,
}

impl Refusal {
    fn for_good(offence: Offence, reason: impl ToString) -> Self {
        Self { offence, reason: reason.to_string(), try_again: false }
    }

    fn for_now(offence: Offence, reason: impl ToString) -> Self {
        Self { offence, reason: reason.to_string(), try_again: true }
    }
}

async fn enter(shared: &Shared, connection: &quinn::Connection) -> Result<Session, Refusal> {
    let peer = tls::peer(connection)
        .ok_or_else(|| Refusal::for_good(Offence::NoCertificate, "an agent's certificate is needed"))?;
    if peer.expired {
        let reason = "the agent's certificate has expired: it may be renewed, and nothing else";
        return Err(Refusal::for_good(Offence::ExpiredCertificate, reason));
    }
    let admitted = shared.handler.0.admit(peer.agent, peer.certificate);
    admitted.map_err(|error| Refusal::for_good(Offence::RevokedCertificate, error))?;

    let hello = timeout(PATIENCE, async {
        let (send, recv) = connection.accept_bi().await.map_err(|error| error.to_string())?;
        let mut reader = Reader::new(recv, MAX_FRAME);
        match reader.message::<ToHub>().await.map_err(|error| error.to_string())?.and_then(|message| message.say) {
            Some(to_hub::Say::Hello(hello)) => Ok((send, reader, hello)),
            _ => Err("the first message is no hello".to_owned()),
        }
    });
    let (send, reader, hello) = hello
        .await
        .map_err(|_| Refusal::for_now(Offence::Slow, "no hello came in time"))?
        .map_err(|error| Refusal::for_good(Offence::Hello, error))?;
    let (minor, incarnation) = check(&hello).map_err(|error| Refusal::for_good(Offence::Hello, error))?;
    let entry = shared
        .sessions
        .enter(peer.agent, incarnation, shared.config.max_sessions)
        .ok_or_else(|| Refusal::for_now(Offence::Busy, "the hub has as many agents as it takes"))?;
    // Whoever was revoked since was not found among the sessions.
    if let Err(error) = shared.handler.0.admit(peer.agent, peer.certificate) {
        shared.sessions.leave(entry.id);
        return Err(Refusal::for_good(Offence::RevokedCertificate, error));
    }
    let context = Context {
        session: entry.id,
        agent: peer.agent,
        handler: Arc::clone(&shared.handler.0),
        offences: Arc::clone(&shared.sessions.offences),
        patience: shared.config.patience,
        closing: CancellationToken::new(),
    };
    let (connection, tasks, leases) = (connection.clone(), JoinSet::new(), HashMap::new());
    Ok(Session { context, peer, connection, entry, send, reader, hello, minor, tasks, leases, strikes: 0 })
}

/// What a hello must be like.
fn check(hello: &Hello) -> Result<(u32, IncarnationId), String> {
    let minor = Minor::agree(hello.oldest_minor, hello.newest_minor).ok_or_else(|| {
        format!(
            "the agent speaks minor versions {} to {}, the hub {} to {}",
            hello.oldest_minor,
            hello.newest_minor,
            Minor::OLDEST as u32,
            Minor::NEWEST as u32
        )
    })?;
    let incarnation = IncarnationId::from_slice(&hello.incarnation).ok_or("the hello names no incarnation")?;
    let long = |text: &String| text.len() > MAX_NAME;
    if long(&hello.name) || long(&hello.version) || hello.labels.iter().any(long) || hello.labels.len() > MAX_LABELS {
        return Err("a name or label in the hello is too long, or there are too many".to_owned());
    }
    if hello.name.is_empty() {
        return Err("the hello does not name the agent".to_owned());
    }
    if hello.slots == 0 || hello.slots > MAX_SLOTS || hello.in_flight > MAX_SLOTS {
        return Err("the hello has no sensible number of slots".to_owned());
    }
    Ok((minor, incarnation))
}

struct Session {
    context: Context,
    peer: Peer,
    connection: quinn::Connection,
    entry: Entry,
    send: SendStream,
    reader: Reader,
    hello: Hello,
    minor: u32,
    /// Every task of this connection: leases and requests.
    tasks: JoinSet<Ended>,
    /// Those that are leases, to be told when they are taken from the agent.
    leases: HashMap<LeaseId, CancellationToken>,
    /// Streams that the agent has garbled or broken off, less those that were in order.
    strikes: u32,
}

/// A lease or a request is done.
struct Ended {
    lease: Option<LeaseId>,
    /// Whether the agent did its part.
    in_order: bool,
}

/// How a session came to its end, and what the agent is told.
struct Goodbye {
    end: SessionEnd,
    /// Not sent where there is nobody to hear it.
    words: Option<Refused>,
}

impl Session {
    async fn live(mut self, shared: Arc<Shared>) {
        let (id, agent) = (self.entry.id, self.context.agent);
        let address = self.connection.remote_address();
        tracing::info!(session = id.0, %agent, name = self.hello.name, %address, "an agent has joined");
        let welcome = Welcome { minor: self.minor, session: id.0, beat_ms: shared.config.beat.as_millis() as u64 };
        let hello = std::mem::take(&mut self.hello);
        let (certificate, ends_ms) = (self.peer.certificate, self.peer.ends_ms);
        let joined = HubEvent::Joined { session: id, agent, hello, address, certificate, ends_ms };
        self.context.handler.event(joined).await;
        let goodbye = match self.say(to_agent::Say::Welcome(welcome)).await {
            Ok(()) => self.serve(&shared).await,
            Err(goodbye) => goodbye,
        };
        if let SessionEnd::Misbehaved(reason) = &goodbye.end {
            shared.sessions.misbehaved(agent, format_args!("it broke the protocol: {reason}"));
        }
        tracing::info!(session = id.0, %agent, end = ?goodbye.end, "a session has ended");
        shared.sessions.leave(id);
        let end = goodbye.end.clone();
        self.leave(goodbye).await;
        self.context.handler.event(HubEvent::Left { session: id, agent, end }).await;
    }

    /// The session's life, up to the reason why it ends.
    async fn serve(&mut self, shared: &Shared) -> Goodbye {
        let mut pace = Pace::new(Instant::now());
        let mut deaf: Option<Instant> = None;
        loop {
            tokio::select! {
                // Asked to end, by control or by a newer session of the same agent.
                () = self.entry.ending.asked.cancelled() => {
                    let (end, try_again) = self.entry.ending.why();
                    let elsewhere = end == SessionEnd::Died;
                    let reason = match &end {
                        SessionEnd::Disconnected(reason) => reason.clone(),
                        // It lives, where it hears this.
                        SessionEnd::Died => "another process has connected with this agent's identity".to_owned(),
                        _ => "the agent has connected anew".to_owned(),
                    };
                    return Goodbye { end, words: Some(Refused { reason, try_again, elsewhere }) };
                }
                // The hub shuts down.
                () = shared.stop.cancelled() => {
                    let reason = "the hub shuts down".to_owned();
                    let end = SessionEnd::Disconnected(reason.clone());
                    return Goodbye { end, words: Some(Refused { reason, try_again: true, elsewhere: false }) };
                }
                // The connection is gone.
                error = self.connection.closed() => return gone(error),
                // The agent speaks. Safe to drop half way, see `Reader`.
                message = self.reader.message::<ToHub>(), if deaf.is_none() => {
                    let heard = match message {
                        Ok(Some(message)) => {
                            deaf = pace.heard(&message, Instant::now());
                            if deaf.is_some() {
                                let reason = "it says more than there is to say, and is listened to more slowly";
                                self.context.offences.of_agent(self.context.agent, Offence::Flood, reason);
                            }
                            self.hear(message).await
                        }
                        // Its last words were said: it is about to close.
                        Ok(None) => Err(self.misbehaved("it ended its control stream and stayed").await),
                        Err(error) => Err(self.misbehaved(error).await),
                    };
                    if let Err(goodbye) = heard {
                        return goodbye;
                    }
                }
                // It has said too much, and is listened to again.
                () = sleep_until(deaf.unwrap_or_else(Instant::now).into()), if deaf.is_some() => deaf = None,
                // Control orders.
                Some(order) = self.entry.orders.recv() => {
                    if let Err(goodbye) = self.obey(order).await {
                        return goodbye;
                    }
                }
                // The agent asks. QUIC's limit of streams bounds how many at once.
                stream = self.connection.accept_bi() => if let Ok((send, recv)) = stream {
                    let served = request::serve(self.context.clone(), send, recv);
                    self.tasks.spawn(async { Ended { lease: None, in_order: served.await } });
                },
                // A lease or a request is done.
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => match done {
                    Ok(ended) => {
                        if let Err(goodbye) = self.ended(ended).await {
                            return goodbye;
                        }
                    }
                    Err(error) => tracing::error!("a task of a session failed: {error}"),
                },
            }
        }
    }

    async fn hear(&mut self, message: ToHub) -> Result<(), Goodbye> {
        let session = self.entry.id;
        match message.say {
            Some(to_hub::Say::Beat(mut beat)) => {
                shorten(&mut beat);
                let number = beat.number;
                let unknown = self.context.handler.beat(session, beat).await;
                let unknown = unknown.into_iter().map(|lease| lease.0).collect();
                self.say(to_agent::Say::BeatHeard(BeatHeard { number, unknown })).await
            }
            Some(to_hub::Say::Credit(credit)) => {
                let Credit { received, batches, short } = credit;
                self.context.handler.event(HubEvent::Credit { session, received, batches, short }).await;
                Ok(())
            }
            Some(to_hub::Say::Draining(words)) => {
                self.context.handler.event(HubEvent::Draining { session, reason: words.reason }).await;
                Ok(())
            }
            Some(to_hub::Say::Hello(_)) => Err(self.misbehaved("a second hello").await),
            // From a newer peer.
            None => Ok(()),
        }
    }

    async fn ended(&mut self, Ended { lease, in_order }: Ended) -> Result<(), Goodbye> {
        lease.and_then(|lease| self.leases.remove(&lease));
        if in_order {
            self.strikes = self.strikes.saturating_sub(1);
            return Ok(());
        }
        self.strikes += 1;
        match self.strikes < STRIKES {
            true => Ok(()),
            false => Err(self.misbehaved("it garbled or broke off too many streams").await),
        }
    }

    async fn obey(&mut self, order: Order) -> Result<(), Goodbye> {
        match order {
            Order::Lease(order) => {
                let (lease, taken) = (order.lease, CancellationToken::new());
                self.leases.insert(lease, taken.clone());
                let served = batch::serve(self.context.clone(), self.connection.clone(), *order, taken);
                self.tasks.spawn(async move { Ended { lease: Some(lease), in_order: served.await } });
                Ok(())
            }
            Order::Cancel(leases) => {
                leases.iter().filter_map(|lease| self.leases.get(lease)).for_each(CancellationToken::cancel);
                let ids: Vec<u64> = leases.iter().map(|&LeaseId(id)| id).collect();
                // Ten bytes an id: a chunk is far below the longest message.
                for leases in ids.chunks(10_000) {
                    self.say(to_agent::Say::Cancel(Cancel { leases: leases.to_vec() })).await?;
                }
                Ok(())
            }
            Order::Drain(grace) => {
                self.say(to_agent::Say::Drain(Drain { grace_ms: grace.as_millis().min(u64::MAX.into()) as u64 })).await
            }
        }
    }

    /// Say something on the control stream. An agent that takes nothing for seconds is not waited for.
    async fn say(&mut self, say: to_agent::Say) -> Result<(), Goodbye> {
        let frame = match frame::encode(&ToAgent { say: Some(say) }) {
            Ok(frame) => frame,
            Err(error) => return Err(self.misbehaved(error).await),
        };
        match timeout(PATIENCE, self.send.write_chunk(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.misbehaved(error).await),
            Err(_) => Err(self.misbehaved("it does not read its control stream").await),
        }
    }

    /// The control stream is no good. Where that is because the connection is gone, that is the reason.
    async fn misbehaved(&self, reason: impl ToString) -> Goodbye {
        // A connection that is being closed tells so a moment after its streams do.
        match timeout(Duration::from_secs(1), self.connection.closed()).await {
            Ok(error) => gone(error),
            Err(_) => {
                let reason = reason.to_string();
                let words = Refused { reason: reason.clone(), try_again: false, elsewhere: false };
                Goodbye { end: SessionEnd::Misbehaved(reason), words: Some(words) }
            }
        }
    }

    /// Acknowledge what was handed on, say good-bye, close.
    async fn leave(&mut self, goodbye: Goodbye) {
        self.context.closing.cancel();
        let why = match (&goodbye.end, &goodbye.words) {
            (SessionEnd::Misbehaved(_), _) => close::MISBEHAVED,
            (_, Some(Refused { elsewhere: true, .. })) => close::ELSEWHERE,
            (_, Some(Refused { try_again: false, .. })) => close::REFUSED,
            (_, Some(_)) => close::TRY_AGAIN,
            (_, None) => close::DONE,
        };
        let reason = goodbye.words.as_ref().map(|words| words.reason.clone()).unwrap_or_default();
        if let Some(words) = goodbye.words
            && self.say(to_agent::Say::Refused(words)).await.is_ok()
        {
            // Fails only where the stream is over already.
            let _ = self.send.finish();
        }
        let flushed = timeout(PATIENCE, async {
            while self.tasks.join_next().await.is_some() {}
            let _ = timeout(Duration::from_secs(1), self.send.stopped()).await;
        });
        if flushed.await.is_err() {
            tracing::warn!(session = self.entry.id.0, "outcomes were not recorded in time: the agent keeps them");
        }
        self.connection.close(code(why), reason.as_bytes());
        // A handler that waits for room is not waited for: its outcomes stay with the agent.
        self.tasks.shutdown().await;
    }
}

/// Leave of what a beat tells for people no more than a sensible agent has to tell.
fn shorten(beat: &mut Beat) {
    beat.plugins.retain(|digest| digest.len() <= MAX_NAME);
    beat.plugins.truncate(MAX_TOLD);
    beat.plugins.shrink_to_fit();
    beat.models.retain(|name| name.len() <= MAX_NAME);
    beat.models.truncate(MAX_TOLD);
    beat.models.shrink_to_fit();
}

/// What the end of a connection says of its agent.
fn gone(error: ConnectionError) -> Goodbye {
    let end = match error {
        // Only an agent that leaves in order says so; its last words may be overtaken by the close itself. A connection that
        // is dropped is closed with the same code, and without a word.
        ConnectionError::ApplicationClosed(close)
            if close.error_code == code(close::DONE) && !close.reason.is_empty() =>
        {
            SessionEnd::Drained
        }
        ConnectionError::ApplicationClosed(close) => {
            SessionEnd::Closed(String::from_utf8_lossy(&close.reason).into_owned())
        }
        ConnectionError::TimedOut => SessionEnd::Unreachable,
        ConnectionError::TransportError(error) => SessionEnd::Misbehaved(error.to_string()),
        error => SessionEnd::Closed(error.to_string()),
    };
    Goodbye { end, words: None }
}

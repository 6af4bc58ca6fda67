//! One connection to the hub: hello, beats, credit, leases, good-bye.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use pigeon_protocol::{
    close, frame,
    limits::{MAX_BEAT_MS, MAX_FRAME},
    message::{Beat, Credit, Draining, Hello, Refused, ToAgent, ToHub, Welcome, to_agent, to_hub},
    version::{ALPN, Minor, SERVER_NAME},
};
use quinn::{ConnectionError, SendStream};
use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{LaneGuard, Shared},
    batch,
    lanes::Lanes,
    pace, tls,
    transport::{self, Link, Reader, code},
};

/// Time for the answer to our hello.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether runs have gone to wait in host calls, which makes room for others.
const LOOK: Duration = Duration::from_millis(25);

/// Time for our last words to arrive.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How a session ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// All was done that was to be done, and the agent has left.
    Left,
    /// The connection broke, or could not be made; or the hub said "not now".
    Broken(String),
    /// The hub does not want this agent.
    Refused(String),
    /// Another process has connected with this agent's identity.
    Elsewhere,
    /// The agent's certificate has expired, and may be renewed.
    Expired,
}

/// Whether the hub was reached at all is what decides how long the next pause is.
pub(crate) struct Session {
    pub(crate) ended: Ended,
    pub(crate) welcomed: bool,
}

/// Connect within `patience` and serve, until the connection ends. `stop` makes the agent drain and leave.
pub(crate) async fn run<L: Lanes>(
    shared: &Arc<Shared<L>>,
    link: &Link,
    patience: Duration,
    stop: &CancellationToken,
) -> Session {
    let before = |ended| Session { ended, welcomed: false };
    let live = tokio::select! {
        live = connect(shared, link, patience) => live,
        // Told to stop, and nothing to deliver: there is no reason to connect.
        () = stop.cancelled(), if shared.outbox.is_empty() => Err(Ended::Left),
    };
    let live = match live {
        Ok(live) => live,
        Err(ended) => return before(ended),
    };
    let connection = live.connection.clone();
    let ended = live.serve(stop).await;
    let (why, words): (_, &[u8]) = match &ended {
        Ended::Left => (close::DONE, b"drained"),
        _ => (close::TRY_AGAIN, b""),
    };
    connection.close(code(why), words);
    Session { ended, welcomed: true }
}

async fn connect<L: Lanes>(shared: &Arc<Shared<L>>, link: &Link, patience: Duration) -> Result<Live<L>, Ended> {
    let broken = |error: &dyn std::error::Error| Ended::Broken(crate::lanes::chain(error));
    let identity = shared.identity();
    let crypto = tls::mutual(&identity, ALPN).map_err(|error| Ended::Refused(crate::lanes::chain(&error)))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(link.transport(shared.config.in_flight)));
    let connecting =
        link.endpoint.connect_with(config, shared.config.hub, SERVER_NAME).map_err(|error| broken(&error))?;
    let connection = timeout(patience, connecting)
        .await
        .map_err(|_| Ended::Broken("the hub does not answer".to_owned()))?
        .map_err(gone)?;

    let greeted = timeout(PATIENCE, async {
        let (mut send, recv) = connection.open_bi().await.map_err(gone)?;
        let mut reader = Reader::new(recv, MAX_FRAME);
        say(&mut send, to_hub::Say::Hello(hello(shared))).await?;
        loop {
            let message: ToAgent = match reader.need().await {
                Ok(message) => message,
                // A refusal may come as the connection's end alone.
                Err(error) => return Err(ended(&connection, &error).await),
            };
            match message.say {
                Some(to_agent::Say::Welcome(welcome)) => return Ok((send, reader, welcome)),
                Some(to_agent::Say::Refused(refused)) => return Err(refused_by(refused)),
                _ => {}
            }
        }
    });
    let (send, reader, welcome) =
        greeted.await.map_err(|_| Ended::Broken("the hub does not answer our hello".to_owned()))??;
    tracing::info!(session = welcome.session, hub = %shared.config.hub, "connected");
    Ok(Live {
        shared: Arc::clone(shared),
        connection: connection.clone(),
        send,
        reader,
        welcome,
        tasks: JoinSet::new(),
        beats: 0,
        received: 0,
        credit: None,
        draining: None,
    })
}

fn hello<L: Lanes>(shared: &Shared<L>) -> Hello {
    let config = &shared.config;
    Hello {
        oldest_minor: Minor::OLDEST as u32,
        newest_minor: Minor::NEWEST as u32,
        incarnation: shared.incarnation.to_bytes().to_vec(),
        name: config.name.clone(),
        slots: number(config.slots),
        in_flight: number(config.in_flight),
        memory: config.memory,
        labels: config.labels.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        max_memory: config.max_memory,
    }
}

fn refusal(reason: String, try_again: bool) -> Ended {
    if try_again { Ended::Broken(reason) } else { Ended::Refused(reason) }
}

/// What the hub's refusal means.
fn refused_by(words: Refused) -> Ended {
    if words.elsewhere { Ended::Elsewhere } else { refusal(words.reason, words.try_again) }
}

/// What the end of a connection means.
fn gone(error: ConnectionError) -> Ended {
    match error {
        ConnectionError::ApplicationClosed(closed) if closed.error_code == code(close::EXPIRED) => Ended::Expired,
        ConnectionError::ApplicationClosed(closed) if closed.error_code == code(close::ELSEWHERE) => Ended::Elsewhere,
        ConnectionError::ApplicationClosed(closed) => {
            let reason = String::from_utf8_lossy(&closed.reason).into_owned();
            let for_good = [code(close::REFUSED), code(close::MISBEHAVED)].contains(&closed.error_code);
            refusal(reason, !for_good)
        }
        error => Ended::Broken(transport::told(&error)),
    }
}

/// A stream broke: where that is because the connection has ended, its end says more.
async fn ended(connection: &quinn::Connection, error: &(dyn std::error::Error + Sync)) -> Ended {
    match timeout(Duration::from_millis(100), connection.closed()).await {
        Ok(closed) => gone(closed),
        Err(_) => Ended::Broken(crate::lanes::chain(error)),
    }
}

async fn say(send: &mut SendStream, say: to_hub::Say) -> Result<(), Ended> {
    let frame = frame::encode(&ToHub { say: Some(say) }).map_err(|error| Ended::Broken(error.to_string()))?;
    send.write_chunk(frame).await.map_err(|error| match error {
        quinn::WriteError::ConnectionLost(error) => gone(error),
        error => Ended::Broken(error.to_string()),
    })
}

/// A session that was welcomed.
struct Live<L: Lanes> {
    shared: Arc<Shared<L>>,
    connection: quinn::Connection,
    send: SendStream,
    reader: Reader,
    welcome: Welcome,
    /// Delivery of each lane on this connection.
    tasks: JoinSet<()>,
    beats: u64,
    /// Leases that have come in this session.
    received: u64,
    /// The credit that was told last.
    credit: Option<Credit>,
    /// Set once no more leases are wanted: when the agent leaves at the latest.
    draining: Option<Instant>,
}

impl<L: Lanes> Live<L> {
    async fn serve(mut self, stop: &CancellationToken) -> Ended {
        let ended = self.work(stop).await;
        if matches!(ended, Ended::Left) {
            // A close overtakes what was written before it, and quinn holds it back where that waits for the congestion
            // window: so let our last words arrive. Fails only where the stream is over already.
            let _ = self.send.finish();
            let _ = timeout(LAST_WORDS, self.send.stopped()).await;
        }
        ended
    }

    async fn work(&mut self, stop: &CancellationToken) -> Ended {
        for lane in self.shared.outbox.all() {
            self.tasks.spawn(batch::redeliver(Arc::clone(&self.shared), self.connection.clone(), lane));
        }
        let mut beat = interval(Duration::from_millis(self.welcome.beat_ms.clamp(10, MAX_BEAT_MS)));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if self.draining.is_some() && self.shared.running.load(Relaxed) == 0 && self.shared.outbox.is_empty() {
                return Ended::Left;
            }
            if let Err(ended) = self.tell_credit().await {
                return ended;
            }
            let deadline = self.draining;
            let done = tokio::select! {
                // The hub speaks. Safe to drop half way, see `Reader`.
                message = self.reader.need::<ToAgent>() => match message {
                    Ok(message) => self.hear(message).await,
                    Err(error) => Err(ended(&self.connection, &error).await),
                },
                // A lease comes. QUIC's limit of streams bounds how many at once.
                stream = self.connection.accept_bi() => match stream {
                    Ok((send, recv)) => {
                        self.received += 1;
                        let (shared, guard) = (Arc::clone(&self.shared), LaneGuard::new(&self.shared));
                        self.tasks.spawn(batch::serve(shared, self.connection.clone(), send, recv, guard));
                        Ok(())
                    }
                    Err(error) => Err(gone(error)),
                },
                // We live. Nothing here waits for a guest.
                _ = beat.tick() => self.beat().await,
                // A lane has ended or is delivered: the credit may have changed.
                () = self.shared.changed.notified() => Ok(()),
                // Lanes may have gone to wait in host calls.
                _ = look.tick(), if self.shared.running.load(Relaxed) > 0 => Ok(()),
                // Delivery tasks are swept up.
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => Ok(()),
                // We are told to stop.
                () = stop.cancelled(), if deadline.is_none() => {
                    self.drain("the agent was told to stop", self.shared.config.drain).await
                }
                // The drain has taken too long: what is not delivered is lost to this process.
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Err(Ended::Left),
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    async fn hear(&mut self, message: ToAgent) -> Result<(), Ended> {
        match message.say {
            Some(to_agent::Say::BeatHeard(heard)) => self.shared.outbox.cancel(&heard.unknown),
            Some(to_agent::Say::Cancel(cancel)) => self.shared.outbox.cancel(&cancel.leases),
            Some(to_agent::Say::Drain(drain)) => {
                self.drain("the hub asked for it", Duration::from_millis(drain.grace_ms)).await?;
            }
            Some(to_agent::Say::Refused(refused)) => return Err(refused_by(refused)),
            // A second welcome says nothing new; the rest is from a newer hub.
            Some(to_agent::Say::Welcome(_)) | None => {}
        }
        Ok(())
    }

    async fn drain(&mut self, reason: &str, grace: Duration) -> Result<(), Ended> {
        if self.draining.is_none() {
            tracing::info!(running = self.shared.running.load(Relaxed), "draining: {reason}");
            self.draining = Some(Instant::now() + grace);
            say(&mut self.send, to_hub::Say::Draining(Draining { reason: reason.to_owned() })).await?;
        }
        Ok(())
    }

    /// Digests of the plugins that are at hand.
    fn held(&self) -> Vec<Vec<u8>> {
        let held = self.shared.plugins.held(&self.shared.lanes);
        held.iter().map(|digest| digest.as_bytes().to_vec()).collect()
    }

    async fn beat(&mut self) -> Result<(), Ended> {
        self.beats += 1;
        let beat = Beat {
            number: self.beats,
            leases: self.shared.outbox.leases(),
            computing: number(self.shared.lanes.computing()),
            waiting: number(self.shared.lanes.waiting()),
            rss: resident(),
            plugins: self.held(),
            models: Vec::new(),
        };
        say(&mut self.send, to_hub::Say::Beat(beat)).await
    }

    /// Tell how many more batches are wanted, where that is more or less than was told last.
    async fn tell_credit(&mut self) -> Result<(), Ended> {
        let shared = &self.shared;
        let lanes = shared.running.load(Relaxed);
        let wanted = |of_a_slot: usize| {
            if self.draining.is_some() || shared.outbox.enough() {
                return 0;
            }
            let busy = lanes.saturating_sub(shared.lanes.waiting());
            let free = (shared.config.slots * of_a_slot).saturating_sub(busy);
            number(free.min(shared.config.in_flight.saturating_sub(lanes)))
        };
        let (batches, any) = (wanted(shared.pace.lanes()), wanted(pace::LEAST));
        let credit = Credit { received: self.received, batches, short: batches.saturating_sub(any) };
        let allowed = |credit: &Credit| (credit.received + u64::from(credit.batches), credit.short);
        if self.credit.as_ref().map(allowed) == Some(allowed(&credit)) {
            return Ok(());
        }
        self.credit = Some(credit);
        say(&mut self.send, to_hub::Say::Credit(credit)).await
    }
}

/// As many as a message can say.
fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Resident memory of this process, in bytes; zero where the system does not tell.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.as_deref().and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

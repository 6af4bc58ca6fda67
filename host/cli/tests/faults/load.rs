//! Those who submit jobs, wait for them and write down what they are told. They do what clients do: they try again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use pigeon_api::{
    ApiError, ErrorKind, EventFilter, JobEvent, JobId, JobRequest, JobState, Pigeon as _, Result, Stop, Watch,
    client::RestClient,
};
use tokio::{sync::watch, time::sleep};

use crate::{
    history::{Account, Entry},
    jobs::{Act, Judge, Order},
    world::World,
};

/// Jobs under way at once.
pub(crate) const SUBMITTERS: usize = 6;

/// Longer than any test: a run that nothing but a death ends.
const HOURS: Duration = Duration::from_secs(3 * 3600);

/// Before what failed is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// What they share.
pub(crate) struct Load {
    pub(crate) world: Arc<World>,
    began: Instant,
    orders: Mutex<VecDeque<Order>>,
    pub(crate) accounts: Mutex<Vec<Account>>,
    /// Runs that were told to have landed.
    pub(crate) landed: AtomicU64,
    /// Calls that had to be made again, by why.
    pub(crate) again: Mutex<BTreeMap<String, u64>>,
    /// The log of events as it was told to somebody who followed it from the beginning.
    pub(crate) followed: Mutex<Vec<Entry>>,
    /// Orders that begin before so many runs may be submitted: the faults have to keep up.
    allowed: watch::Sender<u64>,
    /// Digests of the plugins, by what judges.
    plugins: Plugins,
}

/// The plugins that judge.
struct Plugins {
    json: pigeon_api::Digest,
    gexpr: pigeon_api::Digest,
    echo: pigeon_api::Digest,
    hostile: pigeon_api::Digest,
}

impl Plugins {
    async fn find(client: &RestClient) -> Self {
        let named = async |name| client.plugin(name).await.unwrap().digest;
        let hostile = client.publish(bytes::Bytes::from_static(pigeon_plugins::HOSTILE)).await.unwrap().digest;
        Self { json: named("json").await, gexpr: named("gexpr").await, echo: named("echo").await, hostile }
    }

    fn of(&self, judge: Judge) -> pigeon_api::Digest {
        match judge {
            Judge::Json => self.json,
            Judge::Gexpr => self.gexpr,
            Judge::Echo(_) => self.echo,
            Judge::Hostile | Judge::Poison => self.hostile,
        }
    }
}

impl Load {
    /// `last` is an order that nobody submits by itself, when all others have ended.
    pub(crate) async fn new(world: Arc<World>, orders: Vec<Order>, last: Order) -> Arc<Self> {
        let plugins = Plugins::find(&world.client()).await;
        Arc::new(Self {
            world,
            began: Instant::now(),
            accounts: Mutex::new(orders.iter().cloned().chain([last]).map(Account::new).collect()),
            orders: Mutex::new(orders.into()),
            landed: AtomicU64::new(0),
            again: Mutex::default(),
            followed: Mutex::default(),
            allowed: watch::channel(0).0,
            plugins,
        })
    }

    /// Orders that begin before so many runs may be submitted.
    pub(crate) fn allow(&self, runs: u64) {
        self.allowed.send_replace(runs);
    }

    /// Whole seconds since it began.
    fn second(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    fn note(&self, order: &Order, note: impl FnOnce(&mut Account)) {
        note(&mut self.accounts.lock().unwrap()[order.number]);
    }

    /// Submit one job after the other until there is none left.
    pub(crate) async fn submit_all(self: Arc<Self>) {
        let client = self.world.client();
        let mut allowed = self.allowed.subscribe();
        loop {
            let order = {
                let mut orders = self.orders.lock().unwrap();
                let Some(next) = orders.front() else { return };
                if next.before <= *allowed.borrow_and_update() { orders.pop_front() } else { None }
            };
            match order {
                Some(order) => self.see_through(&client, &order).await,
                None => allowed.changed().await.unwrap(),
            }
        }
    }

    /// Follow the log of events for ever.
    pub(crate) async fn follow(self: Arc<Self>) {
        let client = self.world.client();
        loop {
            let after = self.followed.lock().unwrap().last().map_or(0, |entry| entry.seq);
            if let Ok(mut events) = client.follow_events(EventFilter { after, job: None }).await {
                while let Some(Ok(event)) = events.next().await {
                    self.followed.lock().unwrap().push(event.into());
                }
            }
            sleep(AGAIN).await;
        }
    }

    /// A job from its submission to its end.
    async fn see_through(&self, client: &RestClient, order: &Order) {
        if let Some(job) = self.submit(client, order).await {
            self.wait_for(client, order, job).await;
        }
    }

    /// A job with all its items.
    pub(crate) async fn submit(&self, client: &RestClient, order: &Order) -> Option<JobId> {
        let mut request = JobRequest::new(self.plugins.of(order.judge), order.work);
        request.key = Some(order.key());
        request.priority = order.priority;
        request.options.extend(order.options().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        request.retry.max_backoff = Duration::from_secs(1);
        if order.judge == Judge::Poison {
            request.limits.cpu = HOURS;
            request.limits.wall = HOURS;
        }
        let job = self.insist("submit", order, async || client.submit(request.clone()).await).await?;
        self.note(order, |account| account.job = Some(job));
        if order.act == Act::Repeat {
            let again = self.insist("submit again", order, async || client.submit(request.clone()).await).await;
            if again.is_some_and(|again| again != job) {
                self.world.complain(format!("the key of job {job} opened {again:?} as well"));
            }
        }
        for seq in 0..order.chunks() {
            let chunk = order.chunk(seq);
            let count = chunk.len() as u64;
            self.insist("append to", order, async || client.append(job, chunk.clone()).await).await?;
            let second = self.second();
            self.note(order, |account| {
                account.items += count;
                account.begun.get_or_insert(second);
            });
        }
        self.insist("seal", order, async || client.seal(job).await).await?;
        self.note(order, |account| account.sealed = true);
        Some(job)
    }

    /// Hear of every run until the job has ended.
    pub(crate) async fn wait_for(&self, client: &RestClient, order: &Order, job: JobId) {
        let (mut after, mut heard, mut acted) = (0, 0, false);
        loop {
            let watch = Watch { runs: true, after, ..Watch::default() };
            let Some(mut events) = self.insist("watch", order, async || client.watch(job, watch).await).await else {
                return;
            };
            let state = loop {
                match events.next().await {
                    Some(Ok(JobEvent::Landed(landed))) => {
                        (after, heard) = (landed.batch, heard + landed.runs.len() as u64);
                        let second = self.second();
                        self.note(order, |account| landed.runs.iter().for_each(|run| account.tell(second, run)));
                        self.landed.fetch_add(landed.runs.len() as u64, SeqCst);
                        if heard >= order.runs() / 2 && !acted {
                            acted = true;
                            self.act(client, order, job).await;
                        }
                    }
                    Some(Ok(JobEvent::Finished(state))) => break Some(state),
                    Some(Ok(JobEvent::Progress(_) | JobEvent::Note(_))) => {}
                    Some(Err(_)) | None => break None,
                }
            };
            match state {
                Some(state) if state.is_final() => break,
                // Whoever runs a server has a job go on that a full disk had interrupted.
                Some(JobState::Interrupted | JobState::Paused) => {
                    sleep(AGAIN).await;
                    self.insist("resume", order, async || client.resume(job).await).await;
                }
                _ => sleep(AGAIN).await,
            }
        }
        let second = self.second();
        self.note(order, |account| account.ended = Some(second));
    }

    /// What is done to it while it is under way.
    async fn act(&self, client: &RestClient, order: &Order, job: JobId) {
        match order.act {
            Act::Nothing | Act::Repeat => {}
            Act::Cancel => {
                self.note(order, |account| account.cancelled = true);
                self.insist("cancel", order, async || did(client.stop(job, Stop::Cancel).await)).await;
            }
            Act::Pause => {
                // It may have ended by then: then there is nothing to see of it.
                if let Some(true) = self.insist("pause", order, async || did(client.stop(job, Stop::Pause).await)).await
                {
                    self.note(order, |account| account.paused = true);
                    sleep(AGAIN).await;
                    let point = self.insist("resume", order, async || client.resume(job).await).await;
                    // All that was under way may have been all there was.
                    let went_on = point.is_some_and(|point| point.state == JobState::Paused);
                    self.note(order, |account| account.resumed = went_on);
                }
            }
        }
    }

    /// Try until it is done: the server dies, goes down, has too much to do, or has no room. Nothing else may be wrong.
    async fn insist<T>(&self, what: &str, order: &Order, mut call: impl AsyncFnMut() -> Result<T>) -> Option<T> {
        loop {
            match call().await {
                Ok(done) => return Some(done),
                Err(error) if is_for_now(&error) => {
                    *self.again.lock().unwrap().entry(format!("{:?}", error.kind)).or_default() += 1;
                    sleep(AGAIN).await;
                }
                Err(error) => {
                    let number = order.number;
                    self.world.complain(format!("to {what} order {number} was refused ({:?}): {error}", error.kind));
                    return None;
                }
            }
        }
    }
}

fn is_for_now(error: &ApiError) -> bool {
    matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Overloaded | ErrorKind::Exhausted | ErrorKind::Internal)
}

/// Whether it was done: a job that has ended is not stopped any more.
fn did(stopped: Result<()>) -> Result<bool> {
    match stopped {
        Ok(()) => Ok(true),
        Err(error) if error.kind == ErrorKind::Conflict => Ok(false),
        Err(error) => Err(error),
    }
}

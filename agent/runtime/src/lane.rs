//! A lane: runs that follow one another on one instance, or each on a fresh one.
//!
//! A lane takes what it needs in one order (units of the pool for as long as it lives, memory for its instance, a slot
//! to compute), and waits for memory only with no slot in its hand: so lanes cannot wait for each other in a circle.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;

use crate::{
    Cause, Event, Failure, Job, Limits, Run, RunReport, Slots,
    account::Reserved,
    contract::{ItemRef, Made},
    effects::Live,
    host::Ctx,
    meter::{Meter, wall_now},
    normalise::{self, Phase},
    plugin::Inner,
    ticker::Busy,
    turn::Turn,
};

/// What an answer may cost the host while it is read, in bytes: more than it may have in the end, because findings
/// beyond the first 1,000 are counted and dropped.
const ALLOWANCE: u64 = 16 << 20;

/// One lane of a plugin.
pub(crate) struct Lane {
    plugin: Arc<Inner>,
    job: Arc<Job>,
    turn: Turn,
    meter: Arc<Meter>,
    reserved: Reserved,
    /// Fields are dropped in this order: an instance before what accounts for it.
    guest: Option<Guest>,
    /// The data of the last store, to be used again.
    spare: Option<Box<Ctx>>,
    _busy: Busy,
    _units: Option<OwnedSemaphorePermit>,
}

/// A store, with the instance in it once it is made.
struct Guest {
    store: Store<Box<Ctx>>,
    instance: Option<Made>,
    /// Whether a run before this one used it.
    used: bool,
}

/// What a call came to, and what it cost.
pub(crate) struct Attempt<T> {
    pub(crate) result: Result<T, Failure>,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) memory: u64,
    pub(crate) log: Bytes,
    /// Whether an instance answered that had answered before.
    pub(crate) used: bool,
}

impl Lane {
    /// A lane of this plugin; waits until the pool has room for its instance.
    ///
    /// Whoever polls it tells `meter` first: see [`metered`].
    pub(crate) async fn open(plugin: Arc<Inner>, slots: Slots, job: Arc<Job>, meter: Arc<Meter>) -> Lane {
        let units = plugin.shared.pool.clone().acquire_many_owned(plugin.weight).await.ok();
        Lane {
            turn: Turn::new(slots),
            meter,
            reserved: Reserved::default(),
            guest: None,
            spare: None,
            _busy: plugin.shared.ticker.busy(),
            _units: units,
            plugin,
            job,
        }
    }

    /// Runs all of these, one after another.
    pub(crate) async fn run_all(&mut self, runs: Vec<Run>, sink: &mut impl FnMut(Event)) {
        for run in runs {
            let report = match self.make_room(run.item.body.len() as u64).await {
                Err(failure) => {
                    sink(Event::Begun(run.index));
                    refused(failure)
                }
                Ok(()) => {
                    sink(Event::Begun(run.index));
                    self.run(&run).await
                }
            };
            sink(Event::Landed(run.index, report));
        }
    }

    /// Runs one; if it has no verdict and its instance had served others, once more in a fresh one.
    async fn run(&mut self, run: &Run) -> RunReport {
        loop {
            let item = ItemRef { id: &run.item.id, body: &run.item.body };
            let (plugin, job) = (Arc::clone(&self.plugin), Arc::clone(&self.job));
            let attempt = self
                .attempt(run, &job.limits, async |made, store| plugin.exports.validate(made, store, item).await)
                .await;
            let used = attempt.used;
            let report = attempt.report(|answer, log| normalise::answer(answer, &job.limits, log));
            if report.result.is_err() {
                self.discard();
                if used {
                    continue;
                }
            } else if !plugin.metadata.shared {
                self.discard();
            }
            return report;
        }
    }

    /// Sets memory aside for a run with this much to judge, and takes a slot.
    ///
    /// # Errors
    ///
    /// [`Cause::DoesNotFit`] if there will never be enough.
    pub(crate) async fn make_room(&mut self, body: u64) -> Result<(), Failure> {
        let bound = self.plugin.memory_bound(&self.job.limits, body)?;
        let account = &self.plugin.shared.memory;
        if !account.adjust(&mut self.reserved, bound, self.guest.is_none()) {
            self.turn.give_back();
            self.discard();
            self.reserved = Reserved::default();
            let account = self.plugin.shared.memory.clone();
            self.reserved = account.reserve(bound).await;
        }
        match &mut self.guest {
            Some(guest) => guest.store.data_mut().memory.raise(bound),
            None => self.prepare(bound),
        }
        self.turn.take().await;
        Ok(())
    }

    /// A store without an instance in it yet, whose guest may have this much memory.
    fn prepare(&mut self, memory: u64) {
        let mut ctx = self.spare.take().unwrap_or_else(|| {
            let effects = Box::new(Live::new(Arc::clone(&self.plugin.shared.llm)));
            Ctx::new(effects, Arc::clone(&self.meter))
        });
        ctx.recycle(memory);
        let mut store = Store::new(&self.plugin.shared.engine, ctx);
        store.limiter(|ctx| &mut ctx.memory);
        store.epoch_deadline_callback(|store| store.data().meter.tick());
        self.guest = Some(Guest { store, instance: None, used: false });
    }

    /// Makes a call for `run` in the instance that is there, which is made if there is none.
    pub(crate) async fn attempt<T>(
        &mut self,
        run: &Run,
        limits: &Limits,
        call: impl AsyncFnOnce(&mut Made, &mut Store<Box<Ctx>>) -> wasmtime::Result<T>,
    ) -> Attempt<T> {
        if self.guest.is_none() {
            // Only a run that is done again comes here: its memory is still set aside.
            let bound = self.plugin.memory_bound(limits, run.item.body.len() as u64);
            self.prepare(bound.unwrap_or(self.plugin.shared.max_memory));
        }
        let begun = wall_now();
        self.meter.begin(begun, limits);
        let Some(guest) = &mut self.guest else {
            return Attempt::of_no_guest(Failure::new(Cause::Load, "there is no instance to run it in"));
        };
        let used = std::mem::replace(&mut guest.used, true);
        let ctx = guest.store.data_mut();
        ctx.effects.begin(&self.job, run);
        let allowance = usize::try_from(limits.output.saturating_mul(4).max(ALLOWANCE)).unwrap_or(usize::MAX);
        // What is lifted costs this fuel no more than three times what it costs the allowance, which so bites first.
        guest.store.set_hostcall_fuel(allowance.saturating_mul(3).saturating_add(ALLOWANCE as usize));
        let (plugin, fuel) = (&self.plugin, self.plugin.shared.fuel);
        let outcome = self
            .turn
            .drive(&self.meter, allowance, async {
                if fuel {
                    guest.store.set_fuel(limits.fuel.unwrap_or(u64::MAX)).map_err(|error| (Phase::Start, error))?;
                }
                guest.store.set_epoch_deadline(1);
                let made = match &mut guest.instance {
                    Some(made) => made,
                    none => {
                        let instance = plugin.pre.instantiate_async(&mut guest.store).await;
                        none.insert(instance.map_err(|error| (Phase::Start, error))?.into())
                    }
                };
                call(made, &mut guest.store).await.map_err(|error| (Phase::Call, error))
            })
            .await;
        let ended = wall_now();
        self.meter.end(ended);
        let wall = Duration::from_nanos(ended.saturating_sub(begun));
        let ctx = guest.store.data_mut();
        let result = match outcome {
            Ok(Ok(output)) => Ok(output),
            Ok(Err((phase, error))) => Err(normalise::error(&error, phase, limits, ctx.memory.limit())),
            Err(stop) => {
                let (cause, message) = normalise::stopped(stop, limits, ctx.memory.limit());
                Err(Failure::new(cause, message))
            }
        };
        Attempt { result, wall, cpu: self.meter.cpu(), memory: ctx.memory.now(), log: ctx.effects.take_log(), used }
    }

    /// Throws the instance away. What it had is as it was before.
    pub(crate) fn discard(&mut self) {
        if let Some(guest) = self.guest.take() {
            self.spare = Some(guest.store.into_data());
        }
    }

    pub(crate) fn plugin(&self) -> &Arc<Inner> {
        &self.plugin
    }

    pub(crate) fn job(&self) -> &Arc<Job> {
        &self.job
    }
}

impl<T> Attempt<T> {
    fn of_no_guest(failure: Failure) -> Self {
        let (wall, cpu) = (Duration::ZERO, Duration::ZERO);
        Self { result: Err(failure), wall, cpu, memory: 0, log: Bytes::new(), used: false }
    }

    fn report(self, judge: impl FnOnce(T, usize) -> Result<crate::Judgement, Failure>) -> RunReport {
        let Attempt { result, wall, cpu, memory, log, .. } = self;
        let result = result.and_then(|output| judge(output, log.len()));
        RunReport { result, wall, cpu, memory, log }
    }
}

/// Drives what a lane does, telling its meter whenever it comes onto a thread.
pub(crate) async fn metered<T, F: Future<Output = T>>(work: impl FnOnce(Arc<Meter>) -> F) -> T {
    let meter = Arc::new(Meter::default());
    let mut work = pin!(work(Arc::clone(&meter)));
    poll_fn(|cx| {
        meter.resume();
        work.as_mut().poll(cx)
    })
    .await
}

/// The report of a run that never began.
pub(crate) fn refused(failure: Failure) -> RunReport {
    RunReport { result: Err(failure), wall: Duration::ZERO, cpu: Duration::ZERO, memory: 0, log: Bytes::new() }
}

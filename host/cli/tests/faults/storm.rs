//! The whole of it: a world, a load, a plan of faults, and what is left in the end.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, SeqCst},
    },
    time::{Duration, Instant},
};

use pigeon_api::{AgentState, Pigeon as _};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, spawn_local},
    time::sleep,
};

use crate::{
    checker::{self, Rule},
    collect::collect,
    draws::Draws,
    history::AGENT_LOST,
    jobs::{FIRST, Order, orders},
    load::{Load, SUBMITTERS},
    plan::plan,
    poison::poison,
    room::Powers,
    scrape::Scrape,
    world::{LONG, World},
};

/// Faults at once.
const AT_ONCE: usize = 3;

/// A fault strikes after so long without its moment having come: what was done before may have brought all to a stop.
const PATIENCE: Duration = Duration::from_secs(10);

const LOOK: Duration = Duration::from_millis(20);

/// Violations of a rule that are told of; of the others, how many.
const TOLD: usize = 10;

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) seed: u64,
    pub(crate) runs: u64,
    pub(crate) faults: usize,
}

pub(crate) async fn storm(powers: Powers, Asked { seed, runs, faults }: Asked) {
    let (draws, began) = (Draws::new(seed), Instant::now());
    let orders = orders(&draws, runs);
    let runs = orders.iter().map(Order::runs).sum();
    let plan = plan(seed, runs, faults);
    eprintln!("{runs} runs of {} jobs, {faults} faults: PIGEON_FAULTS_SEED={seed}", orders.len());
    plan.iter().for_each(|step| eprintln!("{step}"));
    let poisoned = Order::poison(orders.len());

    let world = Arc::new(World::start(powers, &draws).await);
    agents_are_in(&world).await;
    let load = Load::new(world.clone(), orders, poisoned.clone()).await;
    let mut submitters = JoinSet::new();
    (0..SUBMITTERS).for_each(|_| drop(submitters.spawn_local(load.clone().submit_all())));
    let (follower, scrape) = (spawn_local(load.clone().follow()), Scrape::start(world.api));
    first_end(&load).await;
    let (mut strikes, room) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    let mut sorts: BTreeMap<&str, u32> = BTreeMap::new();
    for step in plan {
        load.allow(step.after + 2 * runs / faults as u64);
        let permit = room.clone().acquire_owned().await.unwrap();
        let (waited, landed) = (Instant::now(), || load.landed.load(SeqCst));
        while landed() < step.after && waited.elapsed() < PATIENCE {
            world.look().await;
            sleep(LOOK).await;
        }
        eprintln!("{:>6.1} s, {:>8} runs: {step}", began.elapsed().as_secs_f64(), landed());
        *sorts.entry(step.fault.sort()).or_default() += 1;
        let world = world.clone();
        strikes.spawn(async move {
            let told = world.strike(step).await;
            if !told.is_empty() {
                eprintln!("                         #{}: {told}", step.number);
            }
            drop(permit);
        });
    }
    while let Some(struck) = strikes.join_next().await {
        struck.unwrap();
    }
    eprintln!("{:>6.1} s, {:>8} runs: no more faults", began.elapsed().as_secs_f64(), load.landed.load(SeqCst));
    load.allow(u64::MAX);
    all_end(&load, submitters).await;
    world.look().await;
    let deaths = poison(&load, &poisoned).await;

    let mut kills = 0;
    for agent in &world.agents {
        kills += agent.lock().await.kills;
    }
    let history = collect(&world.client(), &load, kills).await.unwrap();
    follower.abort();
    world.look().await;
    let violations = checker::check(&history);
    let given_up = history.dead.iter().filter(|dead| dead.code == AGENT_LOST).count();
    let toll = &world.toll;
    eprintln!(
        "{:.1} s: {} runs of {} jobs, {} entries of the log, {} dead letters, {given_up} of them given up after deaths;\n\
         {} starts of the server, {kills} deaths of agents, {deaths} of them of the poison; datagrams: {} lost, {} late, {} twice\n\
         {}  calls made again: {:?}\n{sorts:#?}",
        began.elapsed().as_secs_f64(),
        history.total,
        history.accounts.len(),
        history.events.len(),
        history.dead.len(),
        world.server.lock().await.starts,
        toll.lost.load(Relaxed),
        toll.late.load(Relaxed),
        toll.twice.load(Relaxed),
        scrape.told(),
        load.again.lock().unwrap(),
    );
    let mut told: BTreeMap<Rule, usize> = BTreeMap::new();
    for violation in &violations {
        let count = told.entry(violation.rule).or_default();
        *count += 1;
        if *count <= TOLD {
            eprintln!("WRONG: {violation}");
        }
    }
    let complaints = world.complaints();
    if !violations.is_empty() || !complaints.is_empty() {
        eprintln!("{}", world.last_words().await);
        panic!("PIGEON_FAULTS_SEED={seed}: {told:?}, {complaints:#?}");
    }
    load.world.server.lock().await.process.take().unwrap().stop().await.unwrap();
}

/// Wait until every agent is in.
async fn agents_are_in(world: &World) {
    let (client, deadline) = (world.client(), Instant::now() + LONG);
    let ready = async || {
        let agents = client.agents().await.unwrap();
        agents.iter().filter(|agent| agent.state == AgentState::Ready).count()
    };
    while ready().await < world.agents.len() {
        if Instant::now() > deadline {
            panic!("not every agent came in:\n{}", world.last_words().await);
        }
        sleep(LOOK).await;
    }
}

/// Wait until the first jobs have ended: what judges is compiled then, and the faults have something to strike at.
async fn first_end(load: &Load) {
    let deadline = Instant::now() + 5 * LONG;
    while load.accounts.lock().unwrap()[..FIRST].iter().any(|account| account.ended.is_none()) {
        if Instant::now() > deadline {
            panic!("the first jobs do not end:\n{}", load.world.last_words().await);
        }
        sleep(LOOK).await;
    }
}

/// Wait until every job has ended, as long as runs land now and then.
async fn all_end(load: &Load, mut submitters: JoinSet<()>) {
    let (mut landed, mut since) = (0, Instant::now());
    loop {
        tokio::select! {
            ended = submitters.join_next() => match ended {
                Some(ended) => ended.unwrap(),
                None => return,
            },
            () = sleep(LOOK) => {}
        }
        load.world.look().await;
        let now = load.landed.load(SeqCst);
        if now != landed {
            (landed, since) = (now, Instant::now());
        }
        if since.elapsed() > 2 * LONG {
            let accounts = load.accounts.lock().unwrap().clone();
            let open = accounts.iter().filter(|account| account.begun.is_some() && account.ended.is_none());
            let client = load.world.client();
            for account in open {
                if let Some(job) = account.job {
                    eprintln!("order {}: {:#?}", account.order.number, client.job(job).await);
                }
            }
            eprintln!("{:#?}\n{}", client.status().await, load.world.last_words().await);
            panic!("nothing lands any more: {landed} runs have");
        }
    }
}

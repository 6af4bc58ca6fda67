//! A run that kills its agent: it is tried again alone, given up when that was deadly twice, and its neighbours are judged,
//! be it that they waited behind it.
//!
//! No guest gets out of its sandbox, so the harness does the killing: of whichever agent has the run.

use std::time::{Duration, Instant};

use pigeon_api::{DeadFilter, JobState, Pigeon as _};
use tokio::time::sleep;

use crate::{
    history::AGENT_LOST,
    jobs::{Order, POISON},
    load::Load,
    world::LONG,
};

/// Two alone; before that one among others, which its copy at another agent may share.
const DEATHS: u64 = 4;

/// When nothing has landed for so long, all that can be judged beside it has been.
const STILL: Duration = Duration::from_millis(1500);

const LOOK: Duration = Duration::from_millis(50);

/// Submit the job and kill whoever works at it until it has ended. All else has ended by now: whoever has a lease, has it of
/// this job. Gives how many it took.
pub(crate) async fn poison(load: &Load, order: &Order) -> u64 {
    let (client, world) = (load.world.client(), &load.world);
    let Some(job) = load.submit(&client, order).await else { return 0 };
    let (mut deaths, mut last, mut deadline) = (0, String::new(), Instant::now() + LONG);
    let (mut landed, mut since) = (0, Instant::now());
    loop {
        let status = client.job(job).await.unwrap();
        if status.state == JobState::Finished {
            break;
        }
        if Instant::now() > deadline || deaths > DEATHS {
            world.complain(format!("a run that killed {deaths} agents is not given up: {status:?}"));
            return deaths;
        }
        if status.total_runs != landed {
            (landed, since) = (status.total_runs, Instant::now());
        }
        // Its neighbours have been judged, but for those that wait behind it: what is leased now is what kills.
        let bearer = client.agents().await.unwrap().into_iter().find(|agent| agent.leases > 0);
        if let Some(bearer) = bearer.filter(|_| since.elapsed() > STILL && deaths < DEATHS) {
            let number: usize = bearer.name.trim_start_matches("agent-").parse().unwrap();
            let mut agent = world.agent(number).await;
            agent.kill();
            agent.start(&world.place, world.powers);
            drop(agent);
            (deaths, last, deadline, since) = (deaths + 1, bearer.name, Instant::now() + LONG, Instant::now());
            // The server learns of it when the agent is back, in another life.
            let is_back = async || {
                let agents = client.agents().await.unwrap();
                agents.iter().any(|agent| agent.name == last && agent.since_ms > bearer.since_ms)
            };
            while !is_back().await && Instant::now() < deadline {
                sleep(LOOK).await;
            }
        }
        sleep(LOOK).await;
    }
    load.wait_for(&client, order, job).await;
    let filter = DeadFilter { job: Some(job), ..DeadFilter::default() };
    match &client.dead(filter, None, 10).await.unwrap()[..] {
        [letter] if letter.item == POISON.to_string() && letter.failure.code == AGENT_LOST => {
            if letter.worker != last {
                world.complain(format!("{last} died of it last, and the dead letter says: {letter:?}"));
            }
        }
        other => world.complain(format!("of the poisoned job these are dead letters: {other:?}")),
    }
    if !(2..=DEATHS).contains(&deaths) {
        world.complain(format!("a run was given up after {deaths} deaths"));
    }
    deaths
}

//! How many decisions a second the scheduler makes: leases granted, and outcomes ruled on.
//!
//!     cargo bench -p pigeon-scheduler --bench decisions

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench: it prints, and a panic is its report")]

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use pigeon_protocol::id::{AgentId, IncarnationId, JobId, SessionId, Shape};
use pigeon_scheduler::{
    Action, AgentInfo, Chunk, Config, End, Grant, JobAdmitted, Landing, LandingClass, Progress, RetryPolicy, Scheduler,
    Time,
};

fn main() {
    for (what, agents, items, run_us) in [
        ("fast runs, large batches, 2 agents", 2, 10_000_000_u64, 12),
        ("fast runs, 1,000 agents", 1_000, 10_000_000, 12),
        ("slow runs, a batch each, 1,000 agents", 1_000, 300_000, 200_000),
        ("slow runs, a batch each, 10,000 agents", 10_000, 300_000, 200_000),
    ] {
        let mut spent: Vec<(Duration, u64)> = (0..5).map(|_| run(agents, items, run_us)).collect();
        spent.sort();
        let (time, leases) = spent[2];
        let each = |count: u64| time.as_nanos() / u128::from(count);
        println!(
            "{what}: {:.2e} runs/s ({} ns a run), {:.2e} leases/s ({} ns a lease, {} runs each)",
            items as f64 / time.as_secs_f64(),
            each(items),
            leases as f64 / time.as_secs_f64(),
            each(leases),
            items / leases,
        );
    }
}

/// Runs a job to its end, each lease answered in pieces of 400 outcomes. Time in the scheduler, and leases given.
fn run(agents: u64, items: u64, run_us: u64) -> (Duration, u64) {
    let mut scheduler = Scheduler::new(Config::default(), 1);
    let (job, mut now, mut leases, mut spent) = (JobId::new(), Time(1), 0, Duration::ZERO);
    let (shape, retry) = (Shape { places: 1, iterations: 1 }, RetryPolicy::default());
    let admitted = JobAdmitted {
        job,
        shape,
        priority: 0,
        max_parallel: None,
        retry,
        wall: Duration::from_secs(300),
        group: 0,
        fail_fast: false,
        max_agents: None,
        require: Vec::new(),
        prefer: Vec::new(),
        progress: Progress::default(),
    };
    scheduler.admit(now, admitted);
    for first in (0..items).step_by(1000) {
        assert!(scheduler.append(now, job, Chunk { first, count: 1000, bytes: 1 << 20 }));
    }
    scheduler.seal(now, job);
    let mut received = vec![0; agents as usize + 1];
    for session in 1..=agents {
        let info = AgentInfo { agent: AgentId::new(), incarnation: IncarnationId::new(), slots: 1, labels: Vec::new() };
        scheduler.joined(now, SessionId(session), info);
        scheduler.credit(now, SessionId(session), 0, 2);
    }
    let (mut open, mut rulings, mut landings) = (VecDeque::<Grant>::new(), Vec::new(), Vec::<Landing>::new());
    loop {
        let began = Instant::now();
        let action = scheduler.poll(now);
        spent += began.elapsed();
        match action {
            Some(Action::Lease(grant)) => {
                leases += 1;
                open.push_back(grant);
                continue;
            }
            Some(Action::Finished { end, .. }) => {
                assert_eq!(end, End::Complete);
                return (spent, leases);
            }
            Some(_) => continue,
            None => {}
        }
        let grant = open.pop_front().unwrap();
        landings.clear();
        let runs = grant.runs.iter().flat_map(|range| range.first..range.first + range.count);
        landings.extend(runs.map(|run| Landing {
            run: pigeon_protocol::id::RunIndex(run),
            class: LandingClass::Valid,
            time_us: run_us,
        }));
        received[grant.session.0 as usize] += 1;
        now.0 += landings.len() as u64 * run_us / agents;
        let began = Instant::now();
        for piece in landings.chunks(400) {
            let tally = scheduler.landed(now, grant.session, grant.lease, grant.fence, piece, &mut rulings);
            assert_eq!(tally.recorded as usize, piece.len());
        }
        scheduler.credit(now, grant.session, received[grant.session.0 as usize], 1);
        spent += began.elapsed();
    }
}

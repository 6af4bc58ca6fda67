//! Ten thousand agents in virtual time: how many decisions a second the scheduler makes, how the queue empties, how evenly
//! jobs of one priority are served, while agents crash, are cut off, are slow, and 300 of them vanish at once.
//!
//!     cargo bench -p pigeon-scheduler --bench fleet -- [SEED [AGENTS [RUNS]]]

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench: it prints, and a panic is its report"
)]

#[path = "../tests/calendar/mod.rs"]
mod calendar;
#[path = "../tests/fleet/figures.rs"]
mod figures;
#[path = "../tests/fleet/world.rs"]
mod world;

use std::{
    env,
    time::{Duration, Instant, SystemTime},
};

use world::{JobPlan, Plan, World};

/// What the jobs' runs take, in milliseconds. The last one requires a label.
const JOBS: [u64; 5] = [100, 200, 400, 800, 200];

fn main() {
    let mut numbers = env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let drawn = || SystemTime::UNIX_EPOCH.elapsed().map_or(1, |time| u64::from(time.subsec_nanos()));
    let seed = numbers.next().unwrap_or_else(drawn);
    let agents = numbers.next().unwrap_or(10_000);
    let runs = numbers.next().unwrap_or(3_000_000);
    // Each as long as the others, if all had the same share; the last has less.
    let parts: f64 = JOBS.iter().map(|ms| 1.0 / *ms as f64).sum();
    let job = |ms: &u64| JobPlan { runs: (runs as f64 / *ms as f64 / parts) as u64, run_us: ms * 1000 };
    let jobs: Vec<JobPlan> = JOBS.iter().map(job).collect();
    println!("seed {seed}: {agents} agents, {runs} runs in {} jobs", jobs.len());
    let began = Instant::now();
    let figures = World::new(Plan {
        seed,
        agents: agents as usize,
        jobs,
        crashes: agents as usize / 20,
        partitions: agents as usize / 20,
        within: Duration::from_secs(60),
        slow_of: 20,
        vanish: (agents as usize * 3 / 100).max(1),
        vanish_at: Duration::from_secs(20),
    })
    .run();
    let spent = figures.spent.as_secs_f64();
    println!(
        "decisions: {} leases in {spent:.1} s of the scheduler's time: {:.0} a second ({:.2e} s each; {} calls); {:.1} s in all",
        figures.leases,
        figures.leases as f64 / spent,
        spent / figures.leases as f64,
        figures.calls,
        began.elapsed().as_secs_f64(),
    );
    let peak = figures.depth.iter().map(|(runs, _)| *runs).max().unwrap_or(0);
    let leases = figures.depth.iter().map(|(_, leases)| *leases).max().unwrap_or(0);
    println!("queue: at most {peak} runs and {leases} leases; empty after {:.1} s of virtual time", figures.seconds);
    let step = figures.depth.len().div_ceil(12).max(1);
    let depth: Vec<String> =
        figures.depth.iter().enumerate().step_by(step).map(|(at, (runs, _))| format!("{at} s: {runs}")).collect();
    println!("depth: {}", depth.join(", "));
    for ((number, share), service) in figures.fairness().iter().enumerate().zip(&figures.services) {
        let what = if number + 1 == JOBS.len() { ", for one agent of ten" } else { "" };
        let ms = JOBS[number];
        let waited = service.longest_wait().as_secs_f64();
        println!("job {} (runs of {ms} ms{what}): {share:.3} of its share; waited {waited:.2} s at most", number + 1);
    }
    println!(
        "refused: {} outcomes of copies and of leases that had ended; dead letters: {}",
        figures.refused, figures.dead
    );
    if let Some((leases, time)) = figures.reassigned() {
        println!("vanished at once: {leases} leases, the last of them taken back after {:.1} s", time.as_secs_f64());
    }
}

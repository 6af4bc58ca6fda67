//! A fleet in virtual time, small enough for every day: `benches/fleet.rs` has ten thousand agents.

#![expect(clippy::expect_used, clippy::panic, reason = "a test: a panic is the report")]

#[path = "../calendar/mod.rs"]
mod calendar;
mod figures;
mod world;

use std::time::Duration;

use world::{JobPlan, Plan, World};

#[test]
fn a_fleet_makes_each_run_once_and_shares_evenly_whatever_becomes_of_it() {
    let job = |runs, run_us| JobPlan { runs, run_us };
    for seed in [1, 2] {
        let figures = World::new(Plan {
            seed,
            agents: 300,
            jobs: vec![job(8_000, 400_000), job(16_000, 200_000), job(32_000, 100_000), job(4_000, 300_000)],
            crashes: 30,
            partitions: 30,
            within: Duration::from_secs(30),
            slow_of: 20,
            vanish: 30,
            vanish_at: Duration::from_secs(15),
        })
        .run();
        let fairness = figures.fairness();
        assert!(fairness.iter().all(|share| (0.8..1.2).contains(share)), "seed {seed}: {fairness:?}");
        for (number, service) in figures.services.iter().enumerate() {
            let waited = service.longest_wait();
            assert!(waited < Duration::from_secs(40), "seed {seed}: job {number} was given nothing for {waited:?}");
        }
        let (leases, time) = figures.reassigned().expect("what those had who vanished goes to others");
        // 30 s until the connections are taken for dead, by when the leases have expired or do soon.
        assert!(leases > 0 && time <= Duration::from_secs(31), "seed {seed}: {leases} leases after {time:?}");
        assert_eq!(figures.dead, 0);
    }
}

//! The scheduler in virtual time, among agents to which everything happens that can.
//!
//! proptest draws a cluster, its jobs and a seed; the seed draws crashes, restarts, partitions, stops, slow stretches,
//! duplicated, delayed and reordered messages, jumps of the clock and games with credit. After a while the faults
//! cease. Jobs are paused, forgotten and taken up again, some of their runs taken back; some share limits. Throughout, a [`model`] checks every ruling and every action; in the end every run of every job that was not
//! stopped must have exactly one recorded outcome.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test: a panic is the report")]

mod agent;
#[path = "../calendar/mod.rs"]
mod calendar;
mod model;
mod plan;
mod world;

use proptest::prelude::*;

use pigeon_scheduler::{GroupLimits, RetryPolicy};
use plan::{Faults, GroupPlan, JobPlan, RATES};
use world::World;

fn faults() -> impl Strategy<Value = Faults> {
    let wedges = (0u32..3, prop::bool::weighted(0.3));
    (0u32..4, 0u32..4, 0u32..4, wedges, 0u32..3, 0u32..3, any::<bool>()).prop_map(
        |(crashes, partitions, stops, (wedges, wedged), duplicates, jumps, games)| Faults {
            crashes,
            partitions,
            stops,
            wedges,
            wedged,
            duplicates,
            jumps,
            games,
        },
    )
}

fn job() -> impl Strategy<Value = JobPlan> {
    let shape = prop_oneof![
        3 => (1u64..400, Just(1u32), 1u32..4),
        1 => (Just(1u64), 2u32..6, 1u32..8),
    ];
    let run_us = prop_oneof![Just(12u64), Just(900u64), Just(40_000u64), Just(400_000u64)];
    let bounds = (prop::option::of(1u32..4), prop::option::of(1u32..4), 0u64..3);
    let misfits = prop::bool::weighted(0.3);
    let fates = (0u64..3, any::<bool>(), misfits, prop::bool::weighted(0.15));
    let turns = (prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let labels = (prop_oneof![2 => Just(0u8), 1 => 1u8..16], prop_oneof![2 => Just(0u8), 1 => 1u8..16]);
    (shape, run_us, -2i32..3, bounds, fates, turns, retry(), labels).prop_map(
        |(
            (items, places, iterations),
            run_us,
            priority,
            (max_parallel, max_agents, group),
            (poison, flaky, misfits, fail_fast),
            (paused, forgotten, taken_back),
            retry,
            (require, prefer),
        )| {
            JobPlan {
                items,
                places,
                iterations,
                run_us,
                priority,
                max_parallel,
                max_agents,
                require,
                prefer,
                poison,
                flaky,
                misfits,
                fail_fast,
                paused,
                forgotten,
                taken_back,
                retry,
                group,
            }
        },
    )
}

fn retry() -> impl Strategy<Value = RetryPolicy> {
    let policy =
        |(transient, timeouts, crashes)| RetryPolicy { transient, timeouts, crashes, ..RetryPolicy::default() };
    prop_oneof![Just(RetryPolicy::default()), (0u32..5, 0u32..5, 0u32..5).prop_map(policy)]
}

fn limits() -> impl Strategy<Value = GroupLimits> {
    let rate = prop::option::of(prop::sample::select(&RATES[..]));
    (prop::option::of(1u32..5), rate).prop_map(|(max_leases, rate)| GroupLimits { max_leases, rate })
}

fn groups() -> impl Strategy<Value = GroupPlan> {
    let plan = |(limits, later)| GroupPlan { limits, later };
    (prop::collection::vec(limits(), 2), prop::option::of(limits())).prop_map(plan)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_run_gets_one_outcome_whatever_dies(
        seed: u64,
        agents in 1usize..7,
        jobs in prop::collection::vec(job(), 1..4),
        groups in groups(),
        faults in faults(),
    ) {
        World::new(seed, agents, jobs, groups, faults).run();
    }
}

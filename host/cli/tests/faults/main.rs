//! Many faults: a real server and real agents through deaths, stops, restarts, cut and slow links, a full disk and a damaged
//! log of writes, under a load whose right answers are known; then a checker goes by what was told and what is there.
//!
//! A seed draws the load and the schedule of faults, and both are printed. The same seed has the same jobs and the same faults
//! at the same places of the work, as far as that can be of real processes:
//!
//! ```sh
//! PIGEON_FAULTS_SEED=7 cargo test --workspace --test faults -- --nocapture
//! PIGEON_FAULTS_RUNS=1000000 cargo test --release --workspace --test faults -- --nocapture
//! ```
//!
//! | variable | what it says | if not set |
//! |---|---|---|
//! | `PIGEON_FAULTS_SEED` | the seed, or `any` to have one drawn | 1 |
//! | `PIGEON_FAULTS_RUNS` | runs of all jobs together, at least | 20,000 |
//! | `PIGEON_FAULTS_COUNT` | faults | one in 10,000 runs, at least each sort once |
//! | `PIGEON_FAULTS_WHOLE` | it is an error if a fault has to be left out here | it is said |
#![expect(clippy::unwrap_used, clippy::panic, reason = "in tests a panic is the report")]

mod checker;
mod collect;
#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "commands that end, and what they say, are what other tests look at")]
mod common;
mod draws;
mod history;
mod jobs;
mod load;
mod plan;
mod poison;
mod relay;
mod room;
mod scrape;
mod storm;
mod strike;
mod wal;
mod world;

use std::{
    hash::{BuildHasher as _, RandomState},
    process::Command,
};

use storm::{Asked, storm};
use tokio::task::LocalSet;

/// What the environment says.
fn given(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    if text == "any" {
        return Some(RandomState::new().hash_one(std::process::id()) >> 32);
    }
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}: {error}")))
}

#[test]
fn whatever_goes_wrong_nothing_acknowledged_is_lost_and_each_run_has_one_outcome() {
    room::within("whatever_goes_wrong_nothing_acknowledged_is_lost_and_each_run_has_one_outcome", |powers| {
        let runs = given("PIGEON_FAULTS_RUNS").unwrap_or(20_000);
        let faults = given("PIGEON_FAULTS_COUNT").unwrap_or((runs / 10_000).max(plan::EVERY as u64));
        let faults = usize::try_from(faults).unwrap();
        let asked = Asked { seed: given("PIGEON_FAULTS_SEED").unwrap_or(1), runs, faults };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(LocalSet::new().run_until(storm(powers, asked)));
    });
}

/// Have a shell do it.
#[track_caller]
fn run(script: &str) {
    if let Err(told) = try_run(script) {
        panic!("it failed: {script}\n{told}");
    }
}

/// Have a shell do it; what it says if that fails.
fn try_run(script: &str) -> Result<(), String> {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

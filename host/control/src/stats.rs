//! Figures over all jobs that are kept, by plugin and worker.
//!
//! A job that has ended is counted once and remembered as part of a sum, so that asking again costs only what came since.
//! When jobs of the sum go, whoever removed them has it made anew.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use pigeon_api::{ErrorStats, Figures, HostStats, Result};
use pigeon_protocol::id::JobId;
use pigeon_store::{JobFilter, JobRecord, Stats, StoreError, Tally};
use tokio::sync::Mutex;

use crate::{clock, core::Core, error::store_error, record::NOBODY, status};

/// Errors that are told.
const ERRORS: usize = 100;

/// Errors that are counted, where there are many more than that.
const MOST_ERRORS: usize = 1_000;

/// Jobs read at a time.
const PAGE: u32 = 1_000;

/// The sum over jobs that have ended.
#[derive(Default)]
pub(crate) struct Kept {
    sum: Mutex<Sum>,
    /// It is to be made anew.
    stale: AtomicBool,
}

impl Kept {
    /// Jobs that may have been counted are not what they were, or are gone.
    pub(crate) fn forget(&self) {
        self.stale.store(true, Relaxed);
    }
}

#[derive(Clone, Default)]
struct Sum {
    jobs: HashSet<JobId>,
    plugins: BTreeMap<String, Both>,
    workers: BTreeMap<String, Stats>,
    errors: HashMap<(String, String, String), ErrorStats>,
}

/// What agents made, and what nobody made, which has no time.
#[derive(Clone, Default)]
struct Both {
    made: Stats,
    unmade: Stats,
}

/// The figures of the whole control host.
pub(crate) async fn host(core: &Core) -> Result<HostStats> {
    let failed = |error| store_error("failed to read the figures", error);
    let mut kept = core.kept.sum.lock().await;
    if core.kept.stale.swap(false, Relaxed) {
        *kept = Sum::default();
    }
    let mut at_work = Vec::new();
    let mut filter = JobFilter { limit: Some(PAGE), ..JobFilter::default() };
    let mut pending = Vec::new();
    loop {
        let page = core.store.jobs(filter.clone()).await.map_err(failed)?;
        filter.before = page.last().map(|record| record.job.id);
        let more = page.len() == PAGE as usize;
        for record in page {
            match record.state.is_finished() {
                true if kept.jobs.contains(&record.job.id) => {}
                true => pending.push(record),
                false => at_work.push(record),
            }
        }
        for record in pending.drain(..) {
            if let Some(tally) = tally(core, record.job.id).await? {
                let plugin = core.plugin_name(&record).await?;
                kept.jobs.insert(record.job.id);
                kept.add(&plugin, &record, &tally);
            }
        }
        if !more {
            break;
        }
    }
    let mut sum = kept.clone();
    drop(kept);
    for record in at_work {
        if let Some(tally) = tally(core, record.job.id).await? {
            let plugin = core.plugin_name(&record).await?;
            sum.add(&plugin, &record, &tally);
        }
    }
    Ok(sum.told(core))
}

/// The figures of a job, if it is there still.
async fn tally(core: &Core, job: JobId) -> Result<Option<Tally>> {
    match core.store.tally(job).await {
        Ok(tally) => Ok(Some(tally)),
        Err(StoreError::UnknownJob(_)) => Ok(None),
        Err(error) => Err(store_error("failed to read the figures", error)),
    }
}

impl Sum {
    fn add(&mut self, plugin: &str, record: &JobRecord, tally: &Tally) {
        let both = self.plugins.entry(plugin.to_owned()).or_default();
        for (name, stats) in &tally.workers {
            // Groups of errors have numbers of their own in each job.
            let mut plain = stats.clone();
            plain.errors.clear();
            if name == NOBODY {
                both.unmade.merge(&plain);
            } else {
                both.made.merge(&plain);
                self.workers.entry(name.clone()).or_default().merge(&plain);
            }
        }
        let job = record.job.id.to_string();
        for (number, count) in tally.total().errors {
            let Some(group) = tally.groups.get(number as usize) else { continue };
            let key = (plugin.to_owned(), group.code.clone(), group.message.clone());
            let (first_ms, last_ms) = (clock::signed(group.first_ms), clock::signed(group.last_ms));
            let error = self.errors.entry(key).or_insert_with(|| ErrorStats {
                code: group.code.clone(),
                message: group.message.clone(),
                count: 0,
                plugin: plugin.to_owned(),
                job: job.clone(),
                example: group.example.clone(),
                first_ms,
                last_ms,
            });
            error.count += count;
            error.first_ms = error.first_ms.min(first_ms);
            if last_ms > error.last_ms {
                error.last_ms = last_ms;
                error.job.clone_from(&job);
                error.example.clone_from(&group.example);
            }
        }
        self.forget_errors();
    }

    /// Keep those errors that are the most frequent, if there are many: codes and messages are the plugins' own.
    fn forget_errors(&mut self) {
        if self.errors.len() <= 2 * MOST_ERRORS {
            return;
        }
        let mut errors: Vec<_> = std::mem::take(&mut self.errors).into_iter().collect();
        errors.sort_unstable_by_key(|(_, error)| std::cmp::Reverse((error.count, error.last_ms)));
        errors.truncate(MOST_ERRORS);
        self.errors.extend(errors);
    }

    fn told(self, core: &Core) -> HostStats {
        let mut total = Both::default();
        for both in self.plugins.values() {
            total.made.merge(&both.made);
            total.unmade.merge(&both.unmade);
        }
        let mut errors: Vec<ErrorStats> = self.errors.into_values().collect();
        errors.sort_by(|a, b| {
            let key = |error: &ErrorStats| (std::cmp::Reverse(error.count), std::cmp::Reverse(error.last_ms));
            key(a).cmp(&key(b)).then_with(|| (&a.code, &a.message).cmp(&(&b.code, &b.message)))
        });
        errors.truncate(ERRORS);
        HostStats {
            total: total.figures(),
            plugins: self.plugins.iter().map(|(name, both)| (name.clone(), both.figures())).collect(),
            workers: self.workers.iter().map(|(name, stats)| (name.clone(), figures(stats, 0))).collect(),
            errors,
            throughput: core.figures.throughput(clock::now_ms()),
        }
    }
}

impl Both {
    fn figures(&self) -> Figures {
        figures(&self.made, self.unmade.runs())
    }
}

/// What agents made, and how many failures besides nobody made: their item fits nowhere.
fn figures(made: &Stats, unmade: u64) -> Figures {
    let runs = made.runs() + unmade;
    Figures {
        runs,
        valid: made.valid,
        invalid: made.invalid,
        failures: made.failures + unmade,
        success_rate: if runs == 0 { 0.0 } else { made.valid as f64 / runs as f64 },
        times: status::times(made),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_errors_are_kept() {
        let mut sum = Sum::default();
        let error = |number: u64| ErrorStats {
            code: number.to_string(),
            message: String::new(),
            count: number,
            plugin: String::new(),
            job: String::new(),
            example: String::new(),
            first_ms: 0,
            last_ms: 0,
        };
        for number in 0..5_000 {
            sum.errors.insert((String::new(), number.to_string(), String::new()), error(number));
            sum.forget_errors();
            assert!(sum.errors.len() <= 2 * MOST_ERRORS);
        }
        let least = (5_000 - MOST_ERRORS as u64..5_000)
            .find(|number| !sum.errors.contains_key(&(String::new(), number.to_string(), String::new())));
        assert_eq!(least, None);
    }
}

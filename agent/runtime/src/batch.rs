//! Batch validators: the runs of a lane judged together, in one call.
//!
//! They share time and fate. Where a call fails it is made again for each half of its items, down to the item that does
//! it, whose failure stands.

use crate::{
    Cause, Event, Failure, Run, RunReport, World,
    contract::ItemRef,
    lane::{Lane, refused},
    normalise,
};

/// Items that are judged together at most.
const MAX_GROUP: usize = 256;
/// Bytes that they have together at most, unless it is one item.
const MAX_GROUP_BYTES: u64 = 4 << 20;

impl Lane {
    /// Runs all of these, by whichever call the plugin's world has.
    pub(crate) async fn run_lane(&mut self, runs: Vec<Run>, sink: &mut impl FnMut(Event)) {
        match self.plugin().world {
            World::Validator => self.run_all(runs, sink).await,
            World::BatchValidator => {
                // What is narrowed down comes next, before other groups.
                let mut groups = groups(runs);
                groups.reverse();
                while let Some(group) = groups.pop() {
                    self.run_group(group, &mut groups, sink).await;
                }
            }
        }
    }

    async fn run_group(&mut self, mut group: Vec<Run>, again: &mut Vec<Vec<Run>>, sink: &mut impl FnMut(Event)) {
        let Some(first) = group.first().cloned() else { return };
        let bytes = group.iter().map(|run| run.item.body.len() as u64).sum();
        if let Err(failure) = self.make_room(bytes).await {
            match halve(&mut group) {
                Some(half) => again.extend([half, group]),
                None => sink(Event::Landed(first.index, refused(failure))),
            }
            return;
        }
        group.iter().for_each(|run| sink(Event::Begun(run.index)));
        let (plugin, job) = (self.plugin().clone(), self.job().clone());
        let items: Vec<_> = group.iter().map(|run| ItemRef { id: &run.item.id, body: &run.item.body }).collect();
        let attempt = self
            .attempt(&first, &job.limits, async |instance, store| {
                plugin.exports.validate_batch(instance, store, &items).await
            })
            .await;
        let count = group.len();
        let result = attempt.result;
        if result.as_ref().map_or(true, |answers| answers.len() != count) || !plugin.metadata.shared {
            self.discard();
        }
        // Each has its share of what they cost together; the first has the log.
        let share = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let mut log_size = attempt.log.len();
        let mut log = attempt.log;
        let mut land = |run: &Run, result| {
            let (wall, cpu) = (attempt.wall / share, attempt.cpu / share);
            let report = RunReport { result, wall, cpu, memory: attempt.memory, log: std::mem::take(&mut log) };
            sink(Event::Landed(run.index, report));
        };
        match result {
            Ok(answers) if answers.len() == count => {
                for (run, answer) in group.iter().zip(answers) {
                    land(run, normalise::answer(answer, &job.limits, std::mem::take(&mut log_size)));
                }
            }
            Ok(answers) => {
                let message = format!("validate-batch gave {} answers for {count} items", answers.len());
                let failure = Failure::new(Cause::Contract, message);
                group.iter().for_each(|run| land(run, Err(failure.clone())));
            }
            Err(failure) => match halve(&mut group) {
                Some(half) => again.extend([half, group]),
                None if attempt.used => again.push(group),
                None => land(&first, Err(failure)),
            },
        }
    }
}

/// Runs that may be judged together: what the guest can ask of its run (iteration, worker place) is the same for all.
fn groups(mut runs: Vec<Run>) -> Vec<Vec<Run>> {
    runs.sort_by_key(|run| (run.place, run.iteration));
    let mut groups: Vec<Vec<Run>> = Vec::new();
    let mut bytes = 0;
    for run in runs {
        let size = run.item.body.len() as u64;
        let joins = groups.last_mut().filter(|group| {
            let alike = group.first().is_some_and(|f| (f.place, f.iteration) == (run.place, run.iteration));
            alike && group.len() < MAX_GROUP && bytes + size <= MAX_GROUP_BYTES
        });
        match joins {
            Some(group) => {
                bytes += size;
                group.push(run);
            }
            None => {
                bytes = size;
                groups.push(vec![run]);
            }
        }
    }
    groups
}

/// Leaves the first half and gives the second; `None` if there is only one.
fn halve(group: &mut Vec<Run>) -> Option<Vec<Run>> {
    (group.len() > 1).then(|| group.split_off(group.len().div_ceil(2)))
}

//! How much a session gets of a job.

use std::collections::BTreeMap;

use pigeon_protocol::id::SessionId;

use crate::{Config, Time, agent::Agent, group::Room, job::Job, labels::Needs, pace::Pace, work::Batch};

/// What a batch's size depends on beside its job and its session.
pub(super) struct Sharing<'a> {
    pub(super) config: &'a Config,
    pub(super) now: Time,
    /// Leases that all sessions have and take.
    pub(super) lanes: u64,
    pub(super) sessions: usize,
    pub(super) needs: &'a Needs,
    /// How fast runs of each group were lately.
    pub(super) paces: &'a BTreeMap<u64, Pace>,
}

impl Sharing<'_> {
    /// Takes a batch of a job for a session. `None` if the session may have none of it now.
    pub(super) fn draw(&self, job: &mut Job, session: SessionId, agent: &Agent, room: Room) -> Option<Batch> {
        if !job.may_lease() || !job.admits(session, agent) || room.runs == 0 {
            return None;
        }
        if agent.is_for_short() && !self.is_short(job) {
            return None;
        }
        if job.places.is_some() {
            return self.draw_of_place(job, session, agent, room);
        }
        let need = self.needs.of(job.need);
        let (lanes, sessions) = need.map_or((self.lanes, self.sessions), |need| (need.lanes, need.sessions));
        let lanes = if job.is_closed() { lanes * job.members.len() as u64 / sessions.max(1) as u64 } else { lanes };
        let lanes = lanes.min(job.max_parallel as u64).min(room.lanes);
        let runs = self.size(job, session, job.work.ready(), lanes).min(room.runs);
        job.work.take(runs, self.config.batch_bytes)
    }

    /// Whether a run of the job takes no longer than what a batch has at least, by what is known of it, or of others of its group.
    fn is_short(&self, job: &Job) -> bool {
        let known = job.pace.time_of(1).or_else(|| self.paces.get(&job.group)?.time_of(1));
        known.is_some_and(|time| time <= self.config.least_batch_time)
    }

    fn draw_of_place(&self, job: &mut Job, session: SessionId, agent: &Agent, room: Room) -> Option<Batch> {
        let places = job.places.as_mut()?;
        let work = &job.work;
        let own = places.of(session).find(|place| work.is_place_ready(*place));
        let second = places.of(session).next().is_some();
        let all_joined = places.sessions() >= job.max_agents;
        let place = match own {
            Some(place) => place,
            None if second && !all_joined && self.now < job.admitted + self.config.place_grace => return None,
            None => {
                let place = places.first_free(|place| work.is_place_ready(place))?;
                places.take(place, session);
                place
            }
        };
        let ready = job.work.ready_in(job.work.runs_of(place));
        let runs = self.size(job, session, ready, agent.lanes).min(room.runs);
        job.work.take_place(place, runs, self.config.batch_bytes)
    }

    /// Guided self-scheduling: what the pace allows, but near the end no more than half of an even share, so that all
    /// lanes end together.
    fn size(&self, job: &Job, session: SessionId, ready: u64, lanes: u64) -> u64 {
        let pace = job.pace_of(session);
        let least = pace.runs_in(self.config.least_batch_time).unwrap_or(1);
        let share = (ready / (2 * lanes.max(1))).max(least);
        pace.batch(self.config.batch_time).min(u64::from(self.config.batch_runs)).min(share).max(1)
    }
}

//! Labels: what sessions have, and what jobs need of them.
//!
//! A label is free text: `gpu`, `arch=x86_64`, `model:codellama:7b`. A job names labels that a session must have to work
//! for it, and labels that it had better have. What it names is a label as it is, or the key alone of one that has a
//! value: `arch` stands for any `arch=...`.
//!
//! Jobs that name the same share one *need*. Each session knows which needs it meets, and each need which sessions with
//! room meet it, those first that lack the fewest of the preferred labels. So a decision looks at no session that does
//! not fit, and a session costs what needs cost that jobs have now: nothing where no job names a label.

use std::collections::{BTreeMap, BTreeSet};

use pigeon_protocol::{id::SessionId, label};

use crate::{Scheduler, agent::Agent, job::Job};

/// Needs that jobs may have at once, before what they prefer is passed over.
const MOST_NEEDS: usize = 1024;

/// What a job needs of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NeedId(u64);

impl NeedId {
    /// Nothing: every session will do.
    pub(crate) const NONE: Self = Self(0);
}

/// A need that jobs have.
#[derive(Debug)]
pub(crate) struct Need {
    named: Named,
    /// How many jobs have it.
    jobs: usize,
    /// Sessions that meet it.
    pub(crate) sessions: usize,
    /// Leases that they have and take.
    pub(crate) lanes: u64,
    /// Those of them with room: who lacks fewest of the preferred labels first, then the least loaded.
    pub(crate) hungry: BTreeSet<(u32, u64, SessionId)>,
}

/// Labels, as a job names them. Each list is sorted, and none is in it twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    require: Vec<String>,
    prefer: Vec<String>,
}

impl Named {
    /// How many preferred labels are not among these; `None` if one is not that is required.
    fn lacking(&self, labels: &[String]) -> Option<u32> {
        let met = self.require.iter().all(|label| has(labels, label));
        met.then(|| self.prefer.iter().filter(|label| !has(labels, label)).count() as u32)
    }
}

/// The needs of all jobs.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    ids: BTreeMap<Named, NeedId>,
    all: BTreeMap<NeedId, Need>,
    last: u64,
}

impl Needs {
    pub(crate) fn of(&self, id: NeedId) -> Option<&Need> {
        self.all.get(&id)
    }

    /// Needs that a session with these labels meets, each with how many preferred labels it lacks.
    pub(crate) fn met_by(&self, labels: &[String]) -> Vec<(NeedId, u32)> {
        self.all.iter().filter_map(|(id, need)| Some((*id, need.named.lacking(labels)?))).collect()
    }

    /// A session meets what it meets, or is gone.
    pub(crate) fn count(&mut self, agent: &Agent, comes: bool) {
        for (id, _) in &agent.meets {
            if let Some(need) = self.all.get_mut(id) {
                need.sessions = if comes { need.sessions + 1 } else { need.sessions.saturating_sub(1) };
            }
        }
    }

    /// A session is listed with this load, or was until now.
    pub(crate) fn list(&mut self, agent: &Agent, (load, session): (u64, SessionId), listed: bool) {
        for (id, lacking) in &agent.meets {
            if let Some(need) = self.all.get_mut(id) {
                let at = (*lacking, load, session);
                if listed {
                    need.hungry.insert(at)
                } else {
                    need.hungry.remove(&at)
                };
            }
        }
    }

    /// A session has other lanes than it had.
    pub(crate) fn lanes(&mut self, agent: &Agent, from: u64, to: u64) {
        for (id, _) in &agent.meets {
            if let Some(need) = self.all.get_mut(id) {
                need.lanes = need.lanes - from + to;
            }
        }
    }
}

impl Scheduler {
    /// What a job that names these labels needs, from now on until it is [let go](Self::drop_need).
    pub(crate) fn take_need(&mut self, require: &[String], prefer: &[String]) -> NeedId {
        let require = sorted(require.iter());
        let prefer = sorted(prefer.iter().filter(|label| require.binary_search(label).is_err()));
        let named = Named { require, prefer };
        if named.require.is_empty() && named.prefer.is_empty() {
            return NeedId::NONE;
        }
        // Those who must have a label are few; what is liked may be another for each job, and each costs every session something.
        if self.needs.all.len() >= MOST_NEEDS && !named.prefer.is_empty() && !self.needs.ids.contains_key(&named) {
            return self.take_need(&named.require, &[]);
        }
        if let Some(id) = self.needs.ids.get(&named).copied() {
            if let Some(need) = self.needs.all.get_mut(&id) {
                need.jobs += 1;
            }
            return id;
        }
        self.needs.last += 1;
        let id = NeedId(self.needs.last);
        let mut need = Need { named: named.clone(), jobs: 1, sessions: 0, lanes: 0, hungry: BTreeSet::new() };
        for agent in self.agents.values_mut() {
            let Some(lacking) = named.lacking(&agent.info.labels) else { continue };
            // Needs are numbered upwards: what a session meets stays sorted.
            agent.meets.push((id, lacking));
            need.sessions += 1;
            need.lanes += agent.lanes;
            need.hungry.extend(agent.listed.map(|(load, session)| (lacking, load, session)));
        }
        self.needs.ids.insert(named, id);
        self.needs.all.insert(id, need);
        id
    }

    /// A job is gone that needed this.
    pub(crate) fn drop_need(&mut self, id: NeedId) {
        let Some(need) = self.needs.all.get_mut(&id) else { return };
        need.jobs = need.jobs.saturating_sub(1);
        if need.jobs > 0 {
            return;
        }
        if let Some(need) = self.needs.all.remove(&id) {
            self.needs.ids.remove(&need.named);
        }
        for agent in self.agents.values_mut() {
            agent.meets.retain(|(met, _)| *met != id);
        }
        self.ready.forget(id);
        self.groups.values_mut().for_each(|group| group.ready.forget(id));
    }

    /// The session with room that is first to be given work of a job that needs this.
    pub(crate) fn first_hungry(&self, need: NeedId) -> Option<SessionId> {
        match self.needs.of(need) {
            Some(need) => need.hungry.first().map(|(.., session)| *session),
            None => self.hungry.first().map(|(_, session)| *session),
        }
    }

    /// Sessions with room that may work for a job that needs this, whoever is to get it first.
    pub(crate) fn hungry(&self, need: NeedId) -> impl Iterator<Item = SessionId> + '_ {
        let need = self.needs.of(need);
        let any = self.hungry.iter().filter(move |_| need.is_none()).map(|(_, session)| *session);
        any.chain(need.into_iter().flat_map(|need| &need.hungry).map(|(.., session)| *session))
    }

    /// The labels for want of which nobody can work for a job: those that no agent has that is in or, where each is had
    /// by one, all that it requires. None if some agent has what it takes.
    pub(crate) fn lacking(&self, job: &Job) -> Vec<String> {
        let Some(need) = self.needs.of(job.need).filter(|need| need.sessions == 0) else { return Vec::new() };
        let require = &need.named.require;
        let nobody = |label: &&String| !self.agents.values().any(|agent| has(&agent.info.labels, label));
        let lacking: Vec<String> = require.iter().filter(nobody).cloned().collect();
        if lacking.is_empty() { require.clone() } else { lacking }
    }
}

/// Sorted, each once.
pub(crate) fn sorted<'a>(labels: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut labels: Vec<String> = labels.cloned().collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

/// Whether a label is among these, which are sorted: as it is, or as the key of one.
fn has(labels: &[String], label: &str) -> bool {
    let from = labels.partition_point(|other| other.as_str() < label);
    labels[from..].iter().take_while(|other| other.starts_with(label)).any(|other| label::is(other, label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn labels(text: &str) -> Vec<String> {
        sorted(text.split(' ').filter(|label| !label.is_empty()).map(str::to_owned).collect::<Vec<_>>().iter())
    }

    #[test]
    fn a_label_is_had_as_it_is_or_by_its_key() {
        let agent = labels("gpu arch=x86_64 model:codellama:7b zone=a zone.b a=b=c");
        for had in ["gpu", "arch=x86_64", "arch", "model:codellama:7b", "zone", "zone=a", "zone.b", "a", "a=b", "a=b=c"]
        {
            assert!(has(&agent, had), "{had}");
        }
        for lacking in ["gp", "gpu2", "arch=", "arch=x86", "arch=aarch64", "model", "x86_64", "zon", "b", "zz"] {
            assert!(!has(&agent, lacking), "{lacking}");
        }
        assert!(!has(&[], "gpu"));
    }

    #[test]
    fn of_too_many_needs_what_is_preferred_is_passed_over() {
        let mut scheduler = Scheduler::new(Config::default(), 1);
        let mut need = |require: &str, prefer: &str| scheduler.take_need(&labels(require), &labels(prefer));
        let needs: BTreeSet<NeedId> = (0..MOST_NEEDS + 5).map(|run| need("gpu", &format!("run={run}"))).collect();
        assert_eq!(needs.len(), MOST_NEEDS + 1, "those that are too many share one");
        assert_eq!(need("gpu", ""), *needs.last().unwrap());
        assert_eq!(need("", "run"), NeedId::NONE);
        assert!(need("tpu", "run") > *needs.last().unwrap(), "what is required stands");
        assert!(needs.contains(&need("gpu", "run=7")), "it is there");
    }

    #[test]
    fn what_is_required_decides_and_what_is_preferred_counts() {
        let named = Named { require: labels("gpu"), prefer: labels("arch=x86_64 zone") };
        assert_eq!(named.lacking(&labels("arch=x86_64")), None);
        assert_eq!(named.lacking(&labels("gpu")), Some(2));
        assert_eq!(named.lacking(&labels("gpu zone=b")), Some(1));
        assert_eq!(named.lacking(&labels("arch=x86_64 gpu zone=b")), Some(0));
    }
}

//! Which job is meant: ids are long, and people name them by a part.

use pigeon_api::{JobFilter, JobId, Pigeon};

use crate::{
    exit::Failed,
    text::{number, plural},
};

/// The newest job.
pub(crate) const LAST: &str = "last";

/// Jobs that are named where an unknown one was.
const MOST_NAMED: usize = 10;

/// Characters of an id that name a job, at least.
const SHORTEST_PART: usize = 4;

/// What [`LAST`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// The newest that has not ended; the newest if all have.
    Unfinished,
    /// The newest.
    Any,
}

/// The job that is meant: by its id, 4 or more characters of the id's beginning or end, or [`LAST`].
///
/// # Errors
/// If there is none, or several; those that could be meant are named.
pub(crate) async fn find(client: &dyn Pigeon, which: &str, last: Last) -> Result<JobId, Failed> {
    if which == LAST {
        let orders: &[bool] = match last {
            Last::Unfinished => &[true, false],
            Last::Any => &[false],
        };
        for &unfinished in orders {
            if let Some(job) =
                client.jobs(JobFilter { unfinished, limit: Some(1), ..JobFilter::default() }).await?.first()
            {
                return Ok(job.id);
            }
        }
        let none = match last {
            Last::Unfinished => "there is no job to go on with",
            Last::Any => "there is no job",
        };
        return Err(Failed::usage(none)
            .hint("the queue is empty; is another one meant? --context, --local and --state-dir say which"));
    }
    let Ok(job) = which.parse::<JobId>() else { return by_part(client, which).await };
    match client.job(job).await {
        Ok(_) => Ok(job),
        Err(error) if error.kind == pigeon_api::ErrorKind::NotFound => {
            Err(Failed::usage(format!("there is no job {job}")).hint(unfinished(client).await?))
        }
        Err(error) => Err(error.into()),
    }
}

/// The only job whose id begins or ends with this. Ids begin with the time, so jobs that were submitted within a
/// minute differ in their ends only.
async fn by_part(client: &dyn Pigeon, part: &str) -> Result<JobId, Failed> {
    if !part.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return Err(Failed::usage(format!("{part:?} is no job id, and no part of one")).hint(unfinished(client).await?));
    }
    if part.len() < SHORTEST_PART {
        let error = Failed::usage(format!("{part:?} is too short to name a job"));
        return Err(error.hint(format!("give {SHORTEST_PART} or more characters of its id's beginning or end")));
    }
    let mut jobs = client.job_ids().await?;
    jobs.retain(|job| is_part(part, *job));
    match jobs.as_slice() {
        [job] => Ok(*job),
        [] => {
            let error = Failed::usage(format!("no job's id begins or ends with {part:?}"));
            Err(error.hint(unfinished(client).await?))
        }
        several => {
            let count = number(several.len() as u64);
            let mut lines = Vec::new();
            for job in several.iter().take(MOST_NAMED) {
                lines.push(match client.job(*job).await {
                    Ok(job) => {
                        let plugin = &job.plugin.metadata;
                        let plugin = format!("{} {}", plugin.name, plugin.version);
                        described(job.id, &plugin, job.total_runs, job.planned_runs)
                    }
                    // Whatever is wrong with it, it can be meant.
                    Err(_) => format!("  {job}"),
                });
            }
            let hint = listed("which of these is meant?", lines, several.len());
            Err(Failed::usage(format!("{count} jobs' ids begin or end with {part:?}")).hint(hint))
        }
    }
}

fn is_part(part: &str, job: JobId) -> bool {
    let (id, part) = (job.to_string(), part.to_ascii_lowercase());
    id.starts_with(&part) || id.ends_with(&part)
}

/// The jobs that could have been meant.
async fn unfinished(client: &dyn Pigeon) -> Result<String, Failed> {
    let jobs = client.jobs(JobFilter { unfinished: true, limit: Some(MOST_NAMED + 1), ..JobFilter::default() }).await?;
    if jobs.is_empty() {
        return Ok("there is no unfinished job; `pigeon jobs list --all` names all".to_owned());
    }
    let lines = jobs.iter().map(|job| described(job.id, &job.plugin, job.total_runs, job.planned_runs));
    Ok(listed("these are unfinished:", lines.take(MOST_NAMED).collect(), jobs.len()))
}

fn described(job: JobId, plugin: &str, total: u64, planned: u64) -> String {
    format!("  {job}  {plugin}  {} of {}", number(total), plural(planned, "run"))
}

fn listed(what: &str, mut lines: Vec<String>, count: usize) -> String {
    let more = count > lines.len();
    lines.insert(0, what.to_owned());
    if more {
        lines.push("  ... and more".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;

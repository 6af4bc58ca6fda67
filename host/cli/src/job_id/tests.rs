use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use pigeon_api::{
    ApiError, Chunk, ErrorKind, ItemResult, JobEvent, JobRequest, JobStatus, JobSummary, PluginInfo, Result, Stop,
    Watch,
};

use super::*;

#[test]
fn a_job_is_named_by_the_ends_of_its_id() {
    let job: JobId = "0198f3c2-7d4e-7c11-9a51-0a4d2b8f6e01".parse().unwrap();
    for part in ["0198", "0198F3C2-7d", "6e01", "51-0A4D2b8f6e01"] {
        assert!(is_part(part, job), "{part}");
    }
    for part in ["7d4e", "198f3", "6e0", "----"] {
        assert!(!is_part(part, job), "{part}");
    }
}

/// Knows ids, and counts how often it is asked for a job's figures, which cost something.
struct Ids {
    jobs: Vec<JobId>,
    asked: AtomicUsize,
}

fn costly<T>(ids: &Ids) -> Result<T> {
    ids.asked.fetch_add(1, Relaxed);
    Err(ApiError::new(ErrorKind::Internal, "not here"))
}

#[async_trait]
impl Pigeon for Ids {
    async fn job_ids(&self) -> Result<Vec<JobId>> {
        Ok(self.jobs.clone())
    }

    async fn jobs(&self, _: JobFilter) -> Result<Vec<JobSummary>> {
        costly(self)
    }

    async fn job(&self, _: JobId) -> Result<JobStatus> {
        costly(self)
    }

    async fn plugins(&self) -> Result<Vec<PluginInfo>> {
        costly(self)
    }

    async fn plugin(&self, _: &str) -> Result<PluginInfo> {
        costly(self)
    }

    async fn publish(&self, _: Bytes) -> Result<PluginInfo> {
        costly(self)
    }

    async fn submit(&self, _: JobRequest) -> Result<JobId> {
        costly(self)
    }

    async fn append(&self, _: JobId, _: Chunk) -> Result<()> {
        costly(self)
    }

    async fn seal(&self, _: JobId) -> Result<()> {
        costly(self)
    }

    async fn watch(&self, _: JobId, _: Watch) -> Result<BoxStream<'static, Result<JobEvent>>> {
        costly(self)
    }

    async fn results(&self, _: JobId) -> Result<BoxStream<'static, Result<Vec<ItemResult>>>> {
        costly(self)
    }

    async fn stop(&self, _: JobId, _: Stop) -> Result<()> {
        costly(self)
    }

    async fn resume(&self, _: JobId) -> Result<ResumePoint> {
        costly(self)
    }
}

#[tokio::test]
async fn among_many_jobs_only_those_that_could_be_meant_are_looked_at() {
    let jobs: Vec<JobId> =
        (0..3000).map(|at| format!("0198f3c2-7d4e-7c11-9a51-0a4d0000{at:04x}").parse().unwrap()).collect();
    let ids = Ids { jobs: jobs.clone(), asked: AtomicUsize::new(0) };
    assert_eq!(find(&ids, "00000abc", Last::Any).await.unwrap(), jobs[0xabc]);
    assert_eq!(ids.asked.load(Relaxed), 0);

    let several = find(&ids, "0198", Last::Any).await.unwrap_err();
    assert_eq!(several.to_string(), "3,000 jobs' ids begin or end with \"0198\"");
    assert_eq!(ids.asked.load(Relaxed), MOST_NAMED);
}

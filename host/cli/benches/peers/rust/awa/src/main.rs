//! awa on PostgreSQL.

use std::{env::args, time::Duration};

use anyhow::{Context as _, Result};
use awa::{
    Client, InsertOpts, InsertParams, JobArgs, JobError, JobResult, QueueConfig, QueueStorage, QueueStorageConfig,
    insert::params_with, migrations,
};
use peer::Counter;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgPoolOptions};

const QUEUE: &str = "validation";

/// Documents of one COPY.
const BATCH: usize = 1_000;

/// Jobs that a worker works at, at once.
const CONCURRENCY: u32 = 512;

#[derive(Serialize, Deserialize, JobArgs)]
struct Validation {
    document: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let pool = PgPoolOptions::new().max_connections(20).connect(&peer::url()?).await?;
    let what = args().nth(1).context("prepare, work or produce")?;
    match &*what {
        "prepare" => migrations::run(&pool).await?,
        "work" => work(pool).await?,
        _ => produce(&pool, args().nth(2).context("how many")?.parse()?).await?,
    }
    Ok(())
}

async fn work(pool: PgPool) -> Result<()> {
    let counter = Counter::new()?;
    let client = Client::builder(pool)
        .queue(QUEUE, QueueConfig { max_workers: CONCURRENCY, ..QueueConfig::default() })
        .register::<Validation, _, _>(move |validation, _| {
            let judged = counter.validate(&validation.document);
            async move {
                judged.map_err(|error| JobError::terminal(error.to_string()))?;
                Ok(JobResult::Completed)
            }
        })
        .build()?;
    client.start().await?;
    peer::stopped().await?;
    client.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

/// Straight into the storage that workers claim from, as awa's own benchmark does.
async fn produce(pool: &PgPool, count: usize) -> Result<()> {
    let storage = QueueStorage::new(QueueStorageConfig::default())?;
    let validation = Validation { document: peer::document()? };
    let options = || InsertOpts { queue: QUEUE.to_owned(), ..InsertOpts::default() };
    peer::wait_for_the_word()?;
    let mut left = count;
    while left > 0 {
        let some = left.min(BATCH);
        let jobs: Vec<InsertParams> =
            (0..some).map(|_| params_with(&validation, options())).collect::<Result<_, _>>()?;
        storage.enqueue_params_copy(pool, &jobs).await?;
        left -= some;
    }
    println!("enqueued");
    Ok(())
}

//! apalis on SQLite.

use std::{
    env::{args, var},
    str::FromStr as _,
    time::Duration,
};

use anyhow::{Context as _, Result};
use apalis::prelude::*;
use apalis_sqlite::{Config, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteStorage, SqliteTask, queries};
use peer::Counter;

const QUEUE: &str = "validation";

/// Documents of one transaction.
const BATCH: usize = 1_000;

/// Jobs that a worker fetches, and notes as done, at a time; and works at, at once.
const FETCHED: usize = 500;

/// How often a worker looks for more, and says that it lives. That wakes it as well where it missed that there is more,
/// which is why it is not left at 30 seconds.
const POLL: Duration = Duration::from_millis(10);
const HEARTBEAT: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<()> {
    let what = args().nth(1).context("prepare, work or produce")?;
    match &*what {
        "prepare" => SqliteStorage::migrations().run(&pool().await?).await?,
        "work" => work().await?,
        _ => produce(args().nth(2).context("how many")?.parse()?).await?,
    }
    Ok(())
}

/// Connections with what is said of the disk: `SqliteStorage::setup` would turn fsync off, on one of them.
async fn pool() -> Result<SqlitePool> {
    let synchronous = var("PEER_SYNCHRONOUS")?;
    let options = SqliteConnectOptions::from_str(&peer::url()?)?
        .create_if_missing(true)
        .pragma("journal_mode", "WAL")
        .pragma("synchronous", synchronous)
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", "64000")
        .busy_timeout(Duration::from_secs(60));
    Ok(SqlitePoolOptions::new().max_connections(2).connect_with(options).await?)
}

async fn work() -> Result<()> {
    let config = Config::default().queue(QUEUE).batch_size(FETCHED).heartbeat_interval(HEARTBEAT).missed_heartbeats(60);
    let storage = SqliteStorage::<String>::new(&pool().await?).with_config(config).poll_with_interval(POLL);
    let counter = Counter::new()?;
    let judge = move |document: String| {
        let judged = counter.validate(&document);
        async move { judged.map_err(BoxDynError::from) }
    };
    let worker =
        WorkerBuilder::new(format!("worker-{}", std::process::id())).backend(storage).concurrency(FETCHED).build(judge);
    tokio::select! {
        ended = worker.run() => Ok(ended?),
        stopped = peer::stopped() => stopped,
    }
}

async fn produce(count: usize) -> Result<()> {
    let pool = pool().await?;
    let document = serde_json::to_vec(&peer::document()?)?;
    peer::wait_for_the_word()?;
    let mut left = count;
    while left > 0 {
        let some = left.min(BATCH);
        let tasks: Vec<SqliteTask> = (0..some).map(|_| TaskBuilder::new(document.clone()).build()).collect();
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        queries::push_tasks(&mut *transaction, QUEUE, &tasks).await?;
        transaction.commit().await?;
        left -= some;
    }
    println!("enqueued");
    Ok(())
}

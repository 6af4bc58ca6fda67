//! What is there in the end, read as any client reads it.

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use pigeon_api::{DeadFilter, EventFilter, JobEvent, JobId, Pigeon as _, Result, Watch, client::RestClient};

use tokio::time::sleep;

use crate::{
    history::{Account, Figures, History, Item, Seen, number},
    load::Load,
    world::LONG,
};

/// More than there ever are.
const ALL: usize = 10_000_000;

/// Read all of it.
pub(crate) async fn collect(client: &RestClient, load: &Load, kills: u64) -> Result<History> {
    let accounts = load.accounts.lock().unwrap().clone();
    let mut history = History { accounts, kills, listed: client.job_ids().await?, ..History::default() };
    for account in &history.accounts {
        if let Some(job) = account.job.filter(|job| history.listed.contains(job)) {
            history.seen.insert(job, seen(client, account, job).await?);
        }
    }
    history.events = client.events(EventFilter::default(), ALL).await?.into_iter().map(Into::into).collect();
    let deadline = Instant::now() + LONG;
    while load.followed.lock().unwrap().len() < history.events.len() && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
    }
    history.followed = load.followed.lock().unwrap().clone();
    history.dead = client.dead(DeadFilter::default(), None, ALL).await?.into_iter().map(Into::into).collect();
    history.total = client.stats().await?.total.runs;
    Ok(history)
}

async fn seen(client: &RestClient, account: &Account, job: JobId) -> Result<Seen> {
    let figures = Figures::from(client.job(job).await?);
    let mut runs = Vec::new();
    let mut events = client.watch(job, Watch { runs: true, past: true, ..Watch::default() }).await?;
    while let Some(event) = events.try_next().await? {
        if let JobEvent::Landed(landed) = event {
            runs.extend(landed.runs.iter().map(|run| (number(&account.order, run), run.into())));
        }
    }
    let pages: Vec<Vec<Item>> =
        client.results(job).await?.map_ok(|page| page.into_iter().map(Item::from).collect()).try_collect().await?;
    Ok(Seen { figures, runs, items: pages.concat() })
}

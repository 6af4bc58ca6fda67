//! SIGTERM: what was begun is ended, the rest goes to others.

use std::collections::HashSet;

use rustix::process::Signal;

use crate::support::Host;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_told_to_stop_ends_its_runs_and_the_job_goes_on_elsewhere() {
    let host = Host::start().await;
    let mut one = host.started("one");
    let job = host.job(&["busy:200"; 30]).await;
    let mut runs = host.runs(job).await;
    let mut landed = runs.next().await.unwrap();
    let two = host.started("two");
    two.says("connected").await;
    one.signal(Signal::TERM);
    let before = landed.len();
    assert_eq!(one.ended().await.code(), Some(0), "{}", one.log());
    assert!(one.log().contains("draining"), "{}", one.log());

    while let Some(more) = runs.next().await {
        landed.extend(more);
    }
    assert_eq!(landed.iter().map(|run| run.index).collect::<HashSet<_>>().len(), landed.len());
    let by = |name: &str| landed.iter().filter(|run| run.worker == name).count();
    // What it was at when the signal came: the slot is never idle as long as there is work.
    assert!(by("one") > before, "{} runs before, {} in all", before, by("one"));
    assert!(by("two") > 0);
    let status = host.all_valid(job).await;
    assert_eq!((status.total_runs, landed.len()), (30, 30));
    two.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_outlasts_the_drain_is_left_to_others() {
    let host = Host::start().await;
    let mut command = host.agent("one");
    command.arg("--token-file").arg(host.token(1)).args(["--drain-seconds", "1"]);
    let mut agent = host.start_as(command);
    // The plugin is there, so that runs begin in the order in which they come.
    host.all_valid(host.job(&["valid"]).await).await;
    // It takes longer than the agent has.
    let (before, job) = (host.job(&["busy:1000"]).await, host.job(&["spin"]).await);
    // Once the one before it has landed, it has long been here, and is under way.
    host.runs(before).await.next().await.unwrap();
    agent.signal(Signal::INT);
    assert_eq!(agent.ended().await.code(), Some(0), "{}", agent.log());
    assert!(agent.log().contains("the drain took too long"), "{}", agent.log());
    assert_eq!(host.landed(job).await, 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_waits_for_nothing() {
    let host = Host::start().await;
    let mut agent = host.started("one");
    // Once one has landed, the next is under way, and one more is here.
    let job = host.job(&["busy:1500"; 6]).await;
    host.runs(job).await.next().await.unwrap();
    agent.signal(Signal::TERM);
    agent.says("draining").await;
    agent.signal(Signal::TERM);
    agent.ended().await;
    assert_eq!(host.landed(job).await, 1, "{}", agent.log());
    host.stop().await;
}

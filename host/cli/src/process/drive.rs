//! From acceptance to the end: feed the job, show how it goes, and heed Ctrl-C.

use std::time::Duration;

use futures::StreamExt as _;
use pigeon_api::{JobEvent, JobId, JobState, Pigeon, Waiting, Watch};
use tokio::time::Instant;

use super::{
    away::{self, Paused},
    cuts::Cut,
    feed::{Fed, Feed},
    target::Target,
    waits::{Waited, Waits},
};
use crate::{
    connect::Host,
    exit::Failed,
    report::{Format, jsonl},
    screen::Screen,
    signals::Interrupts,
    text::plural,
};

/// How long runs that are under way may go on after the first Ctrl-C.
const GRACE: Duration = Duration::from_secs(5);

/// Between two looks at a job that is held open.
const LOOK: Duration = Duration::from_millis(300);

/// What became of a job in this process.
#[derive(Default)]
pub(super) struct Driven {
    /// Its state when nothing more happened; unknown if it did not come to that.
    pub(super) state: Option<JobState>,
    /// Ctrl-C, or a reader of the runs that went away.
    pub(super) interrupted: bool,
    /// What is missing of the input, if it was read to its end.
    pub(super) input: Option<Vec<Cut>>,
    /// Attempts that were followed by another.
    pub(super) retried: u64,
    /// Whether the input was not read to its end.
    pub(super) unread: bool,
    /// Whether it was to be stopped, and nobody answered.
    pub(super) away: bool,
    /// Whether it had to wait for too long.
    pub(super) waited: bool,
    /// What was wrong with us.
    pub(super) machinery: Option<Failed>,
}

impl Driven {
    /// The input was read to its end, or was not. Whether the job is held open because a part of it is missing.
    fn fed(&mut self, fed: Result<Option<Fed>, Failed>, screen: &Screen) -> bool {
        match fed {
            Ok(Some(fed)) => {
                if fed.blank > 0 {
                    screen.note(&format!("{} skipped", plural(fed.blank, "blank line")));
                }
                self.input = Some(fed.cuts.cuts);
                fed.held
            }
            Ok(None) => false,
            Err(error) => {
                self.machinery.get_or_insert(error);
                false
            }
        }
    }

    /// The job is paused: whoever had that done is told so.
    fn paused(&mut self, host: &Host, screen: &Screen) {
        if self.interrupted && !host.is_local() {
            screen.warn(&format!("the job is paused: runs under way have {} s to end", GRACE.as_secs()));
        }
        if self.waited {
            let hint =
                "it is paused, and waits for whoever resumes it; `pigeon agents list` shows who could work at it";
            self.machinery = self.machinery.take().map(|failed| failed.hint(hint));
        }
    }

    /// Whether nothing more should be run.
    fn is_stopping(&self) -> bool {
        self.interrupted || self.machinery.is_some()
    }
}

/// Drive a job to its end.
pub(super) async fn drive(
    host: &Host,
    job: JobId,
    feed: Option<Feed>,
    patience: Option<Duration>,
    target: &mut Target,
    screen: &Screen,
    interrupts: &mut Interrupts,
) -> Driven {
    let client = host.client();
    let client = client.as_ref();
    let mut driven = Driven::default();
    let mut events = match client.watch(job, Watch { runs: target.format == Format::Jsonl, ..Watch::default() }).await {
        Ok(events) => events,
        Err(error) => return Driven { machinery: Some(error.into()), ..driven },
    };
    let mut feeding = feed.is_some();
    let fed = async {
        match feed {
            Some(feed) => feed.run(client, job, host.is_local()).await.map(Some),
            None => Ok(None),
        }
    };
    tokio::pin!(fed);
    let mut waits = Waits::new(host, job, patience);
    let mut held = false;
    let done = all_done(client, job);
    tokio::pin!(done);
    let mut deadline: Option<Instant> = None;
    loop {
        tokio::select! {
            // Ctrl-C first: a busy job must not drown it.
            biased;
            () = interrupts.first(), if !driven.interrupted => {
                let what = if host.is_local() || deadline.is_some() {
                    format!("runs under way have {} s to end", GRACE.as_secs())
                } else {
                    "the server is asked to pause the job".to_owned()
                };
                screen.warn(&format!("interrupted: {what}; once more stops at once"));
                driven.interrupted = true;
            }
            () = sleep_until(deadline), if deadline.is_some() => return driven,
            event = events.next() => match event {
                Some(Ok(JobEvent::Landed(landed))) => {
                    waits.landed();
                    if driven.machinery.is_none()
                        && let Err(error) = target.write(|out| jsonl::write(out, job, &landed.runs))
                    {
                        driven.machinery = Some(error);
                    }
                    // Nobody reads what the job is run for.
                    driven.interrupted |= target.is_gone();
                }
                Some(Ok(JobEvent::Progress(progress))) => {
                    driven.retried = progress.retried;
                    waits.progressed(progress.done);
                    screen.progress(&progress);
                }
                Some(Ok(JobEvent::Note(note))) => screen.note(&note),
                Some(Ok(JobEvent::Finished(state))) => {
                    driven.state = Some(state);
                    // Only a sealed job comes to its end: what the input lacked is known by now, or in a moment.
                    if feeding && state == JobState::Finished {
                        driven.fed((&mut fed).await, screen);
                    }
                    if let Some(what) = by_others(state, &driven) {
                        screen.warn(what);
                        driven.interrupted = true;
                    }
                    return driven;
                }
                Some(Err(error)) => {
                    driven.machinery.get_or_insert(error.into());
                    return driven;
                }
                None => {
                    driven.machinery.get_or_insert(Failed::machinery("the job's events ended before the job did"));
                    return driven;
                }
            },
            () = host.lost(), if driven.machinery.is_none() => {
                let lost = Failed::machinery("all workers have ended, and the job has not")
                    .hint("PIGEON_LOG=debug says why; the job is safe and can be resumed");
                driven.machinery = Some(lost);
            }
            waited = waits.next(), if !driven.is_stopping() => match waited {
                Waited::For(reason) => screen.note(&reason),
                Waited::TooLong(failed) => {
                    driven.waited = true;
                    driven.machinery = Some(failed);
                }
            },
            state = &mut done, if held && !driven.is_stopping() => {
                driven.state = Some(state);
                return driven;
            }
            fed = &mut fed, if feeding => {
                feeding = false;
                held = driven.fed(fed, screen);
            }
        }
        if driven.is_stopping() && deadline.is_none() {
            // What was not read is read on resumption.
            driven.unread = feeding;
            feeding = false;
            match away::pause(host, job).await {
                Ok(Paused::Yes) => driven.paused(host, screen),
                Ok(Paused::Ended) => {}
                Ok(Paused::Unheard) => {
                    driven.away = true;
                    return driven;
                }
                Err(error) => {
                    driven.machinery.get_or_insert(error.into());
                    return driven;
                }
            }
            deadline = Some(Instant::now() + GRACE);
        }
    }
}

/// Wait until all is done that an open job has. Gives its state.
async fn all_done(client: &dyn Pigeon, job: JobId) -> JobState {
    loop {
        // What is wrong with the server is told by the job's events.
        if let Ok(status) = client.job(job).await
            && matches!(status.waiting, Some(Waiting::Items))
        {
            return status.state;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// That somebody else had the job end before its end.
fn by_others(state: JobState, driven: &Driven) -> Option<&'static str> {
    match state {
        _ if driven.is_stopping() => None,
        JobState::Paused => Some("somebody has paused the job"),
        JobState::Cancelled => Some("somebody has cancelled the job"),
        _ => None,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

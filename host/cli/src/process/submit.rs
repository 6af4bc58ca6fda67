//! A new job: everything is looked at, then it is accepted.

use std::{
    hash::{BuildHasher as _, RandomState},
    pin::pin,
    time::Duration,
};

use pigeon_api::{Chunk, ChunkBuilder, Digest, JobId, JobRequest, JobState, Pigeon, Work};

use super::{Accepted, Client, ProcessArgs, Sources, cores, cuts::Cuts, feed::Feed, options, resume, validator};
use crate::{
    connect::{Chosen, Host},
    exit::Failed,
    input::{self, Checked, InputError, Inputs, Reader},
    screen::Screen,
    text::plural,
};

/// How long a validator may take to be ready before it is said why.
const PATIENCE: Duration = Duration::from_millis(700);

/// What is known of the input before the job is accepted.
struct Looked {
    inputs: Inputs,
    checked: Checked,
    feed: Feed,
    /// Whether all the input is one item.
    one: bool,
}

/// Check, start, submit.
pub(super) async fn submit(
    args: &ProcessArgs,
    inputs: Inputs,
    chosen: &Chosen,
    screen: &Screen,
    started: &mut Option<Host>,
) -> Result<Accepted, Failed> {
    let given = options::read(&args.job.options)?;
    let clock = args.job.clock()?;

    // The input is read while the rest comes up.
    let cuts = Cuts::none(&chosen.dirs.state);
    let looking = tokio::task::spawn_blocking(move || look(inputs, cuts));
    let reaching = async {
        let host = chosen.open(args.job.max_memory.map(|size| size.0)).await?;
        host.greet().await?;
        Ok::<_, Failed>(host)
    };
    let (looked, host) = tokio::join!(looking, reaching);
    let looked = looked.map_err(|error| Failed::machinery("the input's reader was lost").caused_by(error))??;
    let host = started.insert(host?);
    host.tell_if_away(screen);
    if looked.checked.blank > 0 && !looked.feed.tell_blank {
        screen.note(&format!("{} skipped", plural(looked.checked.blank, "blank line")));
    }

    let (work, agents) = work(args, looked.one);
    let client = host.client();
    let found = find(&client, args, &given, screen);
    let (plugin, enrolled) = tokio::join!(found, host.add_agents(agents));
    let plugin = plugin?;
    enrolled?;

    let items = (!looked.inputs.has_stream()).then_some(looked.checked.items);
    let sources = Sources { inputs: looked.inputs, identities: looked.checked.identities, items };
    let request = JobRequest {
        plugin: plugin.digest,
        options: given,
        work,
        limits: args.job.limits(),
        retry: args.job.retry(),
        priority: args.job.priority,
        max_parallel: args.job.max_parallel,
        require: args.job.require.clone(),
        prefer: args.job.prefer.clone(),
        fail_fast: args.job.fail_fast,
        seed: args.job.seed.unwrap_or_else(|| args.key.as_deref().map_or_else(drawn_seed, seed_of)),
        clock,
        grants: Vec::new(),
        sources: serde_json::to_value(&sources)
            .map_err(|error| Failed::machinery("failed to write down the sources").caused_by(error))?,
        key: args.key.clone(),
    };
    let keyed = request.key.is_some();
    let job = client.submit(request).await?;
    if keyed && was_there(client.as_ref(), job).await? {
        screen.note("the job of this key was there already: it is taken up");
        return resume::take_up(host, job, Some(sources), chosen, screen).await;
    }
    screen.say(&format!("job {job}"));
    Ok(Accepted { job, sources: Some(sources), feed: Some(looked.feed), input: Vec::new(), over: None })
}

async fn find(
    client: &Client,
    args: &ProcessArgs,
    given: &std::collections::BTreeMap<String, String>,
    screen: &Screen,
) -> Result<pigeon_api::PluginInfo, Failed> {
    let name = args.validator.as_deref().unwrap_or_default();
    let mut finding = pin!(validator::find(client.as_ref(), name));
    let found = match tokio::time::timeout(PATIENCE, &mut finding).await {
        Ok(found) => found,
        Err(_) => {
            screen.note(&format!("{name} is not ready yet: it is compiled once for each machine, and kept"));
            finding.await
        }
    };
    let plugin = found?;
    options::check(given, &plugin)?;
    Ok(plugin)
}

/// Whether the submission was made before, and came so far that there is something of it.
async fn was_there(client: &dyn Pigeon, job: JobId) -> Result<bool, Failed> {
    let status = client.job(job).await?;
    Ok(status.items > 0 || status.state != JobState::Open)
}

/// Read all files through, and of streams as much as tells one item from many.
fn look(inputs: Inputs, cuts: Cuts) -> Result<Looked, InputError> {
    let checked = input::check(&inputs)?;
    let mut reader = Reader::new(inputs.clone(), checked.identities.clone());
    let mut builder = ChunkBuilder::new(0, 0);
    let (mut read, mut failed) = (Vec::new(), None);
    let mut one = checked.items == 1;
    if inputs.has_stream() {
        while read.iter().map(Chunk::len).sum::<usize>() < 2 {
            match reader.next_chunk(&mut builder, 1) {
                Ok(Some(chunk)) => read.push(chunk),
                Ok(None) => break,
                // Bad input, and nothing came before it.
                Err(error) if read.is_empty() => return Err(error),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if read.is_empty() {
            return Err(InputError::NoItem { given: inputs.names(), blank: reader.blank() });
        }
        one = read.len() == 1;
    }
    let tell_blank = inputs.has_stream();
    Ok(Looked { inputs, checked, feed: Feed { reader, builder, read, failed, tell_blank, cuts }, one })
}

/// How many runs there will be, and how many agents they need.
fn work(args: &ProcessArgs, one: bool) -> (Work, u32) {
    let work = args.job.work(one);
    match work {
        Work::One { workers, .. } => (work, workers),
        Work::Many { workers, .. } => (work, workers.unwrap_or_else(cores)),
    }
}

/// A seed from the system's randomness, with no more bits than a JSON reader that knows only doubles can hold.
fn drawn_seed() -> u64 {
    RandomState::new().hash_one(std::process::id()) >> 11
}

/// The seed of a submission that may be repeated: the same each time.
fn seed_of(key: &str) -> u64 {
    let digest = Digest::of(key.as_bytes());
    let first = digest.as_bytes().first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(first) >> 11
}

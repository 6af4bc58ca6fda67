//! A new job: everything is looked at, then it is accepted.

use std::{
    hash::{BuildHasher as _, RandomState},
    pin::pin,
    time::Duration,
};

use pigeon_api::{Chunk, ChunkBuilder, JobRequest, RetryPolicy, Work};

use super::{
    Accepted, Client, ProcessArgs, Sources, cores, cuts::Cuts, embedded_options, feed::Feed, not_started, options,
    validator,
};
use crate::{
    dirs::Dirs,
    embedded::Embedded,
    exit::Failed,
    input::{self, Checked, InputError, Inputs, Reader},
    screen::Screen,
    text::plural,
};

/// Iterations of a single item if not said.
const ITERATIONS_OF_ONE: u32 = 5;

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
    dirs: &Dirs,
    screen: &Screen,
    started: &mut Option<Embedded>,
) -> Result<Accepted, Failed> {
    let given = options::read(&args.job.options)?;
    let clock = args.job.clock()?;

    // The input is read while the rest comes up.
    let cuts = Cuts::none(&dirs.state);
    let looking = tokio::task::spawn_blocking(move || look(inputs, cuts));
    let (looked, embedded) = tokio::join!(looking, start(args, dirs));
    let looked = looked.map_err(|error| Failed::machinery("the input's reader was lost").caused_by(error))??;
    let embedded = started.insert(embedded?);
    if looked.checked.blank > 0 && !looked.feed.tell_blank {
        screen.note(&format!("{} skipped", plural(looked.checked.blank, "blank line")));
    }

    let (work, agents) = work(args, looked.one);
    let client = embedded.client();
    let found = find(&client, args, &given, screen);
    let (plugin, enrolled) = tokio::join!(found, embedded.add_agents(agents));
    let plugin = plugin?;
    enrolled.map_err(not_started(dirs))?;

    let items = (!looked.inputs.has_stream()).then_some(looked.checked.items);
    let sources = Sources { inputs: looked.inputs, identities: looked.checked.identities, items };
    let request = JobRequest {
        plugin: plugin.digest,
        options: given,
        work,
        limits: args.job.limits(),
        retry: RetryPolicy::default(),
        priority: args.job.priority,
        max_parallel: args.job.max_parallel,
        fail_fast: args.job.fail_fast,
        seed: args.job.seed.unwrap_or_else(drawn_seed),
        clock,
        grants: Vec::new(),
        sources: serde_json::to_value(&sources)
            .map_err(|error| Failed::machinery("failed to write down the sources").caused_by(error))?,
        key: None,
    };
    let job = client.submit(request).await?;
    screen.say(&format!("job {job}"));
    Ok(Accepted { job, sources: Some(sources), feed: Some(looked.feed), input: Vec::new(), over: None })
}

async fn start(args: &ProcessArgs, dirs: &Dirs) -> Result<Embedded, Failed> {
    let options = embedded_options(dirs, args.job.max_memory.map(|size| size.0))?;
    Embedded::start(options).await.map_err(not_started(dirs))
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
    if one {
        let workers = args.job.workers.unwrap_or(1);
        (Work::One { workers, iterations: args.job.iterations.unwrap_or(ITERATIONS_OF_ONE) }, workers)
    } else {
        let work = Work::Many { iterations: args.job.iterations.unwrap_or(1), workers: args.job.workers };
        (work, args.job.workers.unwrap_or_else(cores))
    }
}

/// A seed from the system's randomness, with no more bits than a JSON reader that knows only doubles can hold.
fn drawn_seed() -> u64 {
    RandomState::new().hash_one(std::process::id()) >> 11
}

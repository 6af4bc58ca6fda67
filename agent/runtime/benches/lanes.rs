//! Items a second of one lane: with a shared instance, with a fresh one for each item, each beside a bare one-threaded
//! Wasmtime loop over the same component with the same instance policy, in the same process.
//!
//!     cargo bench -p pigeon-runtime --bench lanes [-- PLUGIN]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that fails may panic")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use pigeon_runtime::{Event, Item, Job, Plugin, Run, Runtime, RuntimeConfig, RuntimeError};
use tokio_util::sync::CancellationToken;

mod bare;

const ROUNDS: usize = 5;
const SHARED_ITEMS: usize = 40_000;
const FRESH_ITEMS: usize = 10_000;

fn main() -> Result<(), RuntimeError> {
    let plugin = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let plugin = plugin.unwrap_or_else(|| "gexpr".to_owned());
    let component = pigeon_plugins::built_in(&plugin).expect("a built-in plugin").component;
    let body = body(&plugin);
    println!("{plugin}, {} bytes an item, medians of {ROUNDS}", body.len());
    let network = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let runtime = Runtime::new(RuntimeConfig { guest_threads: 2, ..RuntimeConfig::default() })?;
    let loaded = network.block_on(runtime.load(Bytes::from_static(component))).unwrap();
    for (policy, items) in [(true, SHARED_ITEMS), (false, FRESH_ITEMS)] {
        let plugin = loaded.with_policy(policy);
        let name = if policy { "shared" } else { "fresh" };
        let mut bare = bare::Loop::new(component, policy);
        let (mut ours, mut theirs, mut two) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(time(|| bare.run(&body, items)));
            ours.push(time(|| network.block_on(lanes(&runtime, &plugin, &body, items, 1))));
            two.push(time(|| network.block_on(lanes(&runtime, &plugin, &body, items, 2))));
        }
        let (ours, theirs, two) = (median(ours), median(theirs), median(two));
        let show = |what: &str, (wall, cpu): (Duration, Duration), items: usize| {
            let each = |time: Duration| time.as_secs_f64() * 1e6 / items as f64;
            println!("{name:>7} {what:<9} {:>7.2} us an item, {:>7.2} us of CPU", each(wall), each(cpu));
        };
        show("bare loop", theirs, items);
        show("one lane", ours, items);
        show("two lanes", two, 2 * items);
        println!(
            "{name:>7} one lane has {:.0}% of the bare loop's rate ({:.0}% by CPU time), two have {:.2} times one's",
            100.0 * theirs.0.as_secs_f64() / ours.0.as_secs_f64(),
            100.0 * theirs.1.as_secs_f64() / ours.1.as_secs_f64(),
            2.0 * ours.0.as_secs_f64() / two.0.as_secs_f64()
        );
    }
    Ok(())
}

/// Wall-clock and CPU time of this process that something takes. The second tells the truth on a busy machine.
fn time(work: impl FnOnce()) -> (Duration, Duration) {
    let (begun, used) = (Instant::now(), process_cpu());
    work();
    (begun.elapsed(), process_cpu() - used)
}

fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The medians of both.
fn median(times: Vec<(Duration, Duration)>) -> (Duration, Duration) {
    let middle = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    (middle(times.iter().map(|time| time.0).collect()), middle(times.iter().map(|time| time.1).collect()))
}

/// What the plugin is given to judge.
fn body(plugin: &str) -> Bytes {
    let path = match plugin {
        "gexpr" => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/gexpr/examples/fibonacci.json"),
        _ => return Bytes::from_static(br#"{"name": "pigeon", "wings": 2, "colours": ["grey", "white"]}"#),
    };
    Bytes::from(std::fs::read(path).unwrap())
}

/// So many items on each of so many lanes.
async fn lanes(runtime: &Runtime, plugin: &Plugin, body: &Bytes, items: usize, lanes: usize) {
    let slots = runtime.slots(lanes);
    let job = Arc::new(Job::default());
    let id: Arc<str> = Arc::from("fibonacci.json");
    let run = |index| Run {
        index,
        item: Item { id: Arc::clone(&id).into(), body: body.clone() },
        place: 0,
        iteration: 0,
        seed: index,
    };
    let batches: Vec<Vec<Run>> = (0..lanes).map(|_| (0..items as u64).map(run).collect()).collect();
    let running = batches.into_iter().map(|runs| {
        let mut landed = 0;
        plugin.run_batch(&slots, Arc::clone(&job), runs, CancellationToken::new(), move |event| {
            if let Event::Landed(_, report) = event {
                landed += 1;
                assert!(report.result.is_ok(), "run {landed}: {:?}", report.result);
            }
        })
    });
    futures::future::join_all(running).await;
}

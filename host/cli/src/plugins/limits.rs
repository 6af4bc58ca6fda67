//! `pigeon plugins limits`: how much of the agents a plugin may take.

use clap::Args;
use pigeon_api::{PluginLimits, Rate};

use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    paint::Colours,
    paper::{OutputArgs, Paper},
    screen::Screen,
    text::{number, plural},
    units,
    visit::visit,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon plugins limits mine                Show them
  pigeon plugins limits mine --max-parallel 4 --rate 100/1m
  pigeon plugins limits mine --rate none")]
pub(super) struct LimitsArgs {
    /// The plugin's name
    #[arg(value_name = "NAME")]
    name: String,
    /// Leases under way at once, of all jobs together; `none` for no bound
    #[arg(long, value_name = "N", value_parser = parallel)]
    max_parallel: Option<Bound<u32>>,
    /// Runs begun in a stretch of time, such as 100/1m; `none` for no bound
    #[arg(long, value_name = "RUNS/TIME", value_parser = rate)]
    rate: Option<Bound<Rate>>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    host: HostArgs,
}

/// A bound, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bound<T>(Option<T>);

const NONE: &str = "none";

fn parallel(text: &str) -> Result<Bound<u32>, &'static str> {
    match text.parse() {
        _ if text == NONE => Ok(Bound(None)),
        Ok(count) if count > 0 => Ok(Bound(Some(count))),
        _ => Err("it is a whole number from 1 on, or none"),
    }
}

fn rate(text: &str) -> Result<Bound<Rate>, &'static str> {
    if text == NONE {
        return Ok(Bound(None));
    }
    let wrong = "it is a number of runs and a time, such as 100/1m or 5/1s, or none";
    let (runs, time) = text.split_once('/').ok_or(wrong)?;
    // `100/m` is what people write.
    let time = if time.starts_with(|c: char| c.is_ascii_digit()) { time.to_owned() } else { format!("1{time}") };
    let runs: u32 = runs.trim().parse().ok().filter(|runs| *runs > 0).ok_or(wrong)?;
    let per_ms = units::duration(&time).ok().and_then(|time| u64::try_from(time.as_millis()).ok());
    let per_ms = per_ms.filter(|ms| *ms > 0).ok_or(wrong)?;
    Ok(Bound(Some(Rate { runs, per_ms })))
}

pub(super) async fn run(args: LimitsArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    let mut paper = Paper::open(args.output, colours)?;
    let LimitsArgs { name, max_parallel, rate, host, .. } = args;
    visit(&host, &screen, async |host| {
        let client = host.client();
        let unknown = |error| Failed::from(error).or_hint("`pigeon plugins list` names all");
        let mut limits = client.plugin_limits(&name).await.map_err(unknown)?;
        if max_parallel.is_some() || rate.is_some() {
            limits.max_parallel = max_parallel.map_or(limits.max_parallel, |bound| bound.0);
            limits.rate = rate.map_or(limits.rate, |bound| bound.0);
            client.set_plugin_limits(&name, limits).await?;
        }
        paper.show(&limits, |limits, _| told(limits))?;
        Ok(Exit::Valid)
    })
    .await
}

fn told(limits: &PluginLimits) -> String {
    let parallel = limits.max_parallel.map_or_else(|| NONE.to_owned(), |most| number(most.into()));
    let rate = limits.rate.map_or_else(
        || NONE.to_owned(),
        |rate| {
            let time = units::in_units(std::time::Duration::from_millis(rate.per_ms));
            format!("{} in {time}", plural(rate.runs.into(), "run"))
        },
    );
    format!("max-parallel  {parallel}\nrate          {rate}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_runs_in_a_time() {
        let of = |runs, per_ms| Ok(Bound(Some(Rate { runs, per_ms })));
        assert_eq!(rate("100/1m"), of(100, 60_000));
        assert_eq!(rate("100/m"), of(100, 60_000));
        assert_eq!(rate("5/500ms"), of(5, 500));
        assert_eq!(rate("none"), Ok(Bound(None)));
        for wrong in ["", "100", "0/1s", "/1s", "a/1s", "1/0s", "1/1us", "1/"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!((parallel("4"), parallel("none")), (Ok(Bound(Some(4))), Ok(Bound(None))));
        assert!(parallel("0").is_err());
    }

    #[test]
    fn limits_are_told() {
        let limits = PluginLimits { max_parallel: Some(4), rate: Some(Rate { runs: 1, per_ms: 60_000 }) };
        assert_eq!(told(&limits), "max-parallel  4\nrate          1 run in 1m\n");
        assert_eq!(told(&PluginLimits::default()), "max-parallel  none\nrate          none\n");
    }
}

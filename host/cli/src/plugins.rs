//! `pigeon plugins`: which there are, and what they say of themselves.

mod limits;

use clap::{Args, Subcommand};
use pigeon_api::{Digest, Inspected, InstancePolicy, PluginInfo, PluginKind, Severity, Vote, page::PluginList};
use pigeon_control::Inspector as _;
use pigeon_runtime::{Runtime, RuntimeConfig};
use unicode_width::UnicodeWidthStr as _;

use self::limits::LimitsArgs;
use crate::{
    connect::{Host, HostArgs},
    dirs::Dirs,
    exit::{Exit, Failed},
    inspector::RuntimeInspector,
    paint::{Colours, Paint},
    paper::{OutputArgs, Paper},
    process::{embedded_options, find_validator, no_validator, read_component},
    screen::Screen,
    text::printable,
    units::Size,
    visit::visit,
};

/// List plugins, or show what one of them says of itself
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon plugins list
  pigeon plugins show json                Its options, limits and codes
  pigeon plugins show ./mine.wasm         Whether a component of your own is a validator
  pigeon plugins show gexpr -o json       The same for programs
  pigeon plugins limits mine --max-parallel 4 --rate 100/1m")]
pub(crate) struct PluginsArgs {
    #[command(subcommand)]
    command: PluginsCommand,
}

#[derive(Debug, Subcommand)]
enum PluginsCommand {
    /// Name all plugins
    #[command(after_help = "\
Examples:
  pigeon plugins list")]
    List {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Show what a plugin says of itself
    #[command(after_help = "\
Examples:
  pigeon plugins show json
  pigeon plugins show ./mine.wasm")]
    Show {
        /// NAME, NAME@VERSION, or the PATH of a component (.wasm)
        #[arg(value_name = "PLUGIN")]
        plugin: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Show or change how much of a server's agents a plugin may take, in all its versions
    Limits(LimitsArgs),
}

/// Run the command.
pub(crate) async fn run(args: PluginsArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    match args.command {
        PluginsCommand::List { output, host } => {
            let mut paper = Paper::open(output, colours)?;
            visit(&host, &screen, async |host| {
                let plugins = host.client().plugins().await?;
                paper.show(&PluginList { plugins }, |list, view| lines(&list.plugins, view.paint))?;
                Ok(Exit::Valid)
            })
            .await
        }
        PluginsCommand::Show { plugin, output, host } => {
            let mut paper = Paper::open(output, colours)?;
            visit(&host, &screen, async |host| {
                let plugin = find(host, &plugin).await?;
                paper.show(&plugin, |plugin, view| show(plugin, view.paint))?;
                Ok(Exit::Valid)
            })
            .await
        }
        PluginsCommand::Limits(args) => limits::run(args, colours, screen).await,
    }
}

/// A plugin by its name; a component by its path, which is looked at here and not kept.
async fn find(host: &Host, named: &str) -> Result<PluginInfo, Failed> {
    let Some(component) = read_component(named)? else {
        return find_validator(host.client().as_ref(), named).await;
    };
    let runtime = match host.embedded() {
        Some(embedded) => embedded.runtime().clone(),
        None => runtime(&Dirs::new(None)?).await?,
    };
    let (digest, size) = (Digest::of(&component), component.len() as u64);
    let inspected = RuntimeInspector::new(runtime).inspect(component).await;
    let Inspected { kind, metadata, imports, powers } = inspected.map_err(|error| no_validator(named, error))?;
    Ok(PluginInfo { digest, kind, built_in: false, size, metadata, imports, powers })
}

/// What can look at a component.
async fn runtime(dirs: &Dirs) -> Result<Runtime, Failed> {
    let failed = || Failed::machinery("failed to start the runtime for validators");
    let options = embedded_options(dirs, None)?;
    let config = RuntimeConfig { compile: options.compile, cache: options.cache, ..RuntimeConfig::default() };
    let started = tokio::task::spawn_blocking(move || Runtime::new(config)).await;
    started.map_err(|error| failed().caused_by(error))?.map_err(|error| failed().caused_by(error))
}

/// A line each: name, version, and the first sentence of the description.
fn lines(plugins: &[PluginInfo], paint: Paint) -> String {
    let name = plugins.iter().map(|plugin| plugin.metadata.name.width()).max().unwrap_or(0);
    let version = plugins.iter().map(|plugin| plugin.metadata.version.width()).max().unwrap_or(0);
    let mut text = String::new();
    for plugin in plugins {
        let metadata = &plugin.metadata;
        let first = metadata.description.split_once(". ").map_or(metadata.description.as_str(), |(first, _)| first);
        let pad = " ".repeat(name - metadata.name.width());
        text.push_str(&format!(
            "{}{pad}  {:version$}  {}\n",
            paint.strong(&metadata.name),
            metadata.version,
            printable(first.trim_end_matches('.'))
        ));
    }
    text
}

/// All that it says of itself.
fn show(plugin: &PluginInfo, paint: Paint) -> String {
    let metadata = &plugin.metadata;
    let mut text = format!("{} {}\n", paint.strong(&metadata.name), metadata.version);
    text.push_str(&format!("{}\n\n", printable(&metadata.description)));
    let mut fact =
        |name: &str, value: String| text.push_str(&format!("{} {value}\n", paint.dim(&format!("{name:<10}"))));
    fact("digest", plugin.digest.to_string());
    fact("size", Size(plugin.size).to_string());
    fact(
        "kind",
        match plugin.kind {
            PluginKind::Validator => "validator".to_owned(),
            PluginKind::BatchValidator => "batch validator".to_owned(),
        },
    );
    fact("formats", words(&metadata.formats));
    fact("imports", words(&plugin.imports));
    fact("powers", words(&plugin.powers));
    fact(
        "instances",
        match metadata.instances {
            InstancePolicy::Fresh => "a fresh one for each run".to_owned(),
            InstancePolicy::Shared => "shared by the runs of a batch".to_owned(),
        },
    );
    fact("memory", format!("{} and {} x the item's size", Size(metadata.memory.base), metadata.memory.factor));
    if metadata.vote == Vote::Majority {
        fact("verdict", "what most runs of an item say".to_owned());
    }
    if !metadata.models.is_empty() {
        fact("models", words(&metadata.models));
    }
    if !metadata.options.is_empty() {
        text.push_str(&format!("\n{}\n", paint.strong("options")));
        for option in &metadata.options {
            let default = match (&option.default, option.required) {
                (Some(default), _) => format!(" [default: {}]", printable(default)),
                (None, true) => " [required]".to_owned(),
                (None, false) => String::new(),
            };
            text.push_str(&format!("  {}{default}\n", paint.strong(&printable(&option.name))));
            text.push_str(&format!("      {}\n", printable(&option.description)));
        }
    }
    if !metadata.codes.is_empty() {
        text.push_str(&format!("\n{}\n", paint.strong("codes")));
        let names: Vec<String> = metadata.codes.iter().map(|code| printable(&code.code)).collect();
        let width = names.iter().map(|name| name.width()).max().unwrap_or(0);
        for (code, name) in metadata.codes.iter().zip(&names) {
            let severity = match code.severity {
                Some(Severity::Error) => "error",
                Some(Severity::Warning) => "warning",
                Some(Severity::Info) => "info",
                None => "failure",
            };
            let pad = " ".repeat(width - name.width());
            text.push_str(&format!("  {name}{pad}  {severity:<7}  {}\n", printable(&code.description)));
        }
    }
    text
}

fn words(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { printable(&words.join(", ")) }
}

#[cfg(test)]
mod tests {
    use pigeon_api::{CodeSpec, MemoryNeed, OptionSpec, PluginMetadata};

    use super::*;

    #[test]
    fn what_a_plugin_says_of_itself_does_not_steer_the_terminal() {
        let evil = || "e\u{1b}[2J\nf".to_owned();
        let metadata = PluginMetadata {
            name: "p".to_owned(),
            version: "1.0.0".to_owned(),
            description: evil(),
            formats: vec![evil()],
            options: vec![OptionSpec { name: evil(), description: evil(), default: Some(evil()), required: false }],
            codes: vec![CodeSpec { code: evil(), severity: None, description: evil() }],
            instances: InstancePolicy::Fresh,
            vote: Vote::Worst,
            memory: MemoryNeed { base: 0, factor: 0.0 },
            models: vec![evil()],
            extensions: Vec::new(),
        };
        let plugin = PluginInfo {
            digest: Digest::from_bytes([0; 32]),
            kind: PluginKind::Validator,
            built_in: false,
            size: 1,
            metadata,
            imports: vec![evil()],
            powers: vec![evil()],
        };
        for text in [lines(std::slice::from_ref(&plugin), Paint::PLAIN), show(&plugin, Paint::PLAIN)] {
            assert!(text.contains("e\u{fffd}[2J\u{fffd}f"), "{text:?}");
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
            assert!(!text.lines().any(|line| line.starts_with('f') && !line.starts_with("formats")), "{text:?}");
        }
    }
}

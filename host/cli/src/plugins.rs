//! `pigeon plugins`: which there are, and what they say of themselves.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use pigeon_api::{Digest, Inspected, InstancePolicy, PluginInfo, PluginKind, Severity, Vote};
use pigeon_control::Inspector as _;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use crate::{
    args::StateArgs,
    dirs::Dirs,
    embedded::Embedded,
    exit::{Exit, Failed},
    inspector::RuntimeInspector,
    paint::{Colours, Paint},
    process::{embedded_options, find_validator, no_validator, not_started, read_component},
    stdout,
    text::printable,
    units::Size,
};

/// List plugins, or show what one of them says of itself
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon plugins list
  pigeon plugins show json                Its options, limits and codes
  pigeon plugins show ./mine.wasm         Whether a component of your own is a validator
  pigeon plugins show gexpr -o json       The same for programs")]
pub(crate) struct PluginsArgs {
    #[command(subcommand)]
    command: PluginsCommand,
}

#[derive(Debug, Subcommand)]
enum PluginsCommand {
    /// Name all plugins
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show what a plugin says of itself
    Show {
        /// NAME, NAME@VERSION, or the PATH of a component (.wasm)
        #[arg(value_name = "PLUGIN")]
        plugin: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Debug, Args)]
struct OutputArgs {
    /// How to show it
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    output: Output,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    #[default]
    Table,
    /// A JSON document
    Json,
}

/// Run the command.
pub(crate) async fn run(args: PluginsArgs, colours: Colours) -> Result<Exit, Failed> {
    let (OutputArgs { output, state }, named) = match args.command {
        PluginsCommand::List { output } => (output, None),
        PluginsCommand::Show { plugin, output } => (output, Some(plugin)),
    };
    stdout::check("leave it open: there is nowhere else to write to")?;
    let dirs = Dirs::new(state.state_dir)?;
    let embedded = Embedded::start(embedded_options(&dirs, None)?).await.map_err(not_started(&dirs))?;
    let client = embedded.client();
    let paint = Paint::for_stream(colours, &io::stdout());
    let text = match named {
        Some(named) => find(&embedded, &named).await.and_then(|plugin| match output {
            Output::Json => json(&plugin),
            Output::Table => Ok(show(&plugin, paint)),
        }),
        None => client.plugins().await.map_err(Failed::from).and_then(|plugins| match output {
            Output::Json => json(&plugins),
            Output::Table => Ok(list(&plugins, paint)),
        }),
    };
    embedded.stop(std::time::Duration::from_secs(1)).await;
    match io::stdout().write_all(text?.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failed::machinery("failed to write to standard output").caused_by(error))
        }
        _ => Ok(Exit::Valid),
    }
}

/// A plugin by its name; a component by its path, which is looked at and not kept.
async fn find(embedded: &Embedded, named: &str) -> Result<PluginInfo, Failed> {
    let Some(component) = read_component(named)? else {
        return find_validator(embedded.client().as_ref(), named).await;
    };
    let (digest, size) = (Digest::of(&component), component.len() as u64);
    let inspector = RuntimeInspector::new(embedded.runtime().clone());
    let Inspected { kind, metadata, imports, powers } =
        inspector.inspect(component).await.map_err(|error| no_validator(named, error))?;
    Ok(PluginInfo { digest, kind, built_in: false, size, metadata, imports, powers })
}

fn json(value: &impl Serialize) -> Result<String, Failed> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| Failed::machinery("failed to write down the plugins").caused_by(error))
}

/// A line each: name, version, and the first sentence of the description.
fn list(plugins: &[PluginInfo], paint: Paint) -> String {
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
        for text in [list(std::slice::from_ref(&plugin), Paint::PLAIN), show(&plugin, Paint::PLAIN)] {
            assert!(text.contains("e\u{fffd}[2J\u{fffd}f"), "{text:?}");
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
            assert!(!text.lines().any(|line| line.starts_with('f') && !line.starts_with("formats")), "{text:?}");
        }
    }
}

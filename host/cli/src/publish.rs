//! `pigeon publish`: give a server a plugin, so that jobs can name it.

use clap::Args;

use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    paint::Colours,
    paper::{OutputArgs, Paper},
    process::{no_validator, read_component},
    screen::Screen,
    text::printable,
    units::Size,
    visit::visit,
};

/// Give a control host a plugin, by the path of its component; it is looked at before it is kept
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon publish target/wasm32-wasip2/release/mine.wasm
  pigeon process -f a.json -v sha256:...           Judge with just this one, whatever is published later

A plugin is kept by its digest: published twice, it is kept once. Jobs under way stay with the one that they began with.")]
pub(crate) struct PublishArgs {
    /// The component: a path that ends in .wasm, or has a slash in it
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    host: HostArgs,
}

/// Run the command.
pub(crate) async fn run(args: PublishArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    let component = read_component(&args.file)?.ok_or_else(|| {
        Failed::usage(format!("{} is no path of a component", args.file))
            .hint("it ends in .wasm, or has a slash in it: ./mine")
    })?;
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, &screen, async |host| {
        let plugin = host.client().publish(component).await.map_err(|error| no_validator(&args.file, error))?;
        paper.show(&plugin, |plugin, _| {
            let metadata = &plugin.metadata;
            format!("{} {} {}\n", printable(&metadata.name), printable(&metadata.version), plugin.digest)
        })?;
        screen.note(&format!("{} kept", Size(plugin.size)));
        Ok(Exit::Valid)
    })
    .await
}

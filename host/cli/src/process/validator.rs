//! Which plugin is meant: a name, a name and a version, or the path of a component.

use std::{fs, path::Path};

use bytes::Bytes;
use pigeon_api::{ApiError, ErrorKind, Pigeon, PluginInfo};
use pigeon_runtime::MAX_COMPONENT;

use crate::{exit::Failed, units::Size};

/// Find the plugin that was named, or take in the component that was. For a name that is not there those of a server are
/// suggested; of a `local` control host only those that are built in, for to list them it would have to compile them.
///
/// # Errors
/// If there is none of that name (close ones are suggested), or the file is no validator.
pub(crate) async fn find(client: &dyn Pigeon, named: &str, local: bool) -> Result<PluginInfo, Failed> {
    if let Some(component) = component(named)? {
        return client.publish(component).await.map_err(|error| none(named, error));
    }
    match client.plugin(named).await {
        Ok(plugin) => Ok(plugin),
        Err(error) if error.kind == ErrorKind::NotFound && error.hint.is_none() => {
            let name = named.split('@').next().unwrap_or(named);
            if name != named
                && let Ok(plugin) = client.plugin(name).await
            {
                let metadata = plugin.metadata;
                let hint =
                    format!("there is `{}@{}`; `pigeon plugins list` names all", metadata.name, metadata.version);
                return Err(Failed::from(error).hint(hint));
            }
            let published = if local { Vec::new() } else { client.plugins().await.unwrap_or_default() };
            let mut names: Vec<&str> = pigeon_plugins::BUILT_IN.iter().map(|built_in| built_in.name).collect();
            names.extend(published.iter().map(|plugin| &*plugin.metadata.name));
            names.sort_unstable();
            names.dedup();
            Err(Failed::from(error).hint(suggestion(named, &names)))
        }
        Err(error) => Err(error.into()),
    }
}

/// A component that is no validator.
pub(crate) fn none(named: &str, mut error: ApiError) -> Failed {
    if error.kind == ErrorKind::BadRequest {
        error.message = format!("{named} is no validator");
    }
    error.into()
}

/// The component, if a path was named.
pub(crate) fn component(named: &str) -> Result<Option<Bytes>, Failed> {
    if is_path(named) { read(named).map(Some) } else { Ok(None) }
}

/// The path, if one was named.
pub(super) fn path(named: &str) -> Option<&Path> {
    is_path(named).then_some(Path::new(named))
}

/// Whether a plugin is named, and not the path of a component.
pub(crate) fn names_plugin(named: &str) -> bool {
    !is_path(named)
}

/// Names hold no slash and do not end in `.wasm`.
fn is_path(named: &str) -> bool {
    named.contains('/') || Path::new(named).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wasm"))
}

fn read(path: &str) -> Result<Bytes, Failed> {
    let failed = |error| {
        Failed::usage(format!("failed to read the component {path}"))
            .caused_by(error)
            .hint("`pigeon plugins list` names the validators that are built in")
    };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_COMPONENT as u64 {
        let most = Size(MAX_COMPONENT as u64);
        return Err(Failed::usage(format!("{path} has {}, more than a plugin may have", Size(size)))
            .hint(format!("a component is at most {most}; is it a release build?")));
    }
    fs::read(path).map(Bytes::from).map_err(failed)
}

/// What to do about a name that nobody has.
fn suggestion(named: &str, names: &[&str]) -> String {
    let name = named.split('@').next().unwrap_or(named).to_lowercase();
    let mut close: Vec<(f64, &str)> = names
        .iter()
        .map(|other| (strsim::jaro_winkler(&name, &other.to_lowercase()), *other))
        .filter(|(score, _)| *score > 0.7)
        .collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0));
    match close.as_slice() {
        [] => format!("there are {}; a component of your own is named by its path", names.join(", ")),
        close => {
            let close: Vec<_> = close.iter().map(|(_, name)| format!("`{name}`")).collect();
            format!("did you mean {}? `pigeon plugins list` names all", close.join(" or "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_suggested() {
        let names = ["gexpr", "json", "echo"];
        assert_eq!(suggestion("gexp", &names), "did you mean `gexpr`? `pigeon plugins list` names all");
        assert_eq!(suggestion("jsno@1.0.0", &names), "did you mean `json`? `pigeon plugins list` names all");
        assert_eq!(suggestion("JSON", &names), "did you mean `json`? `pigeon plugins list` names all");
        assert_eq!(
            suggestion("qqq", &names),
            "there are gexpr, json, echo; a component of your own is named by its path"
        );
    }

    #[test]
    fn paths_are_told_from_names() {
        assert!(is_path("mine.wasm") && is_path("./mine") && is_path("a/b.WASM"));
        assert!(!is_path("gexpr") && !is_path("gexpr@0.1.0") && !is_path("sha256:00"));
    }
}

//! Which plugin is meant: a name, a name and a version, or the path of a component.

use std::{fs, path::Path};

use bytes::Bytes;
use pigeon_api::{ApiError, ErrorKind, Pigeon, PluginInfo};
use pigeon_runtime::MAX_COMPONENT;

use crate::{exit::Failed, units::Size};

/// Find the plugin that was named, or take in the component that was.
///
/// # Errors
/// If there is none of that name (close ones are suggested), or the file is no validator.
pub(crate) async fn find(client: &dyn Pigeon, named: &str) -> Result<PluginInfo, Failed> {
    match component(named)? {
        Some(component) => client.publish(component).await.map_err(|error| none(named, error)),
        None => Ok(client.plugin(named).await?),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_names() {
        assert!(is_path("mine.wasm") && is_path("./mine") && is_path("a/b.WASM"));
        assert!(!is_path("gexpr") && !is_path("gexpr@0.1.0") && !is_path("sha256:00"));
    }
}

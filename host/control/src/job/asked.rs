//! What is asked for, and whether it can be.

use std::collections::BTreeMap;

use pigeon_api::{ApiError, ErrorKind, PluginInfo, Result, Work};
use pigeon_protocol::{id::Shape, limits::MAX_OPTIONS};

/// How the runs of a job are numbered.
///
/// # Errors
/// If it asks for no runs at all.
pub(crate) fn shape(work: Work) -> Result<Shape> {
    let (places, iterations, limit) = match work {
        Work::One { workers, iterations } => (workers, iterations, Some(workers)),
        Work::Many { iterations, workers } => (1, iterations, workers),
    };
    let refuse = |what| ApiError::new(ErrorKind::BadRequest, format!("a job needs at least one {what}"));
    if iterations == 0 {
        return Err(refuse("iteration"));
    }
    if limit == Some(0) {
        return Err(refuse("worker"));
    }
    Ok(Shape { places, iterations })
}

/// Powers that a job may grant: those of the plugin's manifest, which an operator would have to widen. No manifest grants
/// any today.
///
/// # Errors
/// [`ErrorKind::Forbidden`] if it grants another.
pub(crate) fn check_grants(plugin: &PluginInfo, grants: &[String]) -> Result<()> {
    const OF_MANIFEST: &[&str] = &[];
    match grants.iter().find(|grant| !OF_MANIFEST.contains(&grant.as_str())) {
        Some(grant) => {
            let message = format!("{} may not be granted {grant:?}: its manifest does not", plugin.metadata.name);
            Err(ApiError::new(ErrorKind::Forbidden, message).hint("leave the grant out"))
        }
        None => Ok(()),
    }
}

/// The options that a plugin does not know, or needs and did not get.
///
/// # Errors
/// With the names of those that it knows.
pub(crate) fn check_options(plugin: &PluginInfo, options: &BTreeMap<String, String>) -> Result<()> {
    let specs = &plugin.metadata.options;
    let name = &plugin.metadata.name;
    let known = || match specs.is_empty() {
        true => format!("{name} takes no options"),
        false => format!("{name} knows {}", specs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", ")),
    };
    for key in options.keys() {
        if specs.iter().all(|spec| spec.name != *key) {
            return Err(ApiError::new(ErrorKind::BadRequest, format!("{name} has no option {key:?}")).hint(known()));
        }
    }
    let size: u64 = options.values().map(|value| value.len() as u64).sum();
    if size > MAX_OPTIONS {
        let message = format!("the options are {size} bytes together, and {MAX_OPTIONS} is the most");
        return Err(ApiError::new(ErrorKind::BadRequest, message).hint("give less, or make it part of the items"));
    }
    match specs.iter().find(|spec| spec.required && !options.contains_key(&spec.name)) {
        Some(missing) => {
            Err(ApiError::new(ErrorKind::BadRequest, format!("{name} needs the option {:?}", missing.name))
                .hint(format!("--option {}=...: {}", missing.name, missing.description)))
        }
        None => Ok(()),
    }
}

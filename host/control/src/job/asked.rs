//! What is asked for, and whether it can be.

use std::collections::BTreeMap;

use pigeon_api::{ApiError, ErrorKind, PluginInfo, Result, Work};
use pigeon_protocol::{
    id::Shape,
    label::{self, MAX_WANTED},
    limits::MAX_OPTIONS,
};

/// Most workers of a job. The owner keeps who has each of their places.
const MOST_WORKERS: u32 = 100_000;

/// How the runs of a job are numbered, of which so many may be under way at once.
///
/// # Errors
/// If it asks for no runs at all, or none would ever begin, or for more workers than there can be.
pub(crate) fn shape(work: Work, max_parallel: Option<u32>) -> Result<Shape> {
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
    if let Some(workers) = limit.filter(|workers| *workers > MOST_WORKERS) {
        let message = format!("a job has {MOST_WORKERS} workers at most, and this one asks for {workers}");
        return Err(ApiError::new(ErrorKind::BadRequest, message).hint("have each of them make more iterations"));
    }
    if max_parallel == Some(0) {
        let message = "a job whose max_parallel is 0 would have nothing run";
        return Err(
            ApiError::new(ErrorKind::BadRequest, message).hint("say 1 or more, or leave it out; a pause has it wait")
        );
    }
    Ok(Shape { places, iterations })
}

/// Labels that a job requires, or that it prefers.
///
/// # Errors
/// With what is wrong, if they are too many, or one of them is none.
pub(crate) fn check_labels(require: &[String], prefer: &[String]) -> Result<()> {
    for (field, labels) in [("require", require), ("prefer", prefer)] {
        if labels.len() > MAX_WANTED {
            let message = format!("`{field}` names {} labels, and {MAX_WANTED} is the most", labels.len());
            return Err(ApiError::new(ErrorKind::BadRequest, message).hint("have one label stand for several"));
        }
        for label in labels {
            label::check(label).map_err(|error| {
                ApiError::new(ErrorKind::BadRequest, format!("`{field}` names {label:?}: {error}"))
                    .hint("a label is one that agents have, such as gpu or arch=x86_64, or its key, such as arch")
            })?;
        }
    }
    Ok(())
}

/// Powers that a job may grant: those that its plugin asks for. No manifest grants any today, so whoever grants one goes
/// beyond it, which the API lets operators do alone.
///
/// # Errors
/// [`ErrorKind::Forbidden`] if it grants another.
pub(crate) fn check_grants(plugin: &PluginInfo, grants: &[String]) -> Result<()> {
    let (name, powers) = (&plugin.metadata.name, &plugin.powers);
    // `llm` in `llm=codellama:7b`.
    let asked_for = |grant: &str| powers.iter().any(|power| grant.split([':', '=']).next() == Some(power));
    match grants.iter().find(|grant| !asked_for(grant)) {
        Some(grant) => {
            let asked = if powers.is_empty() { "none".to_owned() } else { powers.join(", ") };
            let message = format!("{name} may not be granted {grant:?}: it does not ask for it");
            Err(ApiError::new(ErrorKind::Forbidden, message).hint(format!("the powers that it asks for: {asked}")))
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

#[cfg(test)]
mod tests {
    use pigeon_api::{Digest, InstancePolicy, MemoryNeed, PluginKind, PluginMetadata, Vote};

    use super::*;

    #[test]
    fn a_power_is_granted_to_a_plugin_that_asks_for_it() {
        let metadata = PluginMetadata {
            name: "judge".to_owned(),
            version: "1.0.0".to_owned(),
            description: String::new(),
            formats: Vec::new(),
            options: Vec::new(),
            codes: Vec::new(),
            instances: InstancePolicy::Fresh,
            vote: Vote::Worst,
            memory: MemoryNeed { base: 0, factor: 0.0 },
            models: Vec::new(),
            extensions: Vec::new(),
        };
        let (digest, kind) = (Digest::of(b""), PluginKind::Validator);
        let powers = vec!["llm".to_owned()];
        let plugin = PluginInfo { digest, kind, built_in: false, size: 0, metadata, imports: Vec::new(), powers };
        let granted = |grants: &[&str]| {
            let grants: Vec<String> = grants.iter().map(ToString::to_string).collect();
            check_grants(&plugin, &grants)
        };
        granted(&[]).unwrap();
        granted(&["llm", "llm=codellama:7b", "llm:small"]).unwrap();
        let refused = granted(&["llm", "http"]).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Forbidden);
        assert_eq!(refused.message, "judge may not be granted \"http\": it does not ask for it");
        assert_eq!(refused.hint.as_deref(), Some("the powers that it asks for: llm"));
        assert!(granted(&["llmx"]).is_err() && granted(&[""]).is_err());
    }

    #[test]
    fn labels_are_few_and_short() {
        let some = |count: usize| vec!["gpu".to_owned(); count];
        check_labels(&some(MAX_WANTED), &some(MAX_WANTED)).unwrap();
        let refused = check_labels(&[], &some(MAX_WANTED + 1)).unwrap_err();
        assert_eq!(refused.message, "`prefer` names 17 labels, and 16 is the most");
        let refused = check_labels(&["a\nb".to_owned()], &[]).unwrap_err();
        assert_eq!(refused.message, "`require` names \"a\\nb\": a label has no control characters");
        assert_eq!(refused.kind, ErrorKind::BadRequest);
    }

    #[test]
    fn a_job_has_at_least_one_run_at_a_time() {
        let many = |iterations, workers, max_parallel| shape(Work::Many { iterations, workers }, max_parallel);
        assert!(many(1, None, None).is_ok() && many(2, Some(1), Some(1)).is_ok());
        assert!(many(0, None, None).is_err() && many(1, Some(0), None).is_err() && many(1, None, Some(0)).is_err());
    }

    #[test]
    fn workers_are_bounded_whatever_is_asked_for() {
        let one = |workers| shape(Work::One { workers, iterations: u32::MAX }, None);
        assert_eq!(one(MOST_WORKERS).unwrap().places, MOST_WORKERS);
        let refused = one(u32::MAX).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::BadRequest);
        assert_eq!(refused.message, "a job has 100000 workers at most, and this one asks for 4294967295");
        assert!(shape(Work::Many { iterations: 1, workers: Some(MOST_WORKERS + 1) }, None).is_err());
    }
}
